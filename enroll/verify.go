package enroll

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"icinga-enroll/pki"
	"icinga-enroll/platform/agent"
	"icinga-enroll/selfservice"
)

const (
	// settles is how long a connection must last before it counts: a parent that
	// doesn't know this node closes it within 10 s (observed on 2.15.6).
	settles = 12 * time.Second
	// reconnects is how long an agent takes to connect, at most, after its
	// parent has come back or its configuration was deployed.
	reconnects = 30 * time.Second
	lookEvery  = time.Second
)

// Verify walks the chain from this node to its parents and says where it
// breaks. For an API client it asks a parent's API who that is. It changes
// nothing. The error is the first break.
func (e *Enroller) Verify(ctx context.Context) (Report, error) {
	n, err := e.look()
	if err != nil {
		return e.notBegun(err), err
	}
	defer n.close()
	if n.APIClient { // no agent has it, and no parent a connection with it
		err = n.walk(ctx, []step{{name: "machine", do: n.stillSameMachine}, {name: "identity", do: n.identity}, {name: "certificate", do: n.verifyCertificate}, {name: "api", do: n.verifyAPI}})
		return n.report(err), err
	}
	err = n.walk(ctx, []step{
		{name: "machine", do: n.stillSameMachine},
		{name: "identity", do: n.identity},
		{name: "certificate", do: n.verifyCertificate},
		{name: "director", do: n.verifyDirector},
		{name: "parents", do: n.verifyParents},
		{name: "agent", do: n.verifyAgent},
		{name: "connected", do: n.verifyConnected},
	})
	return n.report(err), err
}

func (n *node) verifyCertificate(ctx context.Context) (outcome, error) {
	out, err := n.findPair(ctx)
	switch {
	case err != nil:
		return outcome{}, err
	case n.pair == nil && out.text != "" && n.state.Pending != nil:
		return outcome{}, fmt.Errorf("%s. The request for another waits for approval: icinga2 ca sign %s, then icinga-enroll once", out.text, n.state.Pending.Fingerprint)
	case n.pair == nil && out.text != "":
		return outcome{}, errors.New(out.text + ". Run icinga-enroll once for another")
	case n.pair == nil && n.state.Pending != nil:
		return outcome{}, fmt.Errorf("there is no certificate of %s yet: the request waits for approval; on the CA's machine: icinga2 ca sign %s, then icinga-enroll once", n.name, n.state.Pending.Fingerprint)
	case n.pair == nil && n.hasFile(".crt") && !n.hasFile(".key"):
		return outcome{}, fmt.Errorf("the key of %s is not in %s: run icinga-enroll once, for a new one", n.name, n.CertsDir)
	case n.pair == nil:
		return outcome{}, fmt.Errorf("there is no certificate of %s in %s: run icinga-enroll once", n.name, n.CertsDir)
	}
	if n.pair.bare {
		return outcome{}, fmt.Errorf("%s in %s is missing, or another CA's: without it the agent doesn't start again. icinga-enroll once puts it back", caFile, n.CertsDir)
	}
	return says("%s; its CA is the %s one, %s", out.text, n.chosen(), pki.PublicKeyPin(n.pair.ca))
}

// chosen is how it was said which CA to believe: by the configuration, or by an
// import, or whoever has answered first.
func (n *node) chosen() string {
	if n.isPinned() {
		return "pinned"
	}
	return "believed"
}

func (n *node) hasFile(suffix string) bool {
	if n.certs == nil {
		return false
	}
	_, _, err := n.certs.Attributes(n.name + suffix)
	return err == nil
}

// verifyDirector finds out, where it can be asked, whether the Director still
// has this host, and as the agent has it.
func (n *node) verifyDirector(ctx context.Context) (outcome, error) {
	if n.Director == nil || !n.registered() {
		return outcome{}, nil
	}
	told, err := n.Director.Parameters(ctx, n.hostKey())
	if errors.Is(err, selfservice.ErrKeyRejected) {
		return outcome{}, n.adviseKey(ctx, err)
	}
	if err != nil {
		return warns("it can't be asked: %s", err)
	}
	if n.Controller != nil {
		host, err := n.findHost(ctx)
		switch {
		case err != nil:
			return warns("it doesn't tell whether it has this host: %s", err)
		case host == nil:
			return warns("%s: %s, or director.user may not see it; but it takes this host's key. %s", n.name, selfservice.ErrNoHost, n.adviseRenamed())
		}
	}
	if applied := n.state.Agent.Applied; applied != nil && n.Agent.Parents == nil {
		if news := difference(*applied, told); news != "" {
			return warns("it now says: %s. \"icinga-enroll agent apply\" makes the agent so", news)
		}
	}
	return says("it has this host, in zone %s", told.ParentZone)
}

