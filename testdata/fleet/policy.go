package fleet

import (
	"errors"
	"math/rand/v2"
	"time"
)

const (
	firstPause = 4 * time.Second // at most, as the program's
	longest    = 30 * time.Minute
)

// try is what a node knows of a try that has failed.
type try struct {
	asked   time.Duration // Retry-After
	slowest time.Duration // the longest that a request took which was answered
	served  int           // requests that were answered
}

// askedFor is the Retry-After of err; 0: there is none.
func askedFor(err error) time.Duration {
	var busy busyError
	errors.As(err, &busy)
	return busy.retryAfter
}

// policy makes a node's pauses between tries.
type policy struct {
	name string
	make func() func(try) time.Duration // nil: the program's own, in its own loop

	splay time.Duration // first_run_splay
}

// The program's own come first.
var policies = []policy{
	{name: "the program's: full jitter, tripling"},
	{name: "the same, first_run_splay: 30m", splay: 30 * time.Minute},
	{name: "full jitter, doubling", make: doubling},
	{name: "decorrelated jitter", make: decorrelated},
	{name: "learning from answers and their time", make: learning},
}

// doubling takes anything below a ceiling that doubles; Retry-After is the least.
func doubling() func(try) time.Duration {
	ceiling := firstPause
	return func(t try) time.Duration {
		pause := below(ceiling)
		ceiling = min(ceiling*2, longest)
		return max(pause, t.asked)
	}
}

// decorrelated goes from the pause before.
func decorrelated() func(try) time.Duration {
	pause := firstPause / 2
	return func(t try) time.Duration {
		pause = min(longest, firstPause/2+below(pause*3-firstPause/2))
		return max(pause, t.asked)
	}
}

// learning halves its ceiling when a try came forward and doubles it when it did
// not; it is at least ten times what an answer took. To Retry-After it adds.
func learning() func(try) time.Duration {
	ceiling := firstPause
	return func(t try) time.Duration {
		ceiling = max(ceiling, 10*t.slowest)
		pause := t.asked + below(ceiling)
		if t.served > 0 {
			ceiling = max(ceiling/2, firstPause)
		} else {
			ceiling = min(ceiling*2, longest)
		}
		return pause
	}
}

// below is any duration under d.
func below(d time.Duration) time.Duration {
	return rand.N(max(1, d)) //nolint:gosec // not a secret
}
