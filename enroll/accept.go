package enroll

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"icinga-enroll/pki"
	"icinga-enroll/platform"
)

// AcceptMachine says that this machine is the one that the state here was made
// on, whatever its identifiers say. Where it was taken for a copy and has
// enrolled as another since, from is the folder in quarantine, its name or its
// path, that is taken back; what is here now goes there.
func (e *Enroller) AcceptMachine(ctx context.Context, from string) error {
	n, err := e.open(ctx)
	if err != nil {
		return err
	}
	defer n.close()
	err = n.walk(ctx, []step{
		{name: "state", do: n.load},
		{name: "machine", do: func(ctx context.Context) (outcome, error) { return n.acceptMachine(ctx, from) }},
	})
	if err != nil || !n.state.isSomebody() {
		return err
	}
	n.name = n.state.Name
	_, err = n.findPair(ctx)
	switch {
	case errors.Is(err, pki.ErrTPM):
		n.setback = err // which is for the status: the machine is accepted all the same
	case err != nil || n.pair == nil:
		return err // the next run says how it stands
	}
	_, err = n.conclude(ctx, nil) // or check would speak of a copy until then
	return err
}

func (n *node) acceptMachine(ctx context.Context, from string) (outcome, error) {
	_, err := n.sameMachine(ctx)
	if err != nil && !errors.Is(err, ErrClone) {
		return outcome{}, err
	}
	from = n.nameInQuarantine(from)
	there, listErr := n.inQuarantine()
	switch {
	case listErr != nil:
		return outcome{}, listErr
	case from != "" && len(there) == 0:
		return outcome{}, fmt.Errorf("%q is not in quarantine: nothing is", from)
	case from != "" && !slices.Contains(there, from):
		return outcome{}, fmt.Errorf("%q is not in quarantine; there is: %s", from, strings.Join(there, ", "))
	case from != "":
		return n.takeBackState(from)
	case err != nil && slices.Contains(there, filepath.Base(n.quarantineFolder())): // a move there was cut short
		return n.takeBackState(filepath.Base(n.quarantineFolder()))
	case err != nil:
		return n.acceptInPlace()
	case len(there) > 0:
		return says("the state here is this machine's; to take back what is in quarantine name it: %s", strings.Join(there, ", "))
	}
	return says("nothing to accept: the state here is this machine's, and none is in quarantine")
}

// nameInQuarantine is the name of a folder there that may be given by its path: that
// is how a dry run has named it.
func (n *node) nameInQuarantine(from string) string {
	path := filepath.Clean(from)
	if from == "" || !platform.IsSameFile(filepath.Dir(path), filepath.Join(n.StateDir, quarantineDir)) {
		return from
	}
	return filepath.Base(path)
}

func (n *node) acceptInPlace() (outcome, error) {
	n.state.Machine = newBoundMachine(n.Machine.Identify())
	if err := n.save(); err != nil {
		return outcome{}, err
	}
	return changed("the state of %s in %s is this machine's from now on", n.state.called(), n.StateDir)
}

// inQuarantine lists the folders there that are complete.
func (n *node) inQuarantine() ([]string, error) {
	q, err := platform.OpenDir(filepath.Join(n.StateDir, quarantineDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = q.Close() }()
	names, err := q.Names()
	return slices.DeleteFunc(names, func(name string) bool {
		_, err := os.Lstat(filepath.Join(q.Path(), name, stateFile))
		return err != nil
	}), err
}

// takeBackState puts in place what is in quarantine, and there what is in place.
// The state comes last: until then this can be done again.
func (n *node) takeBackState(from string) (outcome, error) {
	q, err := platform.OpenDir(filepath.Join(n.StateDir, quarantineDir, from))
	if err != nil {
		return outcome{}, err
	}
	defer func() { _ = q.Close() }()
	back, err := loadState(q)
	if err != nil {
		return outcome{}, err
	}
	if n.state.isSomebody() && filepath.Base(n.quarantineFolder()) != from {
		if err := n.quarantine(); err != nil {
			return outcome{}, err
		}
	}
	files := n.state.Agent // of the agent's files as they are now
	n.state, n.name = back, back.Name
	if err := n.returnFiles(q); err != nil {
		return outcome{}, err
	}
	n.state.Machine = newBoundMachine(n.Machine.Identify())
	if files.Written != nil {
		n.state.Agent.Written, n.state.Agent.Applied = files.Written, nil
	}
	if err := n.save(); err != nil {
		return outcome{}, err
	}
	_ = q.Close() // Windows removes no folder that is open
	if err := n.forgetQuarantined(from); err != nil {
		return outcome{}, err
	}
	return changed("the state of %s is back in %s and this machine's from now on", n.state.called(), n.StateDir)
}

func (n *node) forgetQuarantined(folder string) error {
	q, err := platform.OpenDir(filepath.Join(n.StateDir, quarantineDir))
	if err != nil {
		return err
	}
	defer func() { _ = q.Close() }()
	return q.RemoveAll(folder)
}

// returnFiles puts all but state and status back where it was.
func (n *node) returnFiles(q *platform.Dir) error {
	names, err := q.Names()
	if err != nil {
		return err
	}
	certs := slices.DeleteFunc(names, func(name string) bool { return slices.Contains(stateFiles, name) })
	if err := copyFiles(q, n.dir, requestFiles); err != nil {
		return err
	}
	for _, name := range certs {
		if err := n.returnToCerts(q, name); err != nil {
			return err
		}
	}
	return nil
}

// returnToCerts puts a file back as it is to be read there.
func (n *node) returnToCerts(q *platform.Dir, name string) error {
	data, err := q.ReadFile(name)
	if err != nil {
		return err
	}
	owner, err := n.owner(name)
	if err != nil {
		return err
	}
	perm := n.keyMode()
	if strings.HasSuffix(name, ".crt") || strings.HasSuffix(name, ".csr") {
		perm = 0o644
	}
	return n.certs.WriteFile(name, data, perm, owner)
}
