package fleet

import (
	"sync"
	"time"
)

// bin is how finely load is told.
const bin = 10 * time.Second

// load is what a Director was asked over time.
type load struct {
	mu      sync.Mutex
	began   time.Time
	offered []int // requests, by bin
	refused int
}

func newLoad() *load { return &load{began: time.Now()} }

func (l *load) offer() {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := int(time.Since(l.began) / bin)
	for len(l.offered) <= i {
		l.offered = append(l.offered, 0)
	}
	l.offered[i]++
}

func (l *load) refuse() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused++
}

func (l *load) total() (requests int) {
	for _, n := range l.offered {
		requests += n
	}
	return requests
}

// busiestMinute is the most that was offered in one minute, in requests a second,
// from so long after the beginning.
func (l *load) busiestMinute(from time.Duration) float64 {
	const bins = int(time.Minute / bin)
	most := 0
	for i := int(from / bin); i < len(l.offered); i += bins {
		sum := 0
		for _, n := range l.offered[i:min(i+bins, len(l.offered))] {
			sum += n
		}
		most = max(most, sum)
	}
	return float64(most) / 60
}

// line is the offered load over the minutes, as a multiple of what c can do.
func (l *load) line(c capacity) []point {
	var points []point
	for i, n := range l.offered {
		points = append(points, point{X: (time.Duration(i) * bin).Minutes(), Y: float64(n) / bin.Seconds() / float64(c.perSecond)})
	}
	return points
}
