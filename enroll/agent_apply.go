package enroll

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"icinga-enroll/platform/agent"
	"icinga-enroll/selfservice"
)

const (
	stageFolder = "agent-stage"   // in the state folder
	upWithin    = time.Minute     // how long an agent may take to answer after a reload
	upPoll      = time.Second / 4 // between two looks
)

// configureAgent makes the Icinga agent one of its parents', has it read a new
// certificate, and leaves alone what somebody else has written.
func (n *node) configureAgent(ctx context.Context) (outcome, error) {
	if n.Agent.Manage == ManageNever || n.pair == nil {
		return outcome{}, nil
	}
	out, err := n.manageAgent(ctx)
	if left := (errNotOurs{}); errors.As(err, &left) {
		return warns("%s", left)
	}
	if err != nil {
		return outcome{}, &AgentError{adviseInstall(err)}
	}
	return out, nil
}

func (n *node) manageAgent(ctx context.Context) (outcome, error) {
	a, err := n.agent(ctx)
	if errors.Is(err, errOther) {
		return outcome{}, nil
	}
	if err != nil {
		return outcome{}, err
	}
	if err := n.giveCerts(a); err != nil {
		return outcome{}, err
	}
	if n.state.Agent.Follow.Trial != nil && !n.Apply {
		return n.judgeTrial(ctx, a)
	}
	out, err := n.makeAgent(ctx, a)
	return out, n.orOthers(a, err)
}

func (n *node) makeAgent(ctx context.Context, a agent.Agent) (outcome, error) {
	if err := errors.Join(n.mayManage(a), n.removeTicket()); err != nil {
		return outcome{}, err
	}
	p, err := n.decideParameters(ctx)
	if err != nil {
		return outcome{}, err
	}
	if p == nil {
		return n.reloadOnly(ctx, a, nil)
	}
	return n.apply(ctx, a, *p)
}

// giveCerts gives an agent that was installed after the enrolment what it must
// read.
func (n *node) giveCerts(a agent.Agent) error {
	ours, err := n.dir.Owner()
	if err != nil {
		return err
	}
	given, err := a.GiveCerts(n.certs, ours, caFile, n.name+".crt", n.name+".key")
	if given {
		n.note(Step{Name: "agent", Text: n.CertsDir + " was made before the agent was installed: gave it to the agent's account", Changed: true})
	}
	return err
}

// apply makes the agent what p says, and reloads it where something has changed.
func (n *node) apply(ctx context.Context, a agent.Agent, p selfservice.Parameters) (outcome, error) {
	setup := n.setup(p)
	changes, err := a.Changes(setup, n.state.Agent.Written)
	if err != nil {
		return outcome{}, err
	}
	if left := n.withheld(changes); left != nil {
		return n.reloadOnly(ctx, a, left)
	}
	if len(changes) == 0 && !n.state.Agent.ReloadDue && !n.showsAnother(ctx, setup) {
		return outcome{}, n.agrees(p)
	}
	did, err := n.place(ctx, a, setup, p, changes)
	if err != nil {
		return outcome{}, err
	}
	return changed("%s", did)
}

// showsAnother reports whether the agent runs with another certificate of this
// node than the one in force: somebody has replaced that.
func (n *node) showsAnother(ctx context.Context, setup agent.Setup) bool {
	peer, err := n.answers(ctx, setup)
	return err == nil && !peer.Chain[0].Equal(n.pair.cert)
}

// agrees writes down that the agent is what p says, without a change of a file.
func (n *node) agrees(p selfservice.Parameters) error {
	if n.state.Agent.Applied != nil && reflect.DeepEqual(*n.state.Agent.Applied, p) {
		return nil
	}
	n.state.Agent.Applied, n.state.Agent.Addresses = &p, n.lookedUp()
	return n.save()
}

// reloadOnly has an agent that somebody else has set up read a new certificate.
func (n *node) reloadOnly(ctx context.Context, a agent.Agent, left error) (outcome, error) {
	if !n.state.Agent.ReloadDue {
		return outcome{}, left
	}
	if a.Runs(ctx) || n.Agent.Reload != nil {
		if err := a.Reload(ctx); err != nil {
			return outcome{}, err
		}
	}
	n.state.Agent.ReloadDue = false
	if err := n.save(); err != nil {
		return outcome{}, err
	}
	return outcome{}, left
}

// place puts changes in place and has the agent read them; if it doesn't, what
// was before is put back.
func (n *node) place(ctx context.Context, a agent.Agent, setup agent.Setup, p selfservice.Parameters, changes []agent.Change) (string, error) {
	if err := a.Sweep(); err != nil {
		return "", err
	}
	ran := n.runs(ctx, a, setup)
	if len(changes) > 0 {
		if err := a.Check(ctx, changes, filepath.Join(n.StateDir, stageFolder)); err != nil {
			return "", err
		}
		if err := n.write(a, p, changes); err != nil {
			return "", err
		}
	}
	if err := n.flush(a, p); err != nil {
		return "", err
	}
	how, err := n.reload(ctx, a, setup, ran)
	if err != nil && n.state.Agent.Undo != nil {
		return "", n.takeBack(ctx, a, setup, ran, fmt.Errorf("the agent doesn't take its new configuration, so the old one is back: %w", err))
	}
	if err != nil {
		return "", err
	}
	n.state.Agent.ReloadDue = false
	if n.state.Agent.Follow.Trial == nil {
		n.state.Agent.Undo = nil
	}
	if err := n.save(); err != nil {
		return "", err
	}
	return n.tellPlaced(setup, changes, p, how), nil
}

