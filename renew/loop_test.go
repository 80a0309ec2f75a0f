package renew_test

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"icinga-enroll/renew"
)

// rig runs a Loop in a bubble, with a clock that can be set.
type rig struct {
	loop   *renew.Loop
	offset atomic.Int64 // of the wall clock against the bubble's time, in nanoseconds
	calls  []time.Time  // of Ensure, in the bubble's time
	ticks  []time.Time
	hurry  int // the tick that has Ensure run at once; 0: none
	woken  int
	wake   chan os.Signal
}

// newRig has Ensure do as answer says, which is given the number of the call.
func newRig(answer func(call int) (time.Time, error)) *rig {
	r := &rig{wake: make(chan os.Signal, 1)}
	r.loop = &renew.Loop{
		Ensure: func(context.Context) (time.Time, error) {
			r.calls = append(r.calls, time.Now())
			return answer(len(r.calls))
		},
		Judge: func(err error) (renew.Verdict, time.Duration) {
			var busy errBusy
			switch {
			case errors.As(err, &busy):
				return renew.Retry, time.Duration(busy)
			case errors.Is(err, errAway):
				return renew.Retry, 0
			case errors.Is(err, errApproval):
				return renew.Wait, 0
			default:
				return renew.Despair, 0
			}
		},
		Log:    hclog.NewNullLogger(),
		Now:    func() time.Time { return time.Now().Add(time.Duration(r.offset.Load())) },
		Wake:   r.wake,
		OnWake: func() { r.woken++ },
		Tick: func() bool {
			r.ticks = append(r.ticks, time.Now())
			return len(r.ticks) == r.hurry
		},
	}
	return r
}

var errApproval = errors.New("waiting for approval")

type errBusy time.Duration

func (errBusy) Error() string { return "busy" }

func (r *rig) run(t *testing.T, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := r.loop.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run returned %v", err)
	}
}

func (r *rig) pauses() []time.Duration {
	var p []time.Duration
	for i := 1; i < len(r.calls); i++ {
		p = append(p, r.calls[i].Sub(r.calls[i-1]))
	}
	return p
}

func TestQuietLoopLooksTwiceADayAndTicksEveryMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(func(int) (time.Time, error) { return time.Now().Add(300 * day), nil })
		r.run(t, 24*time.Hour)
		if n := len(r.calls); n != 2 && n != 3 {
			t.Errorf("Ensure was called %d times a day", n)
		}
		for i := 1; i < len(r.ticks); i++ {
			if gap := r.ticks[i].Sub(r.ticks[i-1]); gap > time.Minute {
				t.Fatalf("no tick for %s", gap)
			}
		}
	})
}

func TestLoopComesBackWhenItIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(func(call int) (time.Time, error) { return time.Now().Add(17 * time.Minute), nil })
		r.run(t, 18*time.Minute)
		if p := r.pauses(); len(p) != 1 || p[0] != 17*time.Minute {
			t.Errorf("pauses are %v, want one of 17 minutes", p)
		}
	})
}

// Where nothing more can be done about what is due (the CA's clock says that it
// isn't), or a CA gives certificates that are due at once, nobody is flooded.
func TestWhatStaysDueIsNotAskedForAgainAtOnce(t *testing.T) {
	for what, next := range map[string]time.Duration{"overdue": -time.Hour, "due now": 0, "due in a second": time.Second} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(func(int) (time.Time, error) { return time.Now().Add(next), nil })
				r.run(t, 10*time.Minute)
				if n := len(r.calls); n > 11 {
					t.Errorf("Ensure was called %d times in 10 minutes", n)
				}
			})
		})
	}
}

// A machine that sleeps stops its timers; a clock that is set forward makes the
// date come sooner. Both are seen within a minute.
func TestJumpForwardIsSeenWithinAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(func(int) (time.Time, error) { return time.Now().Add(50 * time.Minute), nil })
		time.AfterFunc(10*time.Minute+30*time.Second, func() { r.offset.Store(int64(40 * time.Minute)) })
		r.run(t, 12*time.Minute)
		if p := r.pauses(); len(p) != 1 || p[0] > 11*time.Minute+30*time.Second {
			t.Errorf("pauses are %v, want one that ends within a minute of the jump", p)
		}
	})
}

// A clock that was wrong and is set back must not leave the loop waiting for
// what was once an hour away.
func TestJumpBackIsSeenWithinAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(func(int) (time.Time, error) { return time.Time{}, nil })
		r.offset.Store(int64(10 * 365 * day))
		time.AfterFunc(10*time.Minute+30*time.Second, func() { r.offset.Store(0) })
		r.run(t, 12*time.Minute)
		if p := r.pauses(); len(p) != 1 || p[0] > 11*time.Minute+30*time.Second {
			t.Errorf("pauses are %v, want one that ends within a minute of the jump", p)
		}
	})
}

