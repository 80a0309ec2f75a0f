package enroll

import (
	"context"
	"fmt"
	"strings"
)

// plan says what is left to do, in the words of the steps that would do it.
func (n *node) plan(ctx context.Context) (outcome, error) {
	var todo []string
	would := func(format string, a ...any) { todo = append(todo, fmt.Sprintf(format, a...)) }

	if !n.registrationKnown() {
		if n.TemplateKey.IsZero() {
			return outcome{}, ErrNoKey
		}
		properties, err := n.properties(ctx)
		if err != nil {
			return outcome{}, err
		}
		would("register %s in the Director %s", n.name, sent(properties))
	}
	switch {
	case n.pair == nil:
		would("generate a key (%s) and ask the CA for a certificate%s", n.keyType(), n.byTicket())
		would("write %s, %s and %s to %s", n.name+".key", n.name+".crt", caFile, n.CertsDir)
	case n.rekeyWaits():
		would("present the request for a new key again, which waits for approval")
	case !n.nothingDue() && n.rotates():
		would("replace %s, with a new key", n.certFile())
	case !n.nothingDue():
		would("renew %s with the same key", n.certFile())
	}
	if a, err := n.agent(ctx); err == nil && n.Agent.Manage != ManageNever && n.state.Agent.Applied == nil {
		would("make the Icinga agent in %s one of its parents' (agent.manage: %s), and have it read that", a.ConfigDir, n.Agent.Manage)
	}
	if len(todo) == 0 {
		return says("nothing to do")
	}
	return says("would %s", strings.Join(todo, "; then "))
}

func (n *node) byTicket() string {
	if !n.hasTicketSource() {
		return ", to be approved there"
	}
	return " with a ticket (" + n.sourceNames() + ")"
}