func (n *node) tellPlaced(setup agent.Setup, changes []agent.Change, p selfservice.Parameters, how string) string {
	if len(changes) == 0 {
		return "it reads the new certificate: " + how
	}
	text := fmt.Sprintf("zone %s below %s, listening on %s (%s written); %s", setup.Name, setup.ParentZone, setup.Listen(), agent.Names(changes), how)
	if p.AddFirewallRule {
		text += fmt.Sprintf(". Its parents connect to it: open TCP port %s for them, such as with: nft add rule inet filter input tcp dport %[1]s accept", setup.ListenPort)
	}
	return text
}

// write writes down what was there, puts the new files in place, and writes down
// that they are: a run that is cut short between is undone by the next.
func (n *node) write(a agent.Agent, p selfservice.Parameters, changes []agent.Change) error {
	kept, err := a.BackUp(changes)
	if err != nil {
		return err
	}
	n.tellKept(changes, kept)
	s := &n.state.Agent
	if s.Undo == nil {
		s.Undo = &agentUndo{Written: maps.Clone(s.Written), Applied: s.Applied, Addresses: s.Addresses}
		for _, c := range changes {
			s.Undo.Files = append(s.Undo.Files, c.Old)
		}
		if err := n.save(); err != nil {
			return err
		}
	}
	var files []agent.File
	written := maps.Clone(s.Written)
	if written == nil {
		written = map[string]string{}
	}
	for _, c := range changes {
		files = append(files, c.New)
		written[c.New.Name] = c.New.Sum()
	}
	if err := a.Put(files); err != nil {
		return errors.Join(err, n.putBack(a))
	}
	s.Written, s.Applied, s.Addresses, s.ReloadDue = written, &p, n.lookedUp(), true
	s.Undo.Placed, s.Follow.Trial = true, n.trying
	return n.save()
}

// tellKept says where people find what they had written. Of the packages' files
// it says nothing.
func (n *node) tellKept(changes []agent.Change, kept []string) {
	for _, c := range changes {
		for _, name := range kept {
			if c.Standing != agent.Nobodys && strings.HasPrefix(name, c.Old.Name+".orig") {
				n.note(Step{Name: "agent", Text: fmt.Sprintf("what somebody had written in %s is kept as %s", c.Old.Name, name), Changed: true})
			}
		}
	}
}

// putBack puts the files back that were there before.
func (n *node) putBack(a agent.Agent) error {
	s := &n.state.Agent
	if err := a.Put(s.Undo.Files); err != nil {
		return err
	}
	s.Written, s.Applied, s.Addresses = s.Undo.Written, s.Undo.Applied, s.Undo.Addresses
	s.Undo, s.Follow.Trial = nil, nil
	return n.save()
}

// takeBack puts the old configuration back and has the agent read it. An agent of
// somebody's own command is reloaded even if it doesn't run: a reload may have
// killed it, this one or one that was cut short.
func (n *node) takeBack(ctx context.Context, a agent.Agent, setup agent.Setup, ran bool, cause error) error {
	if err := n.putBack(a); err != nil {
		return errors.Join(cause, err)
	}
	if !ran && n.Agent.Reload == nil && !a.Runs(ctx) { // by now it may have been started
		return cause
	}
	err := a.Reload(ctx)
	if err == nil && ran {
		err = n.awaitBack(ctx, a, setup)
	}
	if err != nil {
		return fmt.Errorf("%w\n  with the old configuration: %w\n  %s", cause, err, n.adviseStart())
	}
	n.state.Agent.ReloadDue = false
	return errors.Join(cause, n.save())
}

// awaitBack waits until an agent runs again that ran before, as far as that can
// be seen, with its old configuration. Setup is the new one's, which is all that
// is known of where it listens where it had none of this program's.
func (n *node) awaitBack(ctx context.Context, a agent.Agent, setup agent.Setup) error {
	if old := n.state.Agent.Applied; old != nil {
		setup = n.setup(*old)
	}
	ctx, cancel := context.WithTimeout(ctx, upWithin)
	defer cancel()
	for !n.runs(ctx, a, setup) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("after %s it doesn't run", upWithin)
		case <-time.After(upPoll):
		}
	}
	return nil
}

func (n *node) adviseStart() string {
	if n.Agent.Reload == nil {
		return "Look whether the agent runs, and start it"
	}
	return fmt.Sprintf("Look whether it runs, and if not start the agent yourself, as you did before: agent.reload (%s) was run once more for that", strings.Join(n.Agent.Reload, " "))
}

// undoHalf puts the agent's old files back where a run was cut short while it
// wrote new ones.
func (n *node) undoHalf(ctx context.Context) (outcome, error) {
	if undo := n.state.Agent.Undo; undo == nil || undo.Placed {
		return outcome{}, nil
	}
	a, err := n.agent(ctx)
	if errors.Is(err, errOther) {
		n.state.Agent.Undo = nil
		if err := n.save(); err != nil {
			return outcome{}, err
		}
		return warns("a run was cut short while it wrote the agent's configuration, and no agent is here any more: %s is left as it is", n.Agent.ConfigDir)
	}
	if err != nil {
		return outcome{}, &AgentError{adviseInstall(err)}
	}
	if err := errors.Join(a.Sweep(), n.putBack(a)); err != nil {
		return outcome{}, &AgentError{err}
	}
	return changed("put the old configuration back: a run was cut short while it wrote a new one")
}
