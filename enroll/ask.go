package enroll

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"icinga-enroll/pki"
	"icinga-enroll/selfservice"
)

// satelliteWait is how long a "pending" isn't believed after a ticket was
// sent: a satellite always says so at first, and has the certificate of its
// master 0.24 to 0.4 s later (observed on Icinga 2 2.13.6 and 2.15.6).
const satelliteWait = 10 * time.Second

// askParameters asks for zone and parents. On a node that has a valid
// certificate a Director that is away is no reason not to renew it.
func (n *node) askParameters(ctx context.Context) (outcome, error) {
	if n.Director == nil || !n.registered() || n.pair != nil && n.nothingDue() && n.keyAccepted() && n.state.Parameters != nil {
		return outcome{}, nil
	}
	n.asked = true
	told, err := n.Director.Parameters(ctx, n.hostKey())
	err = n.heard(err)
	if errors.Is(err, selfservice.ErrKeyRejected) && n.mayRegisterAgain(ctx) {
		return n.registerAgain(ctx)
	}
	if err != nil {
		return outcome{}, err
	}
	return n.useParameters(told)
}

func (n *node) useParameters(told selfservice.Parameters) (outcome, error) {
	if err := tellsNothing(told); err != nil {
		return outcome{}, err
	}
	if err := n.notOneOf(parentNames(told)); err != nil {
		return outcome{}, n.unregister(err)
	}
	n.state.Parameters = &told
	if err := n.askIn(askEvery); err != nil {
		return outcome{}, err
	}
	return says("zone %s, parents %v, CA server %s", told.ParentZone, parentNames(told), told.CAServer)
}

func tellsNothing(told selfservice.Parameters) error {
	if told.ParentZone == "" && told.CAServer == "" {
		return errors.New("the Director tells nothing about this host: the key in director.host_key is a template's, not a host's (a template's belongs in director.template_key)")
	}
	return nil
}

// unregister forgets a registration that must not be used: under the name of a
// parent, which is only known once it has been registered.
func (n *node) unregister(cause error) error {
	if n.pair != nil || n.state.HostKey == "" {
		return cause
	}
	n.state.HostKey, n.state.Name, n.state.Hostname, n.state.HostSettings = "", "", "", nil
	err := fmt.Errorf("%w. It was registered under this name: delete that host in the Director, or, if it is the parent's own, drop its self-service API key there", cause)
	return errors.Join(err, n.save(), n.dropRequest())
}

// canReregister: a dropped key, a key lost to a PUT and a host that was deleted
// on purpose look alike from here, and registering would undo all three. So it
// has to be said, and a prepared host's key isn't ours to replace.
func (n *node) canReregister() bool {
	return n.Reregister && n.HostKey.IsZero() && n.canRegister() && !n.hadSetback()
}

// mayRegisterAgain: that it was said, or the Director has the host, so that only
// its key was lost.
func (n *node) mayRegisterAgain(ctx context.Context) bool {
	return n.canReregister() || n.isThere(ctx)
}

func (n *node) registerAgain(ctx context.Context) (outcome, error) {
	n.state.HostKey = ""
	if out, err := n.register(ctx); err != nil || out.warning {
		return out, err
	}
	if err := n.take(ctx, step{name: "host", do: n.updateHost}); err != nil {
		return outcome{}, err
	}
	told, err := n.Director.Parameters(ctx, n.hostKey())
	if err := n.heard(err); err != nil {
		return outcome{}, err
	}
	if _, err := n.useParameters(told); err != nil {
		return outcome{}, err
	}
	return changed("the Director didn't know the host key any more: registered %s again", n.name)
}

// ask asks one endpoint after the other until one has an answer.
func (n *node) ask(ctx context.Context, req pki.Request) (pki.Issued, error) {
	endpoints, err := n.candidates()
	if err != nil {
		return pki.Issued{}, err
	}
	if err := n.meetFirstCA(ctx, endpoints); err != nil {
		return pki.Issued{}, err
	}
	if stored, _ := n.storedCA(); len(stored) > 0 {
		req.CA = stored[len(stored)-1]
	}
	var failed failures
	for _, ep := range endpoints {
		issued, err := n.askPatiently(ctx, ep, req)
		if err == nil {
			n.state.EnrolledAt = &Reached{Name: issued.Peer.Name, Address: ep.Address}
			return issued, nil
		}
		if final(err) {
			return pki.Issued{}, n.rememberPending(err, req)
		}
		failed = append(failed, err)
	}
	return pki.Issued{}, failed
}