// applied is what the agent was made from, or would be.
func (n *node) applied() (agent.Setup, error) {
	p := n.state.Agent.Applied
	if p == nil {
		p = n.parameters()
	}
	if p == nil || len(p.Parents) == 0 {
		return agent.Setup{}, errors.New("it isn't known which parents this node has, no Director has named any: set ca.endpoints, or agent.zone and agent.parents; where a Director knows them, run icinga-enroll once")
	}
	return n.setup(*p), nil
}

// verifyParents tries each parent to which the agent connects. One is enough
// for a connection, but all are told.
func (n *node) verifyParents(ctx context.Context) (outcome, error) {
	setup, err := n.applied()
	if err != nil {
		return n.verifyEndpoints(ctx, err)
	}
	var eps []pki.Endpoint
	var incoming []string
	for _, p := range setup.Parents {
		if p.Host == "" {
			incoming = append(incoming, p.Name)
			continue
		}
		eps = append(eps, pki.Endpoint{Address: net.JoinHostPort(p.Host, p.Port), Names: []string{p.Name}})
	}
	reached, failed := n.reach(ctx, eps)
	switch {
	case len(reached)+len(incoming) == 0:
		return outcome{}, failed
	case len(reached) == 0:
		return says("%s: they connect to this node", strings.Join(incoming, ", "))
	}
	return n.saysReached(reached)
}

// verifyEndpoints tries those who sign, where nobody has told the parents.
func (n *node) verifyEndpoints(ctx context.Context, unknown error) (outcome, error) {
	eps, err := n.candidates()
	if err != nil {
		return outcome{}, unknown
	}
	reached, failed := n.reach(ctx, eps)
	if len(reached) == 0 {
		return outcome{}, failed
	}
	return n.saysReached(reached)
}

// reach tries all of eps, and says where each one that has answered is.
func (n *node) reach(ctx context.Context, eps []pki.Endpoint) (reached []string, failed failures) {
	for _, ep := range eps {
		peer, err := n.authority().Probe(ctx, ep)
		if err != nil {
			n.note(Step{Name: "parents", Text: err.Error(), Warning: true})
			failed = append(failed, err)
			continue
		}
		reached = append(reached, peer.Name+" at "+ep.Address)
	}
	return reached, failed
}

func (n *node) saysReached(reached []string) (outcome, error) {
	return says("%s: reached, of the %s CA", strings.Join(reached, ", "), n.chosen())
}

// verifyAgent finds out whether an agent runs here, as this node.
func (n *node) verifyAgent(ctx context.Context) (outcome, error) {
	setup, err := n.applied()
	if err != nil {
		return n.verifyOthersAgent(ctx)
	}
	peer, err := n.answers(ctx, setup)
	if err == nil && peer.Chain[0].Equal(n.pair.cert) {
		return says("it listens on %s and shows this node's certificate", localAddress(setup.Listen()))
	}
	if err == nil {
		return outcome{}, fmt.Errorf("the agent still shows another certificate of this node (until %s) than the one on disk: reload it (systemctl reload icinga2)", peer.Chain[0].NotAfter.UTC().Format(time.DateOnly))
	}
	a, aerr := n.agent(ctx)
	switch {
	case errors.Is(aerr, errOther):
		return outcome{}, fmt.Errorf("%w, in %s: install Icinga 2, or look at agent.data_dir", aerr, n.CertsDir)
	case aerr != nil:
		return outcome{}, aerr
	case !a.Runs(ctx):
		return outcome{}, fmt.Errorf("the agent doesn't run: start it (systemctl start icinga2; \"icinga2 daemon -C\" says why it doesn't). %s", err.Error())
	}
	return outcome{}, fmt.Errorf("the agent runs, but not as this node on %s: is its configuration the one that icinga-enroll writes (icinga-enroll agent plan)? %s", localAddress(setup.Listen()), err.Error())
}

// verifyOthersAgent looks at an agent that somebody else has set up, as far as
// that goes without its parents.
func (n *node) verifyOthersAgent(ctx context.Context) (outcome, error) {
	setup := n.setup(selfservice.Parameters{})
	const hint = "With agent.zone and agent.parents set, verify says whether it is connected"
	if err := n.listening(ctx, setup); err != nil {
		return warns("it isn't known to which parents it connects, and it doesn't show this node's certificate: %s. Is it running? %s", err, hint)
	}
	return warns("it listens on %s and shows this node's certificate, but it isn't known to which parents it connects. %s", localAddress(setup.Listen()), hint)
}

