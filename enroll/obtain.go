package enroll

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"time"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/pki"
)

// satelliteWait is how long a "pending" isn't believed after a ticket was
// sent: a satellite always says so at first, and has the certificate of its
// master 0.24 to 0.4 s later (observed on Icinga 2 2.13.6 and 2.15.6).
const satelliteWait = 10 * time.Second

// askParameters asks for zone and parents. On a node that has a valid
// certificate a Director that is away is no reason not to renew it.
func (n *node) askParameters(ctx context.Context) (outcome, error) {
	if n.Director == nil || !n.registered() {
		return outcome{}, nil
	}
	told, err := n.Director.Parameters(ctx, n.hostKey())
	if err != nil && n.pair != nil && n.state.Parameters != nil {
		return warns("the Director doesn't tell them, those of before are used: %s", err)
	}
	if err != nil {
		return outcome{}, err
	}
	if err := n.notOneOf(parentNames(told)); err != nil {
		return outcome{}, err
	}
	n.settleName()
	n.state.Parameters = &told
	if err := n.save(); err != nil {
		return outcome{}, err
	}
	return says("zone %s, parents %v, CA server %s", told.ParentZone, parentNames(told), told.CAServer)
}

// obtain gets a certificate: the first one for a new key, or, for a pair that
// is due, a later one for the same key. A failed renewal costs nothing: the
// old certificate stays and is used.
func (n *node) obtain(ctx context.Context) (outcome, error) {
	if n.pair == nil {
		return n.enrolKey(ctx)
	}
	if n.Now().Before(n.due()) {
		return outcome{}, nil
	}
	if err := n.renewKey(ctx); err != nil {
		n.renewalError = fmt.Errorf("renewal: %w", err)
		return warns("not renewed, the certificate in use is valid until %s: %s", n.pair.cert.NotAfter.UTC().Format(time.DateTime), err)
	}
	return n.obtained()
}

func (n *node) obtained() (outcome, error) {
	return changed("valid until %s, %s", n.pair.cert.NotAfter.UTC().Format(time.DateOnly), n.certFile())
}

func (n *node) enrolKey(ctx context.Context) (outcome, error) {
	ticket, err := n.ticket(ctx)
	if err != nil {
		return outcome{}, err
	}
	issued, err := n.ask(ctx, pki.Request{Certificate: n.request.cert, Ticket: ticket})
	if err != nil {
		return outcome{}, err
	}
	if err := n.accept(n.request.key, issued); err != nil {
		return outcome{}, err
	}
	return n.obtained()
}

// renewKey shows the old certificate and no ticket: the CA renews what it has
// signed itself once 30 days or less are left.
func (n *node) renewKey(ctx context.Context) error {
	issued, err := n.ask(ctx, pki.Request{Certificate: n.pair.cert})
	if errors.Is(err, pki.ErrNotDue) {
		return fmt.Errorf("by the CA's clock it isn't due yet: %w", err)
	}
	if err != nil {
		return err
	}
	return n.accept(n.pair.key, issued)
}

func (n *node) ticket(ctx context.Context) (secret.Text, error) {
	if n.Ticket == TicketNone {
		return secret.Text{}, nil
	}
	return n.Director.Ticket(ctx, n.hostKey())
}

// ask asks one endpoint after the other until one has an answer.
func (n *node) ask(ctx context.Context, req pki.Request) (pki.Issued, error) {
	endpoints, err := n.candidates()
	if err != nil {
		return pki.Issued{}, err
	}
	if err := n.pinFirstCA(ctx, endpoints); err != nil {
		return pki.Issued{}, err
	}
	var failed failures
	for _, ep := range endpoints {
		issued, err := n.askPatiently(ctx, ep, req)
		if err == nil {
			return issued, nil
		}
		if final(err) {
			return pki.Issued{}, n.remember(err, req)
		}
		failed = append(failed, err)
	}
	return pki.Issued{}, failed
}

// final reports whether the CA has spoken: asking another endpoint of the same
// zone would put the same question to the same CA.
func final(err error) bool {
	var refused *pki.RefusedError
	return errors.Is(err, pki.ErrPending) || errors.As(err, &refused) || errors.Is(err, pki.ErrNotDue)
}

// remember keeps what a pending answer says about the request.
func (n *node) remember(err error, req pki.Request) error {
	if !errors.Is(err, pki.ErrPending) || n.pair != nil {
		return err
	}
	fingerprint := pki.Fingerprint(req.Certificate)
	if n.state.Pending == nil || n.state.Pending.Fingerprint != fingerprint {
		n.settleName()
		n.state.Pending = &Waiting{Fingerprint: fingerprint, Since: n.Now().UTC()}
	}
	return errors.Join(err, n.save())
}

// askPatiently asks again for a while where a ticket was sent and the answer
// is "pending".
func (n *node) askPatiently(ctx context.Context, ep pki.Endpoint, req pki.Request) (pki.Issued, error) {
	patience, cancel := context.WithTimeout(ctx, satelliteWait)
	defer cancel()
	for pause := 250 * time.Millisecond; ; pause *= 2 {
		issued, err := n.authority().Request(ctx, ep, req)
		if !errors.Is(err, pki.ErrPending) || req.Ticket.IsZero() {
			return issued, err
		}
		select {
		case <-patience.Done():
			return issued, err
		case <-time.After(pause):
		}
	}
}

// pinFirstCA makes the first CA that is seen the one to believe from then on,
// where the operator has said trust_on_first_use.
func (n *node) pinFirstCA(ctx context.Context, endpoints []pki.Endpoint) error {
	if !n.Trust.FirstUse || n.state.CA != "" {
		return nil
	}
	var failed failures
	for _, ep := range endpoints {
		peer, err := n.authority().Probe(ctx, ep)
		if err == nil {
			n.state.CA = string(pki.EncodeCertificates(peer.CA))
			return n.save()
		}
		failed = append(failed, err)
	}
	return failed
}

// accept verifies what came back and puts it in place.
func (n *node) accept(key crypto.Signer, issued pki.Issued) error {
	if err := n.trust().VerifyIssued(issued, key.Public(), n.name, n.Now()); err != nil {
		return fmt.Errorf("what the CA sent isn't used: %w", err)
	}
	return n.switchTo(&pair{key, issued.Certificate}, issued.CA)
}