// final reports whether the CA has spoken: asking another endpoint of the same
// zone would put the same question to the same CA.
func final(err error) bool {
	var refused *pki.RefusedError
	return errors.Is(err, pki.ErrPending) || errors.As(err, &refused)
}

// rememberPending keeps what a pending answer says about the request.
func (n *node) rememberPending(err error, req pki.Request) error {
	if !errors.Is(err, pki.ErrPending) || !n.isForANewKey(req) {
		return err // the CA keeps no renewal waiting for a person
	}
	fingerprint := pki.Fingerprint(req.Certificate)
	if n.state.Pending == nil || n.state.Pending.Fingerprint != fingerprint || n.state.PendingRekey != (n.pair != nil) {
		n.settleName()
		n.state.Pending, n.state.PendingRekey = &Waiting{Fingerprint: fingerprint, Since: n.Now().UTC()}, n.pair != nil
		if serr := n.save(); serr != nil {
			return serr
		}
	}
	return err
}

func (n *node) isForANewKey(req pki.Request) bool {
	return n.request != nil && req.Certificate == n.request.cert
}

// askPatiently asks again for a while where the answer is "pending" though the
// request needs nobody's approval: it has a ticket, or renews a certificate.
func (n *node) askPatiently(ctx context.Context, ep pki.Endpoint, req pki.Request) (pki.Issued, error) {
	patience, cancel := context.WithTimeout(ctx, satelliteWait)
	defer cancel()
	for pause := 250 * time.Millisecond; ; pause *= 2 {
		issued, err := n.authority().Request(ctx, ep, req)
		if !errors.Is(err, pki.ErrPending) || req.Ticket.IsZero() && n.isForANewKey(req) {
			return issued, err
		}
		select {
		case <-patience.Done():
			return issued, err
		case <-time.After(pause):
		}
	}
}

// meetFirstCA has the CA of the first endpoint that answers believed, before
// anything is sent, where the operator has said trust_on_first_use.
func (n *node) meetFirstCA(ctx context.Context, endpoints []pki.Endpoint) error {
	if !n.Trust.FirstUse || n.state.CA != "" {
		return nil
	}
	var failed failures
	for _, ep := range endpoints {
		peer, err := n.authority().Probe(ctx, ep)
		if err == nil {
			return n.believe(peer.CA)
		}
		failed = append(failed, err)
	}
	return failed
}

// rememberCA keeps the CA certificates of an answer, of which an Icinga CA that
// is about to expire has a new one, and returns those to put beside the node's
// certificate, signer among them: all that are still valid. What isn't trusted
// is left out.
func (n *node) rememberCA(signer *x509.Certificate, issued pki.Issued) ([]*x509.Certificate, error) {
	known, former := n.storedCA()
	before := len(known)
	trusted, foreign := n.trust().Sift(append([]*x509.Certificate{signer}, issued.CA...))
	if len(foreign) > 0 {
		n.note(Step{Name: "trust", Warning: true, Text: fmt.Sprintf("the answer also names CAs that aren't trusted, which are left out: %d, the first is %q, %s", len(foreign), foreign[0].Subject, pki.PublicKeyPin(foreign[0]))})
	}
	for _, c := range trusted {
		if !slices.ContainsFunc(known, c.Equal) {
			known = append(known, c)
		}
	}
	for _, c := range former {
		n.note(Step{Name: "trust", Changed: true, Text: fmt.Sprintf("another CA is configured now: %q, %s, isn't believed any more", c.Subject, pki.PublicKeyPin(c))})
	}
	if before > 0 && len(known) > before {
		latest := known[len(known)-1]
		n.note(Step{Name: "trust", Changed: true, Text: fmt.Sprintf("the CA has renewed its certificate: %s, valid until %s", pki.CertificatePin(latest), latest.NotAfter.UTC().Format(time.DateOnly))})
	}
	n.state.CA = string(pki.EncodeCertificates(known...))
	valid := slices.DeleteFunc(known, func(c *x509.Certificate) bool { return n.Now().After(c.NotAfter) })
	return valid, n.save()
}
