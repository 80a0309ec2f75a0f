package renew

import (
	"context"
	"os"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/hashicorp/go-hclog"
)

const (
	// lookAgain is how long a quiet loop stays away: the files of a certificate
	// may have been changed or removed by somebody else.
	lookAgain = 12 * time.Hour
	// overdue is how long a loop stays away when something is due and all that
	// can be done about it has been: the CA's clock says that it isn't, say.
	overdue = time.Hour
	// atLeast is the shortest pause after a good round, whatever is due when.
	atLeast = time.Minute
	// tick is how often the wall clock is compared: timers stand still while a
	// machine sleeps, and clocks are set.
	tick = time.Minute
)

// Loop calls ensure for as long as ctx lasts.
type Loop struct {
	// First is when Ensure runs for the first time; zero: at once.
	First time.Time
	// Ensure does what is due and says when to look again.
	Ensure func(context.Context) (time.Time, error)
	// Judge says what an error means, and how long a server asked to be left
	// alone (Retry-After), 0 if it didn't.
	Judge func(error) (Verdict, time.Duration)
	// Log gets what a person should know of the waiting.
	Log hclog.Logger
	// Now is the wall clock.
	Now func() time.Time
	// Wake makes Ensure run at once, after OnWake; nil: nothing does.
	Wake   <-chan os.Signal
	OnWake func()
	// Tick is called at least once a minute, while nothing is being done, too. It
	// reports whether Ensure is to run at once.
	Tick func() (now bool)
}

// Run goes on until ctx ends and returns its error: no other error ends the care
// for a certificate.
func (l *Loop) Run(ctx context.Context) error {
	l.waitUntil(ctx, l.First)
	pauses := NewPauses()
	for ctx.Err() == nil {
		next, err := l.Ensure(ctx)
		if ctx.Err() != nil {
			break
		}
		now := l.now()
		pause := untilDue(next, now)
		if err != nil {
			verdict, asked := l.Judge(err)
			pause = pauses.Next(verdict, asked)
			l.Log.Debug("trying again", "in", pause.Round(time.Second).String())
		} else {
			pauses = NewPauses()
		}
		l.waitUntil(ctx, now.Add(pause))
	}
	return ctx.Err()
}

// now is the wall clock without Go's monotonic one, which stands still while
// the machine sleeps.
func (l *Loop) now() time.Time { return l.Now().Round(0) }

// untilDue is the pause after a good round.
func untilDue(next, now time.Time) time.Duration {
	switch left := next.Sub(now); {
	case next.IsZero():
		return lookAgain
	case left <= 0:
		return overdue
	default:
		return max(atLeast, min(left, lookAgain))
	}
}

func (l *Loop) waitUntil(ctx context.Context, at time.Time) {
	began := l.now()
	for {
		if l.Tick() {
			return
		}
		now := l.now()
		left := at.Sub(now)
		// A clock that was set back makes any date far away.
		if left <= 0 || now.Before(began.Add(-tick)) {
			return
		}
		timer := time.NewTimer(min(left, tick))
		select {
		case <-ctx.Done():
		case <-l.Wake:
			l.OnWake()
			at = now
		case <-timer.C:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// Until calls op until it succeeds, until again says that its error is final,
// or until ctx is done; then it returns op's last error.
func Until(ctx context.Context, op func(context.Context) error, again func(error) bool) error {
	var last error
	_ = backoff.Retry(func() error {
		last = op(ctx)
		if last != nil && !again(last) {
			return backoff.Permanent(last)
		}
		return last
	}, backoff.WithContext(jittered(pollFrom, pollTo), ctx))
	return last
}
