package enroll

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"icinga-enroll/platform"
)

// quarantineDir holds what another machine has left, a folder for each. It is
// never deleted: a host API key can't be asked for again.
const quarantineDir = "quarantine"

// setReenroll is for a copy that is told to wait.
const setReenroll = "set clone_policy: reenroll, and it enrols under a name of its own"

// ownMachine is sameMachine for Ensure: a copy that has a name of its own puts
// what its original has left into quarantine and goes on as itself. Under the
// original's name it must not: the results of the two would overwrite each
// other (Icinga 2 issue 6314).
func (n *node) ownMachine(ctx context.Context) (outcome, error) {
	isNew := n.state.Machine == nil || !n.state.isSomebody()
	out, err := n.sameMachine(ctx)
	if err == nil && isNew && !n.APIClient && n.state.Machine.isUnknown() {
		return warns("nothing tells this machine from a copy of it (it has no machine-id yet): run icinga-enroll seal before it is copied")
	}
	if !errors.Is(err, ErrClone) {
		return out, err
	}
	original := n.state.bearer()
	own, why, nameErr := n.findName(ctx)
	switch {
	case n.ClonePolicy == CloneStop:
		err = fmt.Errorf("%w. If it is a copy: %s", err, setReenroll)
	case !n.HostKey.IsZero():
		err = fmt.Errorf("%w. If it is a copy: take director.host_key out of its configuration, which is one host's", err)
	case nameErr != nil:
		err = fmt.Errorf("%w. If it is a copy it enrols as itself, once it can find its name: %w", err, nameErr)
	case own == original:
		err = fmt.Errorf("%w. If it is a copy: give it a name of its own, with which it enrols (the service within a minute of another hostname, otherwise icinga-enroll once); now it is %s, too (%s)", err, own, why)
	default:
		return n.goOnAs(own)
	}
	n.name = original // whom the status is about
	return outcome{}, err
}

// soonOwnMachine is sameMachine for Mend, after which the service enrols a copy as
// itself: what it says is read at night.
func (n *node) soonOwnMachine(ctx context.Context) (outcome, error) {
	out, err := n.sameMachine(ctx)
	if !errors.Is(err, ErrClone) || n.ClonePolicy == CloneStop || !n.HostKey.IsZero() || n.state.Name == "" {
		return out, err
	}
	if other := n.otherName(); other != "" {
		err = fmt.Errorf("%w. If it is a copy nobody has to do anything: %s, and under its own name it enrols now", err, other)
	}
	return out, err
}

func (n *node) goOnAs(own string) (outcome, error) {
	original, folder := n.state.called(), n.quarantineFolder()
	if n.readOnly {
		n.state = n.state.withoutIdentity()
		return says("this machine is a copy of %s: would put what is left of that into %s, and enrol as %s", original, folder, own)
	}
	if err := n.quarantine(); err != nil {
		return outcome{}, err
	}
	return changed("this machine is a copy of %s: what is left of that is in %s now, and this one enrols as %s", original, folder, own)
}

func (n *node) quarantineFolder() string {
	name := n.state.bearer()
	if name == "" {
		name = "unnamed"
	}
	return filepath.Join(n.StateDir, quarantineDir, name+"-"+n.state.Machine.Salt)
}

// requestFiles are those of a certificate that is on its way.
var requestFiles = []string{switchFile, requestCert, requestCSR, requestKey}

// stateFiles are somebody's. The state is the last: as long as it is there, the
// next run knows that the rest is to be removed, and a folder in quarantine is
// complete once it has it.
var stateFiles = append(slices.Clone(requestFiles), statusFile, stateFile)

// quarantine moves the state and the pair away and begins an empty state.
// Everything is copied before anything is removed; a run that was cut short is
// done again into the same folder. What is known of the Icinga agent's files
// stays: without it they would be left alone for ever.
func (n *node) quarantine() error {
	q, err := platform.MakeDir(n.quarantineFolder(), 0o700)
	if err != nil {
		return err
	}
	defer func() { _ = q.Close() }()
	own, err := n.ownFiles(n.state.Name)
	if err == nil {
		err = copyFiles(n.certs, q, own)
	}
	if err == nil {
		err = copyFiles(n.dir, q, stateFiles)
	}
	if err != nil {
		return fmt.Errorf("what another machine has left can't be kept: %w", err)
	}
	if err := removeFiles(n.certs, own); err != nil {
		return err
	}
	if err := removeFiles(n.dir, stateFiles[:len(stateFiles)-1]); err != nil {
		return err
	}
	n.name = ""
	n.state = n.state.withoutIdentity()
	n.state.Machine = newBoundMachine(n.Machine.Identify())
	return n.save()
}

// copyFiles copies those of the files that there are, private to this program.
func copyFiles(from, to *platform.Dir, names []string) error {
	if from == nil {
		return nil
	}
	for _, name := range names {
		data, err := from.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = to.WriteFile(name, data, 0o600, platform.Owner{})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func removeFiles(dir *platform.Dir, names []string) error {
	if dir == nil {
		return nil
	}
	for _, name := range names {
		if err := dir.Remove(name); err != nil {
			return err
		}
	}
	return nil
}
