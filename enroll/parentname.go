package enroll

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"icinga-enroll/selfservice"
)

// freeName refuses the name of a parent before a key is made for it, by the
// settings and by what an enrolment has left here: with a certificate of that
// name this node could act as the parent, and a ticket is given for any name.
func (n *node) freeName(context.Context) (outcome, error) {
	if n.APIClient && (n.state.HostKey != "" || n.state.Elsewhere) && strings.EqualFold(n.state.Name, n.name) {
		return outcome{}, n.couldActAs("%q is the name of an Icinga endpoint (as which this machine is registered in the Director)", n.name)
	}
	if file := n.hostHasName(); file != "" {
		return outcome{}, n.couldActAs("%q is the name of this machine's own Icinga agent (%s)", n.name, file)
	}
	for name, how := range n.knownParents() {
		switch {
		case !strings.EqualFold(name, n.name):
		case n.APIClient:
			return outcome{}, n.couldActAs("%q is the name of an Icinga endpoint (%s)", n.name, how)
		default:
			return outcome{}, n.isParents(fmt.Sprintf("%s (%s)", name, how))
		}
	}
	return outcome{}, nil
}

// hostHasName returns the file that gives an API client's name to this machine's
// own agent, "" where none does, or this account may read neither. An API client
// may have enrolled without --instance: then the status there is no agent's.
func (n *node) hostHasName() string {
	certificate := filepath.Join(n.HostCerts, n.name+".crt")
	switch status, err := ReadStatus(n.HostState); {
	case !n.APIClient:
	case n.CertsDir != n.HostCerts && slices.Contains(filesOf(n.name, n.HostCerts), certificate):
		return certificate
	case n.StateDir != n.HostState && err == nil && !status.APIClient && strings.EqualFold(status.Name, n.name):
		return filepath.Join(n.HostState, statusFile)
	}
	return ""
}

// knownParents are the names that this node has no right to, and how each is
// known. No server is asked.
func (n *node) knownParents() map[string]string {
	known := map[string]string{n.API.Name: "api.address"}
	if n.state.EnrolledAt != nil {
		known[n.state.EnrolledAt.Name] = "which has handed out a certificate"
	}
	if n.state.Parameters != nil {
		for _, name := range parentNames(*n.state.Parameters) {
			known[name] = "a parent, as the Director says"
		}
	}
	for _, p := range n.Agent.Parents {
		known[p.Name] = "agent.parents"
	}
	for _, ep := range n.Endpoints {
		known[ep.Name] = "ca.endpoints"
	}
	return known
}

// notOneOf refuses to enrol under the name of a parent: the Director would
// hand out that endpoint's ticket, and with it this node could act as it.
func (n *node) notOneOf(endpoints []string) error {
	for _, name := range endpoints {
		if strings.EqualFold(name, n.name) {
			return n.isParents(name)
		}
	}
	return nil
}

func (n *node) isParents(parent string) error {
	return misnamed{fmt.Errorf("%q is the name of a parent endpoint, %s: a node may not take it; set another host.name (on a master or satellite there is nothing to enrol)", n.name, parent)}
}

// freeEndpoint refuses the name of a master or satellite that the Director
// knows, before a key is made for it or a certificate adopted. A host that is an
// agent has no endpoint object there (observed on Director 1.10.2, where it is
// deployed, too). What the Director doesn't tell keeps the host from being made:
// see findHost.
func (n *node) freeEndpoint(ctx context.Context) (outcome, error) {
	if n.APIClient || n.Controller == nil || n.state.Name != "" && n.registered() {
		return outcome{}, nil
	}
	found, err := n.Controller.HasEndpoint(ctx, n.name)
	switch {
	case errors.Is(err, selfservice.ErrNoPermission):
		return says("whether the Director has an endpoint %s, a master or satellite, could not be checked: that takes the permission director/admin", n.name)
	case found:
		return outcome{}, misnamed{fmt.Errorf("the Director has an endpoint %q, a master or satellite: a node may not take its name; set another host.name. If it is this machine's own, from an earlier setup, delete that endpoint in the Director", n.name)}
	}
	n.endpointUnknown = err
	return outcome{}, nil
}

// surelyFree is freeEndpoint where no host is to be made, which would ask again.
func (n *node) surelyFree(ctx context.Context) (outcome, error) {
	out, err := n.freeEndpoint(ctx)
	if err == nil && n.endpointUnknown != nil {
		err = fmt.Errorf("whether the Director has an endpoint %s isn't known: %w", n.name, n.endpointUnknown)
	}
	return out, err
}
