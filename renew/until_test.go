package renew_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"icinga-enroll/renew"
)

var (
	errAway  = errors.New("away")
	errWrong = errors.New("wrong key")
)

func again(err error) bool { return errors.Is(err, errAway) }

func TestUntilEndsWithSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		err := renew.Until(t.Context(), func(context.Context) error {
			if calls++; calls < 20 {
				return errAway
			}
			return nil
		}, again)
		if err != nil || calls != 20 {
			t.Errorf("after %d calls: %v; want success after 20", calls, err)
		}
	})
}

func TestUntilStopsAtAFinalError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		err := renew.Until(t.Context(), func(context.Context) error {
			if calls++; calls == 3 {
				return errWrong
			}
			return errAway
		}, again)
		if !errors.Is(err, errWrong) || calls != 3 {
			t.Errorf("after %d calls: %v; want %v after 3", calls, err, errWrong)
		}
	})
}

func TestUntilEndsWithItsContextAndTheLastError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const wait = 2 * time.Hour // longer than the 15 minutes after which backoff gives up by itself
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		defer cancel()
		start, calls := time.Now(), 0
		err := renew.Until(ctx, func(context.Context) error { calls++; return errAway }, again)
		if !errors.Is(err, errAway) {
			t.Errorf("error is %v, want the last one of the call: %v", err, errAway)
		}
		if took := time.Since(start); took < wait-time.Minute || took > wait {
			t.Errorf("gave up after %s, want about %s", took, wait)
		}
		if calls < 120 || calls > 1000 {
			t.Errorf("%d calls in %s: want one about every half minute", calls, wait)
		}
	})
}
