package renew

import (
	"time"

	"github.com/cenkalti/backoff/v4"
)

const (
	retryFrom   = 2 * time.Second
	retryTo     = 15 * time.Minute // the mean; full jitter makes it half an hour at most
	rarely      = 3 * time.Hour    // the mean between two tries of what somebody has to mend
	pollFrom    = time.Second
	pollTo      = 30 * time.Second // the mean while an approval may come soon
	pollEager   = time.Hour        // how long that is
	pollPatient = 5 * time.Minute  // the mean from then on: an approval may take days
)

// Verdict says what an error of ensure means for the next try.
type Verdict int

// What an error may mean.
const (
	Retry   Verdict = iota // may pass: try again soon, then less and less often
	Wait                   // somebody may approve at any moment: poll
	Despair                // somebody has to mend it: try rarely
)

// Pauses are those between tries, one growing row for each verdict, until
// something goes well.
type Pauses struct {
	retry, poll backoff.BackOff
	polled      time.Duration
}

// NewPauses returns those after something went well.
func NewPauses() *Pauses {
	return &Pauses{retry: jittered(retryFrom, retryTo), poll: jittered(pollFrom, pollTo)}
}

// Next is the pause after a try that ended with v, when a server asked to be left
// alone for so long (Retry-After), 0 if it didn't.
func (p *Pauses) Next(v Verdict, asked time.Duration) time.Duration {
	return max(p.next(v), asked)
}

func (p *Pauses) next(v Verdict) time.Duration {
	switch v {
	case Wait:
		pause := p.poll.NextBackOff()
		if p.polled += pause; p.polled > pollEager {
			pause = jittered(pollPatient, pollPatient).NextBackOff()
		}
		return pause
	case Despair:
		return max(rarely/12, jittered(rarely, rarely).NextBackOff())
	default:
		return p.retry.NextBackOff()
	}
}

// jittered returns pauses with full jitter, between zero and twice a mean that
// doubles from one value to the other, without end.
func jittered(from, to time.Duration) backoff.BackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(from),
		backoff.WithMultiplier(2),
		backoff.WithMaxInterval(to),
		backoff.WithRandomizationFactor(1),
		backoff.WithMaxElapsedTime(0), // the library's own limit is 15 minutes
	)
}