func TestFailuresAreRetriedSoonThenRarelyAndForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(func(int) (time.Time, error) { return time.Time{}, errAway })
		r.run(t, 30*day)
		p := r.pauses()
		if p[0] > 4*time.Second {
			t.Errorf("the first pause is %s, want seconds", p[0])
		}
		var longest, sum time.Duration
		for _, pause := range p {
			longest, sum = max(longest, pause), sum+pause
		}
		if longest > 30*time.Minute {
			t.Errorf("the longest pause is %s, the cap is 30 minutes", longest)
		}
		if mean := sum / time.Duration(len(p)); mean < 10*time.Minute || mean > 20*time.Minute {
			t.Errorf("the mean pause is %s, want about 15 minutes: no fleet should come back in step", mean)
		}
	})
}

func TestSuccessMakesTheNextFailureAFirstOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(func(call int) (time.Time, error) {
			if call == 30 {
				return time.Now().Add(time.Minute), nil
			}
			return time.Time{}, errAway
		})
		r.run(t, 2*day)
		if p := r.pauses(); p[30] > 4*time.Second {
			t.Errorf("the pause after a new first failure is %s", p[30])
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(func(int) (time.Time, error) { return time.Time{}, errBusy(2 * time.Hour) })
		r.run(t, 5*time.Hour)
		for _, p := range r.pauses() {
			if p < 2*time.Hour {
				t.Errorf("came back after %s, asked was for 2 h", p)
			}
		}
	})
}

func TestWhatSomebodyHasToMendIsTriedRarelyNotNever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(func(int) (time.Time, error) { return time.Time{}, errWrong })
		r.run(t, 30*day)
		if n := len(r.calls); n < 100 || n > 500 {
			t.Errorf("%d tries in 30 days, want about 240", n)
		}
	})
}

// Soon after the request an approval may come at any moment; later it may take
// days, and requests that nobody asks about are forgotten after seven.
func TestAnApprovalIsPolledEagerlyThenCalmly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(func(int) (time.Time, error) { return time.Time{}, errApproval })
		r.run(t, 7*day)
		p := r.pauses()
		for _, pause := range p[:20] {
			if pause > time.Minute {
				t.Errorf("a pause of %s among the first, want at most a minute", pause)
			}
		}
		late := p[len(p)-200:]
		var sum time.Duration
		for _, pause := range late {
			sum += pause
		}
		if mean := sum / time.Duration(len(late)); mean < 3*time.Minute || mean > 7*time.Minute {
			t.Errorf("after days the mean pause is %s, want about 5 minutes", mean)
		}
	})
}

func TestTickEndsAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(func(int) (time.Time, error) { return time.Time{}, errors.New("somebody has to mend it") })
		r.hurry = 7 // the first is before the first round
		r.run(t, 10*time.Minute)
		if got := r.pauses(); len(got) != 1 || got[0] != 5*time.Minute {
			t.Errorf("pauses are %v", got)
		}
	})
}

func TestWakeEndsAPauseAndSaysSoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *rig
		r = newRig(func(call int) (time.Time, error) {
			if call == 2 && r.woken != 1 {
				t.Error("Ensure came before OnWake")
			}
			return time.Time{}, nil
		})
		time.AfterFunc(90*time.Second, func() { r.wake <- syscall.SIGHUP })
		r.run(t, 2*time.Minute)
		if p := r.pauses(); len(p) != 1 || p[0] != 90*time.Second {
			t.Errorf("pauses are %v, want one of 90 s", p)
		}
	})
}

// Nothing is left running when the loop has ended: the bubble would not end.
func TestLoopEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r := newRig(func(int) (time.Time, error) { return time.Time{}, nil })
		time.AfterFunc(10*time.Minute, cancel)
		start := time.Now()
		if err := r.loop.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
		if took := time.Since(start); took != 10*time.Minute {
			t.Errorf("ended after %s, was told to after 10 min", took)
		}
	})
}

// A machine that has not begun waits a while; who asks for it ends that.
func TestTheFirstRoundWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(func(int) (time.Time, error) { return time.Time{}, nil })
		began := time.Now()
		r.loop.First = began.Add(10 * time.Second)
		r.run(t, time.Minute)
		if len(r.calls) != 1 || !r.calls[0].Equal(began.Add(10*time.Second)) {
			t.Errorf("called at %v, began at %v", r.calls, began)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := newRig(func(int) (time.Time, error) { return time.Time{}, nil })
		began := time.Now()
		r.loop.First = began.Add(10 * time.Hour)
		r.wake <- syscall.SIGHUP
		r.run(t, time.Minute)
		if len(r.calls) != 1 || !r.calls[0].Equal(began) {
			t.Errorf("called at %v, began at %v", r.calls, began)
		}
	})
}
