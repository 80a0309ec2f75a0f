package enroll

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"

	"icinga-enroll/pki"
	"icinga-enroll/selfservice"
)

// checkEndpoints asks the configured endpoints for their certificates before
// anything is registered: a wrong pin should cost nothing. One of the expected
// CA is enough.
func (n *node) checkEndpoints(ctx context.Context) (outcome, error) {
	if len(n.Endpoints) == 0 || n.registrationKnown() && (!n.readOnly || n.pair != nil && n.nothingDue()) {
		return outcome{}, nil // whom a request goes to is verified once more in any case
	}
	var failed failures
	for _, ep := range n.Endpoints {
		peer, err := n.authority().Probe(ctx, pki.Endpoint{Address: ep.Address, Names: names(ep.Name)})
		if err != nil {
			failed = append(failed, err)
			continue
		}
		if err := errors.Join(n.notOneOf([]string{peer.Name}), n.believe(peer.CA)); err != nil {
			return outcome{}, err
		}
		return says("%s at %s is of the CA %s", peer.Name, ep.Address, pki.PublicKeyPin(peer.CA))
	}
	return outcome{}, failed
}

// believe makes the first CA that is seen the one to trust from then on, where
// the operator has said trust_on_first_use.
func (n *node) believe(ca *x509.Certificate) error {
	if !n.Trust.FirstUse || n.state.CA != "" || n.readOnly {
		return nil
	}
	n.state.CA = string(pki.EncodeCertificates(ca))
	return n.save()
}

// candidates are the endpoints that may sign, in the order in which they are asked.
func (n *node) candidates() ([]pki.Endpoint, error) {
	var told selfservice.Parameters
	if p := n.parameters(); p != nil {
		told = *p
	}
	parents := parentNames(told)
	var eps []pki.Endpoint
	for _, ep := range n.Endpoints {
		allowed := names(ep.Name)
		if ep.Name == "" {
			allowed = parents
		}
		if len(allowed) == 0 {
			return nil, fmt.Errorf("ca.endpoints: %s has no name, and no Director says which one to expect there: write it as name@%[1]s", ep.Address)
		}
		eps = append(eps, pki.Endpoint{Address: ep.Address, Names: allowed})
	}
	if len(eps) > 0 {
		return eps, nil
	}
	for _, p := range told.Parents {
		eps = append(eps, pki.Endpoint{Address: address(p.Name, p.Host, p.Port), Names: parents})
	}
	if ca := told.CAServer; ca != "" && !slices.ContainsFunc(told.Parents, func(p selfservice.Parent) bool { return p.Name == ca }) {
		eps = append(eps, pki.Endpoint{Address: address(ca, "", ""), Names: parents})
	}
	switch {
	case len(eps) == 0 && n.Director == nil:
		return nil, errors.New("no parent is known: set ca.endpoints to name@host:port of the master or a satellite")
	case len(eps) == 0:
		return nil, errors.New("the Director names no parent endpoint for this host (is its zone empty?): give the zone an endpoint there, or set ca.endpoints")
	}
	return eps, nil
}

// parentNames are the names that a peer may have to whom a ticket is shown.
func parentNames(p selfservice.Parameters) []string {
	set := map[string]bool{}
	for _, parent := range p.Parents {
		set[parent.Name] = true
	}
	if p.CAServer != "" {
		set[p.CAServer] = true
	}
	return slices.Sorted(maps.Keys(set))
}

func names(name string) []string {
	if name == "" {
		return nil
	}
	return []string{name}
}

// address of a parent: a Director that knows no host for it (the parent
// connects to the node, say) leaves the name itself to be resolved.
func address(name, host, port string) string {
	if host == "" {
		host = name
	}
	if port == "" {
		port = pki.DefaultPort
	}
	return net.JoinHostPort(host, port)
}