// verifyConnected waits a while: a fresh agent has just begun to connect.
func (n *node) verifyConnected(ctx context.Context) (outcome, error) {
	setup, err := n.applied()
	if err != nil {
		return outcome{}, nil //nolint:nilerr // the step before has said so
	}
	a, err := n.agent(ctx)
	if err != nil {
		return outcome{}, err
	}
	deadline := time.Now().Add(reconnects)
	for {
		state := n.connection(ctx, a, setup, time.Time{})
		switch {
		case state.Connected:
			return says("%s", state.Text)
		case state.Unknown, time.Now().After(deadline):
			return outcome{}, errors.New(state.Text)
		}
		select {
		case <-ctx.Done():
			return outcome{}, ctx.Err()
		case <-time.After(lookEvery):
		}
	}
}

// connection says how the agent gets along with its parents.
type connection struct {
	Connected bool
	Unknown   bool // a parent is connected, but doesn't know this node
	Text      string
}

// connection asks the agent, or, where that doesn't answer this node, the
// system's table of connections. A parent that doesn't know this node accepts
// the connection all the same, and on 2.13 keeps it; but it sends nothing: the
// configuration that comes with every connection tells the one from the other.
func (n *node) connection(ctx context.Context, a agent.Agent, setup agent.Setup, since time.Time) connection {
	names, how, err := n.connectedParents(ctx, setup)
	since = n.workingSince(ctx, setup, since)
	switch {
	case err != nil:
		return connection{Text: err.Error()}
	case len(names) == 0:
		return connection{Text: "the agent is not connected to " + strings.Join(parentsOf(setup), " or ") + ". Parents that answer but don't keep the connection don't know this node: has the Director deployed it yet? The agent's log says more"}
	case setup.AcceptConfig && !a.ReceivedSince(since):
		return connection{Unknown: true, Text: fmt.Sprintf("the agent is connected to %s, which has sent it no configuration: it doesn't know this node, so the Director has not deployed this host yet. Deploy there", strings.Join(names, ", "))}
	}
	return connection{Connected: true, Text: fmt.Sprintf("the agent is connected to %s (%s)", strings.Join(names, ", "), how)}
}

func parentsOf(s agent.Setup) []string {
	names := make([]string, len(s.Parents))
	for i, p := range s.Parents {
		names[i] = p.Name
	}
	return names
}

// local is this machine's agent, asked with this node's own certificate.
func (n *node) local(setup agent.Setup) LocalAgent {
	return n.Local(pki.Endpoint{Address: localAddress(setup.Listen()), Names: []string{n.name}}, n.trust(), n.pair.tls())
}

// workingSince is when the agent began with the configuration that it has, if
// that is later than since: what it got before may be a former parent's.
func (n *node) workingSince(ctx context.Context, setup agent.Setup, since time.Time) time.Time {
	if started, err := n.local(setup).Started(ctx); err == nil && started.After(since) {
		return started
	}
	return since
}

func (n *node) connectedParents(ctx context.Context, setup agent.Setup) (names []string, how string, err error) {
	endpoints, err := n.local(setup).Endpoints(ctx)
	if err != nil {
		names, err = n.connectedSockets(ctx, setup)
		return names, "by the system's table of connections", err
	}
	parents := parentsOf(setup)
	for _, e := range endpoints {
		if e.Connected && slices.Contains(parents, e.Name) {
			names = append(names, e.Name)
		}
	}
	slices.Sort(names)
	return names, "as it says itself", nil
}

// connectedSockets finds the connections with parents that last.
func (n *node) connectedSockets(ctx context.Context, setup agent.Setup) ([]string, error) {
	before := agent.Connections()
	if len(before) == 0 {
		return nil, nil
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(settles):
	}
	lasting := slices.DeleteFunc(agent.Connections(), func(c agent.Connection) bool { return !slices.Contains(before, c) })
	var names []string
	for _, p := range setup.Parents {
		addresses := n.addressesOf(ctx, p)
		if slices.ContainsFunc(lasting, func(c agent.Connection) bool { return isBetween(c, p, setup.ListenPort, addresses) }) {
			names = append(names, p.Name)
		}
	}
	return names, nil
}

func (n *node) addressesOf(ctx context.Context, p agent.Parent) []netip.Addr {
	host := p.Host
	if host == "" {
		host = p.Name // it connects to this node, from where its name says
	}
	text, err := n.Machine.Resolve(ctx, host)
	if err != nil {
		return nil
	}
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return nil
	}
	return []netip.Addr{ip}
}

func isBetween(c agent.Connection, p agent.Parent, listenPort string, addresses []netip.Addr) bool {
	if !slices.Contains(addresses, c.Remote.Addr()) {
		return false
	}
	return fmt.Sprint(c.Remote.Port()) == p.Port || fmt.Sprint(c.Local.Port()) == listenPort
}
