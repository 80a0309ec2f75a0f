package enroll

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"icinga-enroll/pki"
	"icinga-enroll/platform"
	"icinga-enroll/platform/agent"
	"icinga-enroll/selfservice"
)

// reload has the agent read what was written, and waits until it answers with
// this node's certificate where it ran before.
func (n *node) reload(ctx context.Context, a agent.Agent, setup agent.Setup, ran bool) (how string, err error) {
	how = "it doesn't run: it reads this when it is started"
	switch {
	case ran || n.Agent.Reload != nil:
		how, err = "reloaded", a.Reload(ctx)
		if err != nil && !ran {
			err = fmt.Errorf("%w\n  If the agent doesn't run, start it first", err)
		}
	case a.Startable(ctx):
		if ran, err = a.Start(ctx); ran {
			how = "enabled and started"
		}
	}
	if err != nil || !ran {
		return how, err
	}
	return how, n.awaitUp(ctx, setup)
}

func (n *node) awaitUp(ctx context.Context, setup agent.Setup) error {
	ctx, cancel := context.WithTimeout(ctx, upWithin)
	defer cancel()
	for {
		err := n.listening(ctx, setup)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("after %s it doesn't answer on %s with this node's certificate (its log says why): %w", upWithin, localAddress(setup.Listen()), err)
		case <-time.After(upPoll):
		}
	}
}

// answers returns what listens on the agent's address as this node.
func (n *node) answers(ctx context.Context, setup agent.Setup) (pki.Peer, error) {
	return n.authority().Probe(ctx, pki.Endpoint{Address: localAddress(setup.Listen()), Names: []string{n.name}})
}

// runs reports whether the agent runs, as far as that can be seen: it answers as
// this node, or the system knows of it.
func (n *node) runs(ctx context.Context, a agent.Agent, setup agent.Setup) bool {
	_, err := n.answers(ctx, setup)
	return err == nil || a.Runs(ctx)
}

// listening says why what listens on the agent's address isn't the agent with
// this node's certificate.
func (n *node) listening(ctx context.Context, setup agent.Setup) error {
	peer, err := n.answers(ctx, setup)
	if err == nil && !peer.Chain[0].Equal(n.pair.cert) {
		err = errors.New("the agent shows another certificate of this node than the one in force")
	}
	return err
}

// flush empties the agent's folder of received configuration where the Director
// asks for that: what former parents have sent stays in it otherwise. The log
// of what is yet to be sent is kept, an agent that runs writes to it.
func (n *node) flush(a agent.Agent, p selfservice.Parameters) error {
	undo := n.state.Agent.Undo
	if !p.FlushAPIDirectory || undo == nil || !slices.ContainsFunc(undo.Files, func(f agent.File) bool { return f.Name == "zones.conf" }) {
		return nil
	}
	return n.forgetReceived(a, "zones", "zones-stage", "packages")
}

// forgetReceived removes folders of what the agent got from its parents.
func (n *node) forgetReceived(a agent.Agent, names ...string) error {
	d, err := platform.OpenDir(filepath.Join(a.DataDir, "api"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	for _, name := range names {
		if err := d.RemoveAll(name); err != nil {
			return err
		}
	}
	return nil
}
