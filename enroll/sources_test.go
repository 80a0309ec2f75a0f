package enroll_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"icinga-enroll/enroll"
	"icinga-enroll/enroll/secret"
	"icinga-enroll/pki"
	"icinga-enroll/selfservice"
)

// ticketAPI gives one ticket, or an error.
type ticketAPI struct {
	ticket string
	err    error
}

func (a ticketAPI) GenerateTicket(context.Context, string) (secret.Text, error) {
	return secret.New(a.ticket), a.err
}

// newSourced is a node whose CA takes the ticket "good" only, and has the others
// wait or be refused. Its static ticket is bad, the API's good.
func newSourced(t *testing.T, sources ...enroll.TicketSource) (n *node, shown *[]string) {
	t.Helper()
	n, shown = newNode(t), &[]string{}
	n.Tickets, n.StaticTicket = sources, secret.New("bad")
	n.Endpoints = []enroll.Endpoint{{Name: "master1", Address: "192.0.2.1:5665"}}
	n.IcingaAPI = func(pki.Endpoint, pki.Trust) enroll.TicketAPIClient { return ticketAPI{ticket: "good"} }
	n.authority.request = func(_ string, req pki.Request) (pki.Issued, error) {
		*shown = append(*shown, req.Ticket.Reveal())
		switch req.Ticket.Reveal() {
		case "good":
			return n.authority.sign(req.Certificate.PublicKey, nodeName)
		case "":
			return pki.Issued{}, pki.ErrPending
		}
		return pki.Issued{}, &pki.RefusedError{Message: "Invalid ticket for CN 'web1.example.com'."}
	}
	return n, shown
}

func wantShown(t *testing.T, shown *[]string, want ...string) {
	t.Helper()
	if !slices.Equal(*shown, want) {
		t.Errorf("the CA was shown the tickets %q, want %q", *shown, want)
	}
}

func TestRefusedTicketIsFollowedByThatOfTheNextSource(t *testing.T) {
	n, shown := newSourced(t, enroll.TicketSelfService, enroll.TicketStatic, enroll.TicketAPI)
	r := n.mustEnsure(t)
	wantShown(t, shown, "ticket", "bad", "good")
	for i, source := range []string{"self-service", "static"} {
		if want := "ca.ticket " + source + ": "; !strings.Contains(stepsOf(r, "ticket")[i], want) {
			t.Errorf("%q doesn't say that it was %s's", stepsOf(r, "ticket")[i], source)
		}
	}
}

// stepsOf are the texts of the steps of that name.
func stepsOf(r enroll.Report, name string) []string {
	var texts []string
	for _, s := range r.Steps {
		if s.Name == name {
			texts = append(texts, s.Text)
		}
	}
	return texts
}

// While the request waits for approval the CA isn't shown the ticket at every
// try: its master logs it.
func TestRefusedTicketIsShownOnceWhileTheRequestWaits(t *testing.T) {
	for _, daemon := range []bool{false, true} {
		n, shown := newSourced(t, enroll.TicketStatic, enroll.TicketNone)
		n.Daemon = daemon
		for range 3 {
			if _, err := n.Ensure(t.Context()); !errors.Is(err, pki.ErrPending) {
				t.Errorf("%v, want that it waits", err)
			}
		}
		wantShown(t, shown, "bad", "", "", "")
	}
}

// behindSatellite has the CA's refusals look like a request that waits.
func behindSatellite(n *node) (certificates map[string]bool) {
	certificates = map[string]bool{}
	direct := n.authority.request
	n.authority.request = func(address string, req pki.Request) (pki.Issued, error) {
		certificates[pki.Fingerprint(req.Certificate)] = true
		issued, err := direct(address, req)
		if errors.Is(err, pki.ErrInvalidTicket) {
			err = pki.ErrPending
		}
		return issued, err
	}
	return certificates
}

func TestBehindASatelliteTheNextSourceIsTriedWithTheSameRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, shown := newSourced(t, enroll.TicketStatic, enroll.TicketAPI, enroll.TicketNone)
		certificates := behindSatellite(n)
		n.mustEnsure(t)
		if last := (*shown)[len(*shown)-1]; last != "good" || len(certificates) != 1 {
			t.Errorf("the last ticket is %q, of %d requests", last, len(certificates))
		}
	})
}

// Without its ticket somebody would have to approve a request that only waits for
// a master to come back.
func TestARequestThatWaitsWithATicketIsNotShownWithout(t *testing.T) {
	for what, api := range map[string]ticketAPI{"a ticket that waits as well": {ticket: "bad too"}, "no ticket": {err: errors.New("the API says no")}} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, shown := newSourced(t, enroll.TicketStatic, enroll.TicketAPI, enroll.TicketNone)
				behindSatellite(n)
				n.IcingaAPI = func(pki.Endpoint, pki.Trust) enroll.TicketAPIClient { return api }
				r, err := n.Ensure(t.Context())
				if !errors.Is(err, pki.ErrPending) || slices.Contains(*shown, "") {
					t.Errorf("%v, having shown %q", err, *shown)
				}
				if api.err != nil && !slices.ContainsFunc(stepsOf(r, "ticket"), func(said string) bool { return strings.Contains(said, "the API says no") }) {
					t.Errorf("what the API said is not in %q", stepsOf(r, "ticket"))
				}
				s, err := enroll.ReadStatus(n.StateDir)
				if err != nil || !strings.Contains(s.NextStep, "ca sign") || !strings.Contains(s.NextStep, "Or the CA has refused the ticket (ca.ticket static") {
					t.Errorf("the next step is %q (%v)", s.NextStep, err)
				}
			})
		})
	}
}

