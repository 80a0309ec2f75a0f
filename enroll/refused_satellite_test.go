package enroll_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"icinga-enroll/enroll"
	"icinga-enroll/enroll/secret"
	"icinga-enroll/pki"
)

// Behind a satellite a refused ticket looks like a request that waits.
func TestARequestThatWaitsThoughItHasATicket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		n.Tickets, n.StaticTicket = []enroll.TicketSource{enroll.TicketStatic}, secret.New("ticket")
		n.authority.request = func(string, pki.Request) (pki.Issued, error) {
			return pki.Issued{}, &pki.PendingError{Fingerprint: "aa"}
		}
		_, err := n.Ensure(t.Context())
		if !errors.Is(err, pki.ErrPending) || !strings.Contains(err.Error(), "the CA has refused the ticket (ca.ticket static)") {
			t.Errorf("the error is %v", err)
		}
		n.Tickets = []enroll.TicketSource{enroll.TicketNone}
		if _, err := n.Ensure(t.Context()); !errors.Is(err, pki.ErrPending) || strings.Contains(err.Error(), "ticket") {
			t.Errorf("without a ticket the error is %v", err)
		}
	})
}
