package renew

import (
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v4"
)

const (
	retryFrom   = 4 * time.Second // the longest first pause
	retryTo     = 30 * time.Minute
	rarely      = 3 * time.Hour // the mean between two tries of what somebody has to mend
	pollFrom    = time.Second
	pollTo      = 30 * time.Second // the mean while an approval may come soon
	pollEager   = time.Hour        // how long that is
	pollPatient = 5 * time.Minute  // the mean from then on: an approval may take days
	soon        = 5 * time.Second  // the mean between two looks at this machine
)

// Verdict says what an error of ensure means for the next try.
type Verdict int

// What an error may mean.
const (
	Retry   Verdict = iota // may pass: try again soon, then less and less often
	Wait                   // somebody may approve at any moment: poll
	Despair                // somebody has to mend it: try rarely
	Local                  // this machine isn't ready, and no server was asked: look again soon
)

// Pauses are those between tries, one growing row for each verdict, until
// something goes well.
type Pauses struct {
	ceiling time.Duration // of the next pause before a retry
	poll    backoff.BackOff
	polled  time.Duration // since something went well
}

// NewPauses returns those after something went well.
func NewPauses() *Pauses {
	return &Pauses{ceiling: retryFrom, poll: jittered(pollFrom, pollTo)}
}

// Next is the pause after a try that ended with v, when a server asked to be left
// alone for so long (Retry-After), 0 if it didn't.
func (p *Pauses) Next(v Verdict, asked time.Duration) time.Duration {
	switch v {
	case Wait:
		return max(p.patient(p.poll.NextBackOff()), asked)
	case Local:
		return p.patient(jittered(soon, soon).NextBackOff())
	case Despair:
		return max(rarely/12, jittered(rarely, rarely).NextBackOff(), asked)
	default:
		return p.nextRetry(asked)
	}
}

// nextRetry has full jitter below a ceiling that triples: ten thousand nodes
// that boot at once have to come down to what a Director serves within minutes.
// All of them were asked to wait for the same time, so what a server asks for
// comes before the jitter, and the jitter is over twice as long.
func (p *Pauses) nextRetry(asked time.Duration) time.Duration {
	p.ceiling = max(p.ceiling, min(2*asked, retryTo))
	pause := asked + rand.N(p.ceiling) //nolint:gosec // not a secret
	p.ceiling = min(3*p.ceiling, retryTo)
	return pause
}

// patient is pause, until it has been waited for long enough to expect nothing soon.
func (p *Pauses) patient(pause time.Duration) time.Duration {
	if p.polled += pause; p.polled > pollEager {
		pause = jittered(pollPatient, pollPatient).NextBackOff()
	}
	return pause
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
