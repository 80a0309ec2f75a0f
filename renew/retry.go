package renew

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// Retry calls op until it succeeds, until again says that its error is final,
// or until ctx is done; then it returns op's last error. The pauses have full
// jitter: each is drawn between zero and a mean that grows from one second to
// half a minute, doubled.
func Retry(ctx context.Context, op func(context.Context) error, again func(error) bool) error {
	var last error
	policy := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(time.Second),
		backoff.WithMultiplier(2),
		backoff.WithMaxInterval(30*time.Second),
		backoff.WithRandomizationFactor(1),
		backoff.WithMaxElapsedTime(0), // ctx ends it; backoff's own limit is 15 minutes
	)
	_ = backoff.Retry(func() error {
		last = op(ctx)
		if last != nil && !again(last) {
			return backoff.Permanent(last)
		}
		return last
	}, backoff.WithContext(policy, ctx))
	return last
}
