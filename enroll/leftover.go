package enroll

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"icinga-enroll/platform"
	"icinga-enroll/selfservice"
)

// isHosts reports whether a host of the Director's, or an Icinga agent, is in
// the state: no API client has that.
func (s *State) isHosts() bool {
	return s.HostKey != "" || s.Elsewhere || s.RegisterSent != nil || s.Parameters != nil || s.Agent.Applied != nil
}

// isTheOne refuses to take another identity out than the settings say: several
// on a machine may have been given one folder by mistake, and a host key is
// given once.
func (n *node) isTheOne(context.Context) (outcome, error) {
	const stays = "nothing was removed. Set paths.state to the folder of who is to leave (or say --instance)"
	switch name := n.state.called(); {
	case n.Name != "" && n.state.bearer() != "" && n.Name != n.state.bearer():
		return outcome{}, fmt.Errorf("host.name is %q, and the state in %s is that of %s: %s; if it is %[3]s that is to leave, set host.name to it", n.Name, n.StateDir, name, stays)
	case n.APIClient && n.state.isHosts():
		return outcome{}, fmt.Errorf("by profile: api-client this is an API client, and the state in %s is that of the Icinga agent %s: %s", n.StateDir, name, stays)
	case !n.APIClient && n.state.APIClient:
		return outcome{}, fmt.Errorf("by profile: agent this is an Icinga agent, and the state in %s is that of the API client %s: %s", n.StateDir, name, stays)
	}
	return outcome{}, nil
}

// rememberCerts has the state know each folder that a pair was in: with another
// paths.certs the one before stays behind.
func (n *node) rememberCerts() (isNew bool) {
	if slices.Contains(n.state.Certs, n.CertsDir) {
		return false
	}
	n.state.Certs = append(n.state.Certs, n.CertsDir)
	return true
}

// sayLeftBehind tells of this node's files in folders that paths.certs has named
// before.
func (n *node) sayLeftBehind() {
	for _, folder := range n.state.Certs {
		if files := filesOf(n.name, folder); folder != n.CertsDir && len(files) > 0 {
			n.note(Step{Name: "remains", Warning: true, Text: strings.Join(files, ", ") + ": from when paths.certs was that folder; remove them"})
		}
	}
}

// filesOf are those of a node of this name in a certs folder. One that can't be
// read is taken for empty.
func filesOf(name, folder string) (files []string) {
	dir, err := platform.OpenDir(folder)
	if err != nil {
		return nil
	}
	defer func() { _ = dir.Close() }()
	n := &node{certs: dir}
	own, _ := n.ownFiles(name)
	for _, file := range own {
		files = append(files, filepath.Join(folder, file))
	}
	return files
}

// leaveNothing is Leave where there is no state folder.
func (e *Enroller) leaveNothing(ctx context.Context, o LeaveOptions) error {
	n, err := e.look()
	if err != nil {
		return err
	}
	defer n.close()
	n.note(Step{Name: "leave", Text: "nothing to do: there is no " + e.StateDir})
	l := &leaving{node: n, LeaveOptions: o}
	return n.walk(ctx, []step{{name: "remains", do: l.lookAround}})
}

// lookAround tells, where no state has said who this machine is, of what there
// is of the name that it goes by. It removes nothing: the name is a guess.
func (l *leaving) lookAround(ctx context.Context) (outcome, error) {
	if l.name != "" {
		return outcome{}, nil
	}
	name := l.Name
	if name == "" {
		name, _ = l.Machine.FQDN(ctx) // without one there is nothing to look for
	}
	if files := filesOf(name, l.CertsDir); len(files) > 0 {
		l.note(Step{Name: "remains", Warning: true, Text: fmt.Sprintf("%s: no state in %s tells whose; if this machine's, remove them", strings.Join(files, ", "), l.StateDir)})
	}
	isKnown := slices.ContainsFunc(l.hosts, func(h leftHost) bool { return strings.EqualFold(h.Name, name) })
	if name == "" || isKnown || l.APIClient || !l.asksDirector() {
		return outcome{}, nil
	}
	_, err := l.Controller.Host(ctx, name)
	switch {
	case errors.Is(err, selfservice.ErrNoHost):
		return outcome{}, nil
	case err != nil:
		return warns("whether the Director has a host %s isn't known: %s", name, err)
	}
	return warns("the Director has a host %s: no state in %s tells whose; if it is this machine's, delete it there", name, l.StateDir)
}
