package enroll

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"icinga-enroll/selfservice"
)

// plan says what is left to do, in the words of the steps that would do it.
func (n *node) plan(ctx context.Context) (outcome, error) {
	var todo []string
	would := func(format string, a ...any) { todo = append(todo, fmt.Sprintf(format, a...)) }

	for _, ask := range []func(context.Context) (string, error){n.planRegister, n.planHost, n.planHostKey} {
		text, err := ask(ctx)
		switch {
		case err != nil && n.pair == nil && !n.canDoWithout(err):
			return outcome{}, err
		case err != nil:
			n.note(Step{Name: "plan", Text: "this would fail, and the rest go on: " + err.Error(), Warning: true})
		case text != "":
			would("%s", text)
		}
	}
	if err := n.planTicket(ctx); err != nil {
		return outcome{}, err
	}
	switch {
	case n.pair == nil:
		would("%s and ask the CA for a certificate%s", n.planKey(), n.byTicket())
		would("write %s, %s and %s to %s", n.name+".key", n.name+".crt", caFile, n.CertsDir)
	case n.rekeyWaits():
		would("present the request for a new key again, which waits for approval")
	case !n.nothingDue() && n.rotates():
		would("replace %s, with a new key", n.certFile())
	case !n.nothingDue():
		would("renew %s with the same key", n.certFile())
		if _, err := n.candidates(); err != nil {
			n.note(Step{Name: "plan", Text: "this would fail: " + err.Error(), Warning: true})
		}
	}
	if a, err := n.agent(ctx); err == nil && n.Agent.Manage != ManageNever && n.state.Agent.Applied == nil {
		would("make the Icinga agent in %s one of its parents' (agent.manage: %s), and have it read that", a.ConfigDir, n.Agent.Manage)
	}
	if n.TemplateKeyFile != "" && !n.TemplateKey.IsZero() {
		would("empty %s (director.forget_template_key)", n.TemplateKeyFile)
	}
	if n.deployDue() {
		would("deploy: the master loads the Director's configuration (director.deploy)")
	}
	if len(todo) == 0 {
		return says("nothing to do")
	}
	return says("would %s", strings.Join(todo, "; then "))
}

// planRegister looks whether the host is there, where a user can.
func (n *node) planRegister(ctx context.Context) (string, error) {
	if n.registrationKnown() {
		return "", nil
	}
	var host *selfservice.Host
	var err error
	if n.Controller != nil {
		if host, err = n.findHost(ctx); err != nil {
			return "", err
		}
	}
	switch {
	case host != nil:
		return n.planTake(*host), n.checkAgent(ctx)
	case n.TemplateKey.IsZero() && n.Controller == nil:
		return "", n.lacksKey()
	case n.TemplateKey.IsZero() && len(n.Imports) == 0:
		return "", n.noImports()
	}
	properties, err := n.properties(ctx)
	if err != nil {
		return "", err
	}
	n.state.DeployDue = n.Deploy // a plan saves nothing
	if n.Controller != nil && len(n.Imports) > 0 {
		if err := n.findImports(ctx); err != nil {
			return "", err
		}
		return fmt.Sprintf("make %s in the Director, of %v, %s", n.name, n.Imports, sent(properties)), nil
	}
	return fmt.Sprintf("register %s in the Director %s", n.name, sent(properties)), nil
}

// findImports looks for the templates of a host that is to be made. One that this
// user may not see may be there.
func (n *node) findImports(ctx context.Context) error {
	for _, name := range n.Imports {
		if _, err := n.Controller.Host(ctx, name); errors.Is(err, selfservice.ErrNoHost) {
			return fmt.Errorf("the Director has no host template %s, or this user doesn't see it: correct host.imports", name)
		}
	}
	return n.checkImports(ctx, n.Imports)
}

func (n *node) planTake(host selfservice.Host) string {
	text := fmt.Sprintf("take over %s, which is in the Director, made of %v, and read its key back", n.name, host.Imports)
	if host.Key.IsZero() {
		text = fmt.Sprintf("take over %s, which is in the Director, made of %v, and give it a key", n.name, host.Imports)
	}
	if news := n.hostSettings().since(n.hostSettingsBefore()).against(host); news != "" {
		text += ", and set there: " + news
		n.state.DeployDue = n.Deploy
	}
	return text
}

// planHost looks at the host that is to be changed.
func (n *node) planHost(ctx context.Context) (string, error) {
	news := n.hostNews()
	if news.isEmpty() || n.Controller == nil {
		return "", nil
	}
	host, err := n.findHost(ctx)
	if err != nil || host == nil || news.against(*host) == "" {
		return "", err
	}
	n.state.DeployDue = n.state.DeployDue || n.Deploy
	return "change in the Director: " + news.against(*host), n.checkImports(ctx, news.Imports)
}

// planHostKey asks the Director whether it still takes the host key, where a
// certificate is to be had: nothing here tells that the host was deleted.
func (n *node) planHostKey(ctx context.Context) (string, error) {
	if n.Director == nil || !n.registered() || !n.Look && n.pair != nil && n.nothingDue() && n.keyAccepted() {
		return "", nil
	}
	told, err := n.Director.Parameters(ctx, n.hostKey())
	switch {
	case err == nil:
		return "", tellsNothing(told)
	case !errors.Is(err, selfservice.ErrKeyRejected):
		n.note(Step{Name: "plan", Text: "the Director doesn't tell this host's parameters: " + err.Error(), Warning: true})
		return "", nil
	case n.isThere(ctx):
		return "take this host's key from the Director, which refuses the one that is here", nil
	case n.canReregister():
		return fmt.Sprintf("register %s again: the Director refuses its key", n.name), nil
	}
	return "", n.adviseKey(ctx, err)
}

// planTicket has Icinga's API make the ticket, which leaves no trace there: a
// password that is wrong would be found out only when key and host are made.
func (n *node) planTicket(ctx context.Context) error {
	needed := n.pair == nil || !n.nothingDue() && n.rotates()
	reachable := n.API.Address != "" || len(n.Endpoints) > 0 || n.parameters() != nil
	if !needed || !reachable || !slices.Contains(n.sources(), TicketAPI) {
		return nil
	}
	_, err := n.ticketOf(ctx, TicketAPI)
	switch {
	case err == nil:
		return nil
	case n.pair == nil && len(n.sources()) == 1:
		return n.nameSource(TicketAPI, err)
	}
	n.note(Step{Name: "plan", Text: "this source would give no ticket: " + n.nameSource(TicketAPI, err).Error(), Warning: true})
	return nil
}

// planKey goes by the request's file: whether a TPM still uses its key is found out then.
func (n *node) planKey() string {
	if n.dir != nil {
		if r, err := n.readRequest(); err == nil && r != nil && n.outdated(r.key) == nil {
			return "take the key that was prepared before"
		}
	}
	return fmt.Sprintf("generate a key (%s)", n.Keys)
}

func (n *node) byTicket() string {
	if n.sources()[0] == TicketNone {
		return ", to be approved there"
	}
	return " with a ticket (" + joinSources(n.sources(), ", else ") + ")"
}
