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
	"icinga-enroll/selfservice"
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

func joinSources(sources []TicketSource, separator string) string {
	var names []string
	for _, s := range sources {
		names = append(names, string(s))
	}
	return strings.Join(names, separator)
}

// enrolKey asks for a certificate for the key of n.request, with the ticket of
// one source after the other until the CA takes one. A request that waits with a
// ticket may have a refused one, behind a satellite: it is shown with the next,
// though not without. Whatever else the CA says is its answer to all of them.
func (n *node) enrolKey(ctx context.Context, reason string) error {
	var failed unticketed
	var waits *ticketWaits
	for _, source := range n.sources() {
		if waits != nil && source == TicketNone {
			break // nor would its ticket be taken any more where the master was only away
		}
		if len(failed) > 0 {
			n.note(Step{Name: "ticket", Text: "the next source is used: " + failed[len(failed)-1].Error(), Warning: true})
		}
		ticket, err := n.ticketOf(ctx, source)
		if err == nil {
			err = n.enrolWith(ctx, ticket, reason)
			switch {
			case isPending(err) && !ticket.IsZero():
				waits = &ticketWaits{err, append(waits.with(), source)}
			case errors.Is(err, pki.ErrInvalidTicket):
				err = errors.Join(fmt.Errorf("%w\n  %s", err, n.adviseRefused(source)), n.rememberRefused(ticket))
			case err == nil || waits == nil:
				return err
			}
		}
		failed = append(failed, n.nameSource(source, err))
	}
	if waits != nil {
		return n.stillWaits(waits, failed[len(failed)-1])
	}
	return failed
}

// stillWaits says what became of the last source, where another's ticket waits.
func (n *node) stillWaits(waits *ticketWaits, last error) error {
	if !isPending(last) {
		n.note(Step{Name: "ticket", Text: last.Error(), Warning: true})
	}
	return waits
}

// ticketWaits is a request that waits though there was a ticket with it.
type ticketWaits struct {
	error
	sources []TicketSource
}

func (w *ticketWaits) with() []TicketSource {
	if w == nil {
		return nil
	}
	return w.sources
}

func (w *ticketWaits) Error() string { return w.error.Error() + ". " + w.doubt() }
func (w *ticketWaits) Unwrap() error { return w.error }

// doubt is what else a wait with a ticket may mean.
func (w *ticketWaits) doubt() string {
	return fmt.Sprintf("Or the CA has refused the ticket (ca.ticket %s): behind a satellite that looks the same; its log on the master tells", joinSources(w.sources, ", "))
}

// nameSource has the source in err, unless it is the only one and nobody has
// chosen it.
func (n *node) nameSource(source TicketSource, err error) error {
	if len(n.sources()) == 1 && source == TicketSelfService {
		return err
	}
	return fmt.Errorf("ca.ticket %s: %w", source, err)
}

// ticketOf returns the zero ticket where somebody is to approve the request.
func (n *node) ticketOf(ctx context.Context, source TicketSource) (ticket secret.Text, err error) {
	switch source {
	case TicketNone:
		return secret.Text{}, nil
	case TicketStatic:
		ticket = n.StaticTicket
	case TicketDirector:
		if ticket, err = n.Controller.Ticket(ctx, n.name); errors.Is(err, selfservice.ErrNoHost) {
			err = n.adviseNoHost(ctx, err)
		}
	case TicketAPI:
		ticket, err = n.apiTicket(ctx)
	default:
		ticket, err = n.ownTicket(ctx)
	}
	if err != nil {
		return secret.Text{}, err
	}
	return ticket, n.refusedBefore(ticket, source)
}

// ownTicket asks with the host's own key.
func (n *node) ownTicket(ctx context.Context) (secret.Text, error) {
	switch {
	case n.registered():
		ticket, err := n.Director.Ticket(ctx, n.hostKey())
		return ticket, n.heard(err)
	case n.unregistered != nil:
		return secret.Text{}, n.unregistered
	}
	return secret.Text{}, errors.New("this node has no host API key")
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

// refusedBefore keeps a ticket back that the CA has refused: to the daemon
// within a day, to anybody else in this run, however often it tries.
func (n *node) refusedBefore(ticket secret.Text, source TicketSource) error {
	giver := "the Director"
	if source != TicketSelfService {
		giver = "ca.ticket " + string(source)
	}
	at := n.state.RefusedTickets[hash(ticket)]
	switch {
	case n.Daemon && n.Now().Before(at.Add(refusedFor)):
		return fmt.Errorf("%s still gives the ticket that the CA has refused on %s; it is not shown again before %s; \"icinga-enroll once\" tries at once. %s",
			giver, at.Format(time.DateTime), at.Add(refusedFor).Format(time.DateTime), n.adviseRefused(source))
	case slices.Contains(n.refused, hash(ticket)):
		return fmt.Errorf("%s gives a ticket that the CA has just refused; it is not shown again. %s", giver, n.adviseRefused(source))
	}
	return nil
}

// rememberRefused forgets the tickets whose day is over.
func (n *node) rememberRefused(ticket secret.Text) error {
	if !n.Daemon {
		n.refused = append(n.refused, hash(ticket))
	}
	now := n.Now().UTC()
	recent := map[string]time.Time{hash(ticket): now}
	for other, at := range n.state.RefusedTickets {
		if now.Before(at.Add(refusedFor)) && other != hash(ticket) {
			recent[other] = at
		}
	}
	n.state.RefusedTickets = recent
	return n.save()
}

// hash names a ticket without telling it: it has 160 bits that can't be guessed.
func hash(ticket secret.Text) string {
	sum := sha256.Sum256([]byte(ticket.Reveal()))
	return hex.EncodeToString(sum[:])
}
