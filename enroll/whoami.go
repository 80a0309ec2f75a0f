package enroll

import (
	"context"
	"errors"
	"fmt"

	"icinga-enroll/pki"
)

// WhoAmI asks the parents' API, one after the other until one answers, who this
// node's certificate makes it, and returns who has answered, where.
//
// It is for API clients. An agent's certificate is an error: it speaks for an
// endpoint, and is shown to the parents by the agent alone. (Observed on Icinga
// 2.13.6: an HTTP request with it is no more than answered, the agent's own
// connection stays.)
//
// A parent that knows nobody of this certificate is an error that is
// [pki.UnauthorizedError].
func (e *Enroller) WhoAmI(ctx context.Context) (pki.Identity, string, error) {
	n, err := e.inForce(ctx)
	if err != nil {
		return pki.Identity{}, "", err
	}
	defer n.close()
	if n.registered() || n.state.Elsewhere || n.state.Agent.Applied != nil {
		return pki.Identity{}, "", fmt.Errorf("%s is an Icinga agent: its certificate speaks for this endpoint, and only the agent shows it to the parents. whoami is for certificates of API clients; \"icinga-enroll verify\" looks after an agent", n.name)
	}
	eps, err := n.candidates()
	if err != nil {
		return pki.Identity{}, "", fmt.Errorf("it isn't known where a parent's API is: %w", err)
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
