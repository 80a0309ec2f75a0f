package fleet

import (
	"container/heap"
	"crypto/x509"
	"time"

	"icinga-enroll/renew"
)

// years are those of a fleet's certificates, as events: who is due next, whether
// there is a Director then, when the one that failed tries again.
type years struct {
	began   time.Time
	away    time.Time // when the Director goes; zero: never
	awayFor time.Duration
	hour    time.Duration // by which renewals are counted

	next    events
	perHour []int // renewals
	expired int   // certificates that ended before the next one came
}

// fleetHour is the fleet with which an hour is an hour. A smaller one is counted
// over as much longer: a share of few is no share.
const fleetHour = 100_000

func newYears(nodes int) *years {
	y := &years{began: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), hour: time.Hour * fleetHour / time.Duration(nodes)}
	for i := range nodes {
		e := &event{host: hostName("years", i)}
		y.issue(e, y.began.Add(below(time.Hour)))
		y.next = append(y.next, e)
	}
	heap.Init(&y.next)
	return y
}

// event is what a node does next.
type event struct {
	at     time.Time
	host   string
	end    time.Time     // of its certificate
	pauses *renew.Pauses // between tries that fail; nil: none has
}

func (y *years) issue(e *event, now time.Time) {
	cert := &x509.Certificate{NotBefore: now, NotAfter: now.Add(lifetime)}
	e.at, e.end, e.pauses = renew.Due(cert, e.host).Rotation, cert.NotAfter, nil
}

// pass lets time go by.
func (y *years) pass(d time.Duration) {
	for e := y.next[0]; e.at.Before(y.began.Add(d)); e = y.next[0] {
		y.try(e)
		heap.Fix(&y.next, 0)
	}
}

func (y *years) try(e *event) {
	if away := e.at.Sub(y.away); away >= 0 && away < y.awayFor {
		if e.pauses == nil {
			e.pauses = renew.NewPauses()
		}
		e.at = e.at.Add(e.pauses.Next(renew.Retry, 0))
		return
	}
	if e.at.After(e.end) {
		y.expired++
	}
	i := int(e.at.Sub(y.began) / y.hour)
	for len(y.perHour) <= i {
		y.perHour = append(y.perHour, 0)
	}
	y.perHour[i]++
	y.issue(e, e.at)
}

// events is a heap, the next one first.
type events []*event

func (q events) Len() int           { return len(q) }
func (q events) Less(i, j int) bool { return q[i].at.Before(q[j].at) }
func (q events) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *events) Push(x any)        { *q = append(*q, x.(*event)) }
func (q *events) Pop() any          { panic("nobody leaves") }
