package fleet

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"icinga-enroll/enroll"
	"icinga-enroll/enroll/secret"
	"icinga-enroll/pki"
	"icinga-enroll/pki/pkitest"
	"icinga-enroll/renew"
	"icinga-enroll/selfservice"
)

// The aims, in the program's own policy.
const (
	allEnrolledWithin = 3.0 // times what the Director needs for all
	lateLoad          = 2.0 // times its capacity, in every minute after the first five
)

// overload is a fleet that boots within a minute and a Director that can't take
// it.
type overload struct {
	director *director
	ca       *pkitest.CA
	nodes    int
	enrolled []time.Duration // after the beginning, by node
	tries    []int
}

func TestOverload(t *testing.T) {
	nodes := small(1000, 10000)
	// A smaller fleet has a Director that is smaller by as much.
	directors := []capacity{
		{perSecond: small(3, 30), workers: 8},
		{perSecond: small(3, 30), workers: 8, queue: small(51, 511)},
		{perSecond: small(3, 30), workers: 8, retryAfter: time.Minute},
	}
	table := newTable("Director", "policy", "last host after, min", "of N/capacity", "half of the hosts", "requests sent", "of those needed", "refused", "busiest minute, of capacity", "after five minutes", "tries of a host, median", "most")
	lines := map[capacity][]line{}
	for _, c := range directors {
		for _, p := range policies[:small(2, len(policies))] {
			t.Run(c.String()+"/"+p.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					o := newOverload(t, c, nodes)
					o.boot(t, p)
					o.tell(t, table, p)
					lines[c] = append(lines[c], line{name: p.name, points: o.director.load.line(c)})
				})
			})
		}
	}
	title := fmt.Sprintf("%d nodes boot within one minute, against a simulated Director", nodes)
	publish(t, "overload", title, table)
	for i, c := range directors {
		draw(t, fmt.Sprintf("overload%d", i+1), picture{title: title + ": " + c.String(), x: "minutes", y: "offered load, of its capacity", most: 6, lines: lines[c]})
	}
}

func newOverload(t *testing.T, c capacity, nodes int) *overload {
	ca, err := pkitest.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	return &overload{director: newDirector(c), ca: ca, nodes: nodes, enrolled: make([]time.Duration, nodes), tries: make([]int, nodes)}
}

// boot returns when all are enrolled.
func (o *overload) boot(t *testing.T, p policy) {
	var all sync.WaitGroup
	for i := range o.nodes {
		delay := below(time.Minute) + below(p.splay)
		all.Go(func() {
			time.Sleep(delay)
			o.live(t, p, i)
			o.enrolled[i] = time.Since(o.director.load.began)
		})
	}
	all.Wait()
}

// live is one node until it is enrolled.
func (o *overload) live(t *testing.T, p policy, number int) {
	n, err := newNode(hostName("overload", number), "template key", pki.Trust{Roots: []*x509.Certificate{o.ca.Certificate()}})
	if err != nil {
		t.Error(err)
		return
	}
	defer n.scrap()
	seen := &view{Director: o.director}
	n.Director = seen
	n.Authority = func(pki.Trust) enroll.Authority { return authority{o.ca} }
	ctx, done := context.WithCancel(t.Context())
	defer done()
	ensure := func(ctx context.Context) (time.Time, error) {
		o.tries[number]++
		seen.begin()
		report, err := n.Ensure(ctx)
		if err == nil {
			done()
		}
		return report.Next, err
	}
	if p.make == nil {
		loop := renew.Loop{Ensure: ensure, Judge: judge, Log: hclog.NewNullLogger(), Now: time.Now, Tick: func() bool { return false }}
		_ = loop.Run(ctx)
		return
	}
	for next := p.make(); ; {
		if _, err := ensure(ctx); err == nil {
			return
		} else if !enroll.IsTemporary(err) {
			t.Error(err)
			return
		} else {
			time.Sleep(next(seen.end(err)))
		}
	}
}

// judge is the daemon's, for the errors that there are here.
func judge(err error) (renew.Verdict, time.Duration) {
	if enroll.IsTemporary(err) {
		return renew.Retry, askedFor(err)
	}
	return renew.Despair, 0
}

// view is the Director as one node sees it: with how long it took.
type view struct {
	enroll.Director
	try
}

func (v *view) begin() { v.try = try{} }

func (v *view) end(err error) try {
	v.asked = askedFor(err)
	return v.try
}

func (v *view) saw(began time.Time, err error) {
	if err == nil {
		v.served++
		v.slowest = max(v.slowest, time.Since(began))
	}
}

func (v *view) Register(ctx context.Context, key secret.Text, name string, p selfservice.HostProperties) (_ secret.Text, err error) {
	defer func(began time.Time) { v.saw(began, err) }(time.Now())
	return v.Director.Register(ctx, key, name, p)
}

func (v *view) Parameters(ctx context.Context, key secret.Text) (_ selfservice.Parameters, err error) {
	defer func(began time.Time) { v.saw(began, err) }(time.Now())
	return v.Director.Parameters(ctx, key)
}

func (v *view) Ticket(ctx context.Context, key secret.Text) (_ secret.Text, err error) {
	defer func(began time.Time) { v.saw(began, err) }(time.Now())
	return v.Director.Ticket(ctx, key)
}

// authority signs at once.
type authority struct{ ca *pkitest.CA }

func (a authority) Probe(context.Context, pki.Endpoint) (pki.Peer, error) {
	return pki.Peer{Name: masterName, CA: a.ca.Certificate()}, nil
}

func (a authority) Request(_ context.Context, _ pki.Endpoint, req pki.Request) (pki.Issued, error) {
	now := time.Now()
	cert, err := a.ca.Sign(req.Certificate.PublicKey, req.Certificate.Subject.CommonName, now, now.Add(lifetime))
	return pki.Issued{Certificate: cert, CA: []*x509.Certificate{a.ca.Certificate()}}, err
}

// lifetime is that of an Icinga CA's certificates.
const lifetime = 397 * 24 * time.Hour

// tell adds a row, and holds the program's own policy to the aims.
func (o *overload) tell(t *testing.T, b *table, p policy) {
	d := o.director
	slices.Sort(o.enrolled)
	slices.Sort(o.tries)
	last, half := o.enrolled[o.nodes-1], o.enrolled[o.nodes/2]
	needed := o.nodes * requestsPerHost
	ideal := time.Duration(needed) * time.Second / time.Duration(d.perSecond)
	total := last.Seconds() / ideal.Seconds()
	late := d.load.busiestMinute(5*time.Minute) / float64(d.perSecond)
	b.add(d.capacity, p.name, last.Minutes(), total, half.Seconds()/ideal.Seconds(), d.load.total(), float64(d.load.total())/float64(needed), percent(float64(d.load.refused)/float64(d.load.total())),
		d.load.busiestMinute(0)/float64(d.perSecond), late, o.tries[o.nodes/2], o.tries[o.nodes-1])
	if p.make == nil && (total > allEnrolledWithin || late > lateLoad) {
		missed := fmt.Sprintf("%s, %s: all are enrolled after %.1f times what the Director needs, at most %.0f is the aim; after five minutes it is asked %.1f times what it can, at most %.0f is the aim.",
			d.capacity, p.name, total, allEnrolledWithin, late, lateLoad)
		b.note("Missed: %s", missed)
		t.Error(missed)
	}
}
