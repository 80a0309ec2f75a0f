package enroll

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/pki"
)

// refusedFor is how long a ticket that was refused is not shown again while
// nobody looks on.
const refusedFor = 24 * time.Hour

// sources are where a ticket may come from, in order.
func (n *node) sources() []TicketSource {
	if len(n.Tickets) == 0 {
		return []TicketSource{TicketSelfService}
	}
	return n.Tickets
}

// hasTicketSource reports whether a ticket can be had from somewhere now.
func (n *node) hasTicketSource() bool {
	return slices.ContainsFunc(n.sources(), func(s TicketSource) bool {
		return s != TicketNone && (s != TicketSelfService || n.Director != nil && n.registered())
	})
}

func (n *node) sourceNames() string {
	var names []string
	for _, s := range n.sources() {
		names = append(names, string(s))
	}
	return strings.Join(names, ", else ")
}

// ticket returns that of the first source that has one; the zero ticket where
// somebody is to approve the request.
func (n *node) ticket(ctx context.Context) (secret.Text, error) {
	var failed failures
	for _, source := range n.sources() {
		if source == TicketNone {
			n.noteFailed(failed)
			return secret.Text{}, nil
		}
		ticket, err := n.ticketOf(ctx, source)
		if err == nil {
			n.source = source
			n.noteFailed(failed)
			return ticket, n.refusedBefore(ticket, source)
		}
		if len(n.sources()) > 1 {
			err = fmt.Errorf("ca.ticket %s: %w", source, err)
		}
		failed = append(failed, err)
	}
	return secret.Text{}, failed
}

// noteFailed says which sources were passed over.
func (n *node) noteFailed(failed failures) {
	for _, err := range failed {
		n.note(Step{Name: "ticket", Text: "the next source is used: " + err.Error(), Warning: true})
	}
}

func (n *node) ticketOf(ctx context.Context, source TicketSource) (secret.Text, error) {
	switch source {
	case TicketStatic:
		return n.StaticTicket, nil
	case TicketDirector:
		return n.Controller.Ticket(ctx, n.name)
	case TicketAPI:
		return n.apiTicket(ctx)
	}
	if !n.registered() {
		return secret.Text{}, errors.New("this node has no host API key")
	}
	ticket, err := n.Director.Ticket(ctx, n.hostKey())
	return ticket, n.heard(err)
}

// apiTicket asks the API of the endpoint that is set, or of the parents.
func (n *node) apiTicket(ctx context.Context) (secret.Text, error) {
	endpoints := []pki.Endpoint{{Address: n.API.Address, Names: names(n.API.Name)}}
	if n.API.Address == "" {
		var err error
		if endpoints, err = n.candidates(); err != nil {
			return secret.Text{}, err
		}
	}
	if len(endpoints[0].Names) == 0 {
		return secret.Text{}, fmt.Errorf("api.address: write it as name@%s: every node of this Icinga has a certificate of its CA, so the name has to be checked", n.API.Address)
	}
	if err := n.meetFirstCA(ctx, endpoints); err != nil {
		return secret.Text{}, err
	}
	var failed failures
	for _, ep := range endpoints {
		ticket, err := n.IcingaAPI(ep, n.trust()).GenerateTicket(ctx, n.name)
		if err == nil {
			return ticket, nil
		}
		failed = append(failed, err)
	}
	return secret.Text{}, failed
}

// refusedBefore keeps a ticket back that the CA has refused lately.
func (n *node) refusedBefore(ticket secret.Text, source TicketSource) error {
	if !n.Daemon || hash(ticket) != n.state.RefusedTicket || !n.Now().Before(n.state.RefusedAt.Add(refusedFor)) {
		return nil
	}
	giver := "the Director"
	if source != TicketSelfService {
		giver = "ca.ticket " + string(source)
	}
	return fmt.Errorf("%s still gives the ticket that the CA has refused on %s; it is not shown again before %s; \"icinga-enroll once\" tries at once. %s",
		giver, n.state.RefusedAt.Format(time.DateTime), n.state.RefusedAt.Add(refusedFor).Format(time.DateTime), n.adviseRefused())
}

func (n *node) rememberRefused(ticket secret.Text) error {
	n.state.RefusedTicket, n.state.RefusedAt = hash(ticket), n.Now().UTC()
	return n.save()
}

// hash names a ticket without telling it: it has 160 bits that can't be guessed.
func hash(ticket secret.Text) string {
	sum := sha256.Sum256([]byte(ticket.Reveal()))
	return hex.EncodeToString(sum[:])
}
