package fleet

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/selfservice"
)

const masterName = "master1"

// capacity is what a Director can do.
type capacity struct {
	perSecond  int           // requests
	workers    int           // of PHP-FPM
	queue      int           // requests that wait for a worker; more are refused with a 503
	retryAfter time.Duration // what the 503 says; 0: nothing
}

// director is a simulated one. It answers every request, has a worker busy for
// as long as it takes, and refuses what it can't take.
type director struct {
	capacity
	workers chan struct{}
	inside  atomic.Int32
	load    *load
}

func newDirector(c capacity) *director {
	return &director{capacity: c, workers: make(chan struct{}, c.workers), load: newLoad()}
}

// busyError is a 503.
type busyError struct{ retryAfter time.Duration }

func (busyError) Error() string   { return "the server is too busy" }
func (busyError) Temporary() bool { return true }

// serve is one request.
func (d *director) serve(ctx context.Context) error {
	d.load.offer()
	defer d.inside.Add(-1)
	if int(d.inside.Add(1)) > cap(d.workers)+d.queue {
		d.load.refuse()
		return busyError{d.retryAfter}
	}
	select {
	case d.workers <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-d.workers }()
	time.Sleep(time.Duration(d.capacity.workers) * time.Second / time.Duration(d.perSecond))
	return nil
}

func (d *director) Register(ctx context.Context, _ secret.Text, name string, _ selfservice.HostProperties) (secret.Text, error) {
	if err := d.serve(ctx); err != nil {
		return secret.Text{}, err
	}
	return secret.New("key of " + name), nil
}

func (d *director) Parameters(ctx context.Context, _ secret.Text) (selfservice.Parameters, error) {
	return selfservice.Parameters{
		ParentZone: "master", CAServer: masterName,
		Parents: []selfservice.Parent{{Name: masterName, Host: "192.0.2.1", Port: "5665"}},
	}, d.serve(ctx)
}

func (d *director) Ticket(ctx context.Context, _ secret.Text) (secret.Text, error) {
	return secret.New("ticket"), d.serve(ctx)
}

// requestsPerHost are those of an enrolment that nothing disturbs: parameters
// with the template's key, register-host, parameters with the host's, ticket.
const requestsPerHost = 4

func (c capacity) String() string {
	text := fmt.Sprintf("%d requests a second, %d workers", c.perSecond, c.workers)
	switch {
	case c.queue > 0:
		text += fmt.Sprintf(", %d wait, then 503", c.queue)
	default:
		text += ", then 503"
	}
	if c.retryAfter > 0 {
		text += fmt.Sprintf(" with Retry-After: %.0f", c.retryAfter.Seconds())
	}
	return text
}