// Trying again helps where one of the sources is only away.
func TestSourcesOfWhichOneIsAwayMayHaveATicketLater(t *testing.T) {
	n, _ := newSourced(t, enroll.TicketAPI, enroll.TicketStatic)
	n.IcingaAPI = func(pki.Endpoint, pki.Trust) enroll.TicketAPIClient { return ticketAPI{err: errDead{}} }
	if _, err := n.Ensure(t.Context()); !enroll.IsTemporary(err) {
		t.Errorf("%v is for ever", err)
	}
	n, _ = newSourced(t, enroll.TicketStatic)
	if _, err := n.Ensure(t.Context()); err == nil || enroll.IsTemporary(err) {
		t.Errorf("%v, of the one source, may pass", err)
	}
}

func TestTicketOfTwoSourcesIsShownOnce(t *testing.T) {
	n, shown := newSourced(t, enroll.TicketStatic, enroll.TicketAPI)
	n.IcingaAPI = func(pki.Endpoint, pki.Trust) enroll.TicketAPIClient { return ticketAPI{ticket: "bad"} }
	_, err := n.Ensure(t.Context())
	for _, want := range []string{"no source of a ticket would do", "ca.ticket static: ", "Invalid ticket", "ca.ticket icinga-api: ", "has just refused"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v doesn't say %q", err, want)
		}
	}
	wantShown(t, shown, "bad")
}

func TestEveryRefusedTicketIsKeptBackByTheDaemon(t *testing.T) {
	n, shown := newSourced(t, enroll.TicketSelfService, enroll.TicketStatic)
	n.Daemon = true
	for range 3 {
		if _, err := n.Ensure(t.Context()); err == nil {
			t.Error("no error")
		}
	}
	wantShown(t, shown, "ticket", "bad")
}

// A Director that fails is no end where a ticket comes from elsewhere, and one
// where it doesn't.
func TestDirectorThatFailsWhereATicketComesFromElsewhere(t *testing.T) {
	rejected := fmt.Errorf("HTTP status 404: %w", selfservice.ErrKeyRejected)
	for what, fail := range map[string]func(n *node){
		"registering":        func(n *node) { n.director.register = func(context.Context) error { return errDead{} } },
		"the answer is lost": func(n *node) { n.director.register = func(context.Context) error { return selfservice.ErrAnswerLost } },
		"no key":             func(n *node) { n.TemplateKey = secret.Text{} },
		"a prepared host's key": func(n *node) {
			n.HostKey = secret.New(hostKey)
			n.director.parameters = func() (selfservice.Parameters, error) { return selfservice.Parameters{}, rejected }
			n.director.ticket = func() error { return rejected }
		},
		"an Icinga Web user": func(n *node) { n.Controller = &leaver{away: errDead{}} },
	} {
		n, shown := newSourced(t, enroll.TicketSelfService, enroll.TicketAPI)
		fail(n)
		r := n.mustEnsure(t)
		wantShown(t, shown, "good")
		if r.Setback == nil {
			t.Errorf("%s: nobody is told", what)
		}
		alone, _ := newSourced(t, enroll.TicketSelfService)
		fail(alone)
		if _, err := alone.Ensure(t.Context()); err == nil {
			t.Errorf("%s: no error without another source", what)
		}
	}
}

// The error of the register step isn't lost when the other sources fail as well.
func TestEachSourceSaysWhatItSaid(t *testing.T) {
	n, _ := newSourced(t, enroll.TicketSelfService, enroll.TicketAPI)
	n.director.register = func(context.Context) error { return errors.New("the Director says no") }
	n.IcingaAPI = func(pki.Endpoint, pki.Trust) enroll.TicketAPIClient {
		return ticketAPI{err: errors.New("the API says no")}
	}
	_, err := n.Ensure(t.Context())
	for _, want := range []string{"ca.ticket self-service: the Director says no", "ca.ticket icinga-api: the API says no"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v doesn't say %q", err, want)
		}
	}
}

// A ticket of another source must not help to a name that isn't this node's to have.
func TestNoOtherSourceForAWrongName(t *testing.T) {
	for what, wrong := range map[string]func(n *node){
		"a template's": func(n *node) { n.Controller = &leaver{host: &selfservice.Host{Name: nodeName, Type: "template"}} },
		"in other case": func(n *node) {
			n.Controller = &leaver{host: &selfservice.Host{Name: "WEB1.example.com", Type: "object"}}
		},
		"another machine's": func(n *node) {
			n.director.register = func(context.Context) error { return selfservice.ErrAlreadyRegistered }
		},
		"a parent's own": func(n *node) {
			n.director.parameters = parameters(func(p *selfservice.Parameters) { p.CAServer = nodeName })
		},
	} {
		n, shown := newSourced(t, enroll.TicketSelfService, enroll.TicketAPI, enroll.TicketNone)
		wrong(n)
		if _, err := n.Ensure(t.Context()); err == nil {
			t.Errorf("%s: no error", what)
		}
		wantShown(t, shown)
	}
}
