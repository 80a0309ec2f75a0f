package enroll

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"icinga-enroll/pki"
)

// WhoAmI asks the parents' API, one after the other until one answers, who this
// node's certificate makes it, and returns who has answered, where.
//
// It is for API clients. The certificate of an agent, or of a node of which
// nobody has said that it is a client, is an error: it speaks for an endpoint, and
// is shown to the parents by the agent alone. (Observed on Icinga 2.13.6: an HTTP
// request with it is no more than answered, the agent's own connection stays.)
//
// A parent that knows nobody of this certificate is an error that is
// [pki.UnauthorizedError].
func (e *Enroller) WhoAmI(ctx context.Context) (pki.Identity, string, error) {
	n, err := e.inForce(ctx)
	if err != nil {
		return pki.Identity{}, "", err
	}
	defer n.close()
	if err := n.mayBeShown(); err != nil {
		return pki.Identity{}, "", err
	}
	return n.askWho(ctx)
}

// mayBeShown refuses an agent's certificate.
func (n *node) mayBeShown() error {
	const agents = "speaks for this endpoint, and only the agent shows it to the parents. whoami is for certificates of API clients; \"icinga-enroll verify\" looks after an agent"
	file := n.hostHasName()
	switch {
	case file != "":
		return fmt.Errorf("%s is this machine's own Icinga agent (%s): a certificate of that name %s", n.name, file, agents)
	case n.registered() || n.state.Elsewhere || n.state.Agent.Applied != nil:
		return fmt.Errorf("%s is an Icinga agent: its certificate %s", n.name, agents)
	case !n.APIClient:
		return fmt.Errorf("by its settings (profile: agent) %s is an Icinga agent: its certificate %s. If it is an API client's, set profile: api-client, and paths.certs to %s", n.name, agents, n.CertsDir)
	}
	return nil
}

// errNoAPI says that no parent is known.
type errNoAPI struct{ error }

func (e errNoAPI) Error() string { return "it isn't known where a parent's API is: " + e.error.Error() }
func (e errNoAPI) Unwrap() error { return e.error }

func (n *node) askWho(ctx context.Context) (pki.Identity, string, error) {
	eps, err := n.candidates()
	if err != nil {
		return pki.Identity{}, "", errNoAPI{err}
	}
	var failed failures
	for _, ep := range eps {
		who, err := n.ParentAPI(ep, n.trust(), n.pair.tls()).WhoAmI(ctx)
		if err == nil || errors.Is(err, pki.ErrUnauthorized) {
			return who, ep.Address, err
		}
		failed = append(failed, err)
	}
	return pki.Identity{}, "", failed
}

// verifyAPI finds out whether a parent knows the certificate of an API client.
// One that was made for another API than Icinga's has no parent to ask.
func (n *node) verifyAPI(ctx context.Context) (outcome, error) {
	if err := n.mayBeShown(); err != nil {
		return outcome{}, err
	}
	who, address, err := n.askWho(ctx)
	var unknown errNoAPI
	switch {
	case errors.As(err, &unknown):
		return warns("%s", err)
	case err != nil:
		return outcome{}, err
	case len(who.Permissions) == 0:
		return warns("it is the ApiUser %s at %s, which may nothing: its object ApiUser has no permissions", who.User, address)
	}
	return says("it is the ApiUser %s at %s, which may %s", who.User, address, strings.Join(who.Permissions, ", "))
}
