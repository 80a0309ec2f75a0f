package enroll

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"icinga-enroll/platform"
)

// AcceptMachine says that this machine is the one that the state here was made
// on, whatever its identifiers say. Where a copy was taken for one and has
// enrolled as another since, what was put into quarantine is taken back, and
// what is here now goes there: from is the folder in quarantine, and may be ""
// where there is but one.
func (e *Enroller) AcceptMachine(ctx context.Context, from string) error {
	n, err := e.open(ctx)
	if err != nil {
		return err
	}
	defer n.close()
	return n.walk(ctx, []step{
		{name: "state", do: n.load},
		{name: "machine", do: func(ctx context.Context) (outcome, error) { return n.acceptMachine(ctx, from) }},
	})
}

func (n *node) acceptMachine(ctx context.Context, from string) (outcome, error) {
	_, err := n.sameMachine(ctx)
	switch {
	case errors.Is(err, ErrClone) && from == "":
		n.state.Machine = newBoundMachine(n.Machine.Identify())
		if err := n.save(); err != nil {
			return outcome{}, err
		}
		return changed("the state of %s in %s is this machine's from now on; the service's next round uses it, or icinga-enroll once", n.state.called(), n.StateDir)
	case err != nil && !errors.Is(err, ErrClone):
		return outcome{}, err
	}
	if from, err = n.choose(from); err != nil {
		return outcome{}, err
	}
	if from == "" {
		return says("nothing to accept: the state here is this machine's, and none is in quarantine")
	}
	return n.takeBackState(from)
}

// choose returns the folder in quarantine that is meant, "" where there is none.
func (n *node) choose(from string) (string, error) {
	there, err := n.inQuarantine()
	switch {
	case err != nil:
		return "", err
	case from != "" && !slices.Contains(there, from):
		return "", fmt.Errorf("%q is not in quarantine; there is: %s", from, strings.Join(there, ", "))
	case from == "" && len(there) > 1:
		return "", fmt.Errorf("say which of those in quarantine to take back: %s", strings.Join(there, ", "))
	case from == "" && len(there) == 1:
		return there[0], nil
	}
	return from, nil
}

func (n *node) inQuarantine() ([]string, error) {
	q, err := platform.OpenDir(filepath.Join(n.StateDir, quarantineDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = q.Close() }()
	return q.Names()
}

// takeBackState puts in place what is in quarantine, and there what is in place. The
// state comes last: until then this can be done again.
func (n *node) takeBackState(from string) (outcome, error) {
	if err := n.exchangeState(filepath.Join(n.StateDir, quarantineDir, from)); err != nil {
		return outcome{}, err
	}
	if err := n.forgetQuarantined(from); err != nil {
		return outcome{}, err
	}
	return changed("the state of %s is back in %s and this machine's from now on", n.state.called(), n.StateDir)
}

// exchangeState closes the folder: Windows removes none that is open.
func (n *node) exchangeState(folder string) error {
	q, err := platform.OpenDir(folder)
	if err != nil {
		return err
	}
	defer func() { _ = q.Close() }()
	back, err := loadState(q)
	if err != nil {
		return err
	}
	if !back.isSomebody() {
		return fmt.Errorf("there is no state in %s", folder)
	}
	if n.state.isSomebody() {
		if err := n.quarantine(); err != nil {
			return err
		}
	}
	files := n.state.Agent // of the agent's files as they are now
	n.state, n.name = back, back.Name
	if err := errors.Join(n.returnPair(q), copyFiles(q, n.dir, requestFiles)); err != nil {
		return err
	}
	n.state.Machine = newBoundMachine(n.Machine.Identify())
	if files.Written != nil {
		n.state.Agent.Written, n.state.Agent.Applied = files.Written, nil
	}
	return n.save()
}

func (n *node) forgetQuarantined(folder string) error {
	q, err := platform.OpenDir(filepath.Join(n.StateDir, quarantineDir))
	if err != nil {
		return err
	}
	defer func() { _ = q.Close() }()
	return q.RemoveAll(folder)
}

// returnPair puts key and certificate back as they are to be read there.
func (n *node) returnPair(q *platform.Dir) error {
	for _, f := range []struct {
		name string
		perm fs.FileMode
	}{{n.name + ".key", n.keyMode()}, {n.name + ".crt", 0o644}} {
		data, err := q.ReadFile(f.name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		owner, err := n.owner(f.name)
		if err == nil {
			err = n.certs.WriteFile(f.name, data, f.perm, owner)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
