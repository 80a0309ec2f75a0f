package enroll

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/pki"
	"icinga-enroll/renew"
)

// obtain gets a certificate: the first one for a new key, or the next one for a
// pair that is due. When that fails nothing is lost: the old pair stays in use.
func (n *node) obtain(ctx context.Context) (outcome, error) {
	if n.pair == nil {
		if err := n.enrolKey(ctx, reasonEnrolled); err != nil {
			return outcome{}, err
		}
		return n.obtained()
	}
	if n.nothingDue() {
		return outcome{}, nil
	}
	if n.room != nil {
		return outcome{}, nil //nolint:nilerr // the key's step has said it: what the CA sent could not be kept
	}
	err := n.replace(ctx)
	switch {
	case errors.Is(err, pki.ErrNotDue):
		return says("by the CA's clock it isn't due yet: it renews in the last 30 days")
	case n.rekeyWaits() && errors.Is(err, pki.ErrPending):
		n.setback = err
		return warns("the request for a new key waits; the certificate in use is valid until %s: %s", n.pair.cert.NotAfter.UTC().Format(time.DateTime), err)
	case err != nil:
		n.setback = fmt.Errorf("renewal: %w", err)
		return warns("not renewed, the certificate in use is valid until %s: %s", n.pair.cert.NotAfter.UTC().Format(time.DateTime), err)
	}
	return n.obtained()
}

func (n *node) obtained() (outcome, error) {
	return changed("%s, valid until %s, %s", n.reason, n.pair.cert.NotAfter.UTC().Format(time.DateOnly), n.certFile())
}

// replace puts a new pair in the place of one that is due: with a new key where
// that can be, else, once the CA does that, with the same.
func (n *node) replace(ctx context.Context) error {
	var failed ways
	if n.Wish == Rekey || n.rekeyWaits() || n.Wish == WhenDue && n.rotates() {
		err := n.rotate(ctx)
		if err == nil || n.stuck || n.Wish == Rekey {
			return err
		}
		failed = append(failed, fmt.Errorf("with a new key: %w", err))
	}
	if n.Wish == Renewal || !n.Now().Before(renew.Due(n.pair.cert, n.name).Renewal) {
		err := n.renewKey(ctx)
		if err == nil || n.stuck {
			return err
		}
		if errors.Is(err, pki.ErrNotDue) && len(failed) > 0 {
			return failed // what kept the new key away is what somebody should know
		}
		failed = append(failed, fmt.Errorf("with the same key: %w", err))
	}
	return failed
}

// rekeyWaits reports whether a new key for a node that has a certificate waits
// for approval: it is asked for again, due or not, until it is here.
func (n *node) rekeyWaits() bool {
	return n.pair != nil && n.state.Pending != nil && n.state.PendingRekey
}

// rotate enrols a new key beside the old one.
func (n *node) rotate(ctx context.Context) error {
	if !n.hasTicketSource() && !slices.Contains(n.sources(), TicketNone) {
		return errors.New("a new key takes a ticket, and for that the host API key, which isn't here: drop this host's self-service API key in the Director, then run icinga-enroll once --director-reregister")
	}
	if _, err := n.takeRequest(); err != nil {
		return err
	}
	n.sayStore(n.request.key, "icinga-enroll discard-request, then renew --rekey,")
	return n.enrolKey(ctx, reasonRekeyed)
}

// enrolWith asks with one ticket, or with none.
func (n *node) enrolWith(ctx context.Context, ticket secret.Text, reason string) error {
	issued, err := n.ask(ctx, pki.Request{Certificate: n.request.cert, Ticket: ticket})
	if err != nil {
		return err
	}
	return n.accept(n.request.key, issued, reason)
}

// renewKey shows the old certificate and no ticket: the CA renews what it has
// signed itself once 30 days or less are left.
func (n *node) renewKey(ctx context.Context) error {
	issued, err := n.ask(ctx, pki.Request{Certificate: n.pair.cert})
	if err != nil {
		return err
	}
	if c := issued.Certificate; c != nil && !c.NotAfter.After(n.pair.cert.NotAfter) && n.Now().Before(c.NotAfter) {
		return n.unused(fmt.Errorf("it ends on %s, no later than the certificate in use", c.NotAfter.UTC().Format(time.DateTime)))
	}
	return n.accept(n.pair.key, issued, reasonRenewed)
}

// adviseRefused says what can be done about a ticket that the CA refuses.
func (n *node) adviseRefused(source TicketSource) string {
	switch source {
	case TicketStatic:
		return fmt.Sprintf("The ticket of ca.static_ticket or ca.static_ticket_file is not one for %s by this CA: on the CA's machine, icinga2 pki ticket --cn %[1]s makes one", n.name)
	case TicketAPI, TicketDirector:
		return fmt.Sprintf("Whoever gave it (ca.ticket %s) has another TicketSalt than the CA, or knows %s in upper or lower case", source, n.name)
	}
	return n.adviseRenamed()
}

// adviseRenamed says what can be done about a ticket for another name: the host
// key is still the host's, so the ticket is for the name that it has now.
func (n *node) adviseRenamed() string {
	if !n.HostKey.IsZero() {
		return fmt.Sprintf("Most likely the key in director.host_key or director.host_key_file is that of another host than %s: set it to this host's, or host.name to that one's name. Or the host was renamed in the Director: rename it back there, or set host.name to its new name", n.name)
	}
	return fmt.Sprintf("Most likely the host was renamed in the Director. Either rename it back to %s there, then icinga-enroll once. Or take over the new name: stop the service, move %s away, set host.name to the new name (or the hostname, where that says it), drop the host's self-service API key in the Director, then icinga-enroll once", n.name, n.StateDir)
}

// unused says who has sent what err is wrong with.
func (n *node) unused(err error) error {
	return fmt.Errorf("what %s at %s sent isn't used, and what is here stays as it was; Icinga's log there may say more: %w", n.state.EnrolledAt.Name, n.state.EnrolledAt.Address, err)
}

// accept verifies what came back and puts it in place.
func (n *node) accept(key crypto.Signer, issued pki.Issued, reason string) error {
	signer, err := n.trust().VerifyIssued(issued, key.Public(), n.name, n.Now())
	if err != nil {
		return n.unused(err)
	}
	if err := pki.CheckKey(key); err != nil {
		return err // what is in force gives way to no key that can't be used; the request stays
	}
	ca, err := n.rememberCA(signer, issued)
	if err != nil {
		return err
	}
	if err := n.keepUncertified(issued.Certificate); err != nil {
		return err
	}
	n.reason = reason
	return n.switchTo(&pair{key: key, cert: issued.Certificate, ca: signer}, ca)
}

// keepUncertified is keepKey for a key whose certificate is still to come: one
// that is replaced together with its certificate has done its work.
func (n *node) keepUncertified(next *x509.Certificate) error {
	there, _, err := n.readPair()
	if err == nil && there.key != nil && there.cert != nil && pki.Matches(there.cert, there.key.Public()) {
		return nil
	}
	return n.keepKey(next)
}
