package enroll

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"icinga-enroll/platform"
	"icinga-enroll/selfservice"
)

// checkClient refuses the name of an endpoint or a host to an API client, before
// the CA is asked for anything: with a certificate of that name it could act as
// it. A Director that doesn't answer is no reason not to renew a certificate.
func (n *node) checkClient(ctx context.Context) (outcome, error) {
	if !n.APIClient || n.pair != nil && n.state.Name != "" && n.nothingDue() {
		return outcome{}, nil
	}
	if n.Controller == nil {
		return outcome{}, nil
	}
	_, err := n.Controller.Host(ctx, n.name)
	switch {
	case err == nil:
		return outcome{}, n.couldActAs("the Director has a host %q", n.name)
	case errors.Is(err, selfservice.ErrNoHost):
		return n.notADirectorsEndpoint(ctx)
	}
	return n.notKnown("a host", err)
}

// freeToAdopt is checkClient for a pair that somebody has laid here: until its name
// is this node's it counts for nothing, so that what isn't known can't wait.
func (n *node) freeToAdopt(ctx context.Context) error {
	out, err := n.checkClient(ctx)
	if err != nil {
		n.pair = nil
		return err
	}
	if out.text != "" {
		n.note(Step{Name: "client", Text: out.text, Warning: out.warning})
	}
	return nil
}

// notADirectorsEndpoint asks for the masters and satellites, which are no hosts.
func (n *node) notADirectorsEndpoint(ctx context.Context) (outcome, error) {
	found, err := n.Controller.HasEndpoint(ctx, n.name)
	switch {
	case errors.Is(err, selfservice.ErrNoPermission):
		return warns("the Director has no host %s; whether it has an endpoint of that name (a master or satellite) could not be checked: %s", n.name, err)
	case err != nil:
		return n.notKnown("an endpoint", err)
	case found:
		return outcome{}, n.couldActAs("the Director has an endpoint %q", n.name)
	}
	return says("the Director has neither a host nor an endpoint %s", n.name)
}

// notKnown is what a Director has not answered.
func (n *node) notKnown(what string, err error) (outcome, error) {
	if n.pair == nil || n.state.Name == "" {
		return outcome{}, fmt.Errorf("whether %s is %s of the Director's: %w", n.name, what, err)
	}
	n.setback = err
	return warns("whether %s has become %s of the Director's isn't known: %s", n.name, what, err)
}

func (n *node) couldActAs(format string, a ...any) error {
	return fmt.Errorf(format+": an API client with a certificate of that name could act as it; set another host.name", a...)
}

// owner is whose the file name is to be: the folder's, which in the Icinga
// agent's is the agent's user, or who is to use the key. The CA's certificate
// may be others' as well.
func (n *node) owner(name string) (platform.Owner, error) {
	folder, err := n.certs.Owner()
	if name == caFile {
		return folder, err
	}
	return n.Owner.Or(folder), err
}

func (n *node) keyMode() fs.FileMode {
	if n.GroupReads {
		return 0o640
	}
	return 0o600
}

// giveFolder gives the certs folder to who is to read in it, where it is this
// program's own or holds nothing yet. Anybody else's folder stays theirs.
func (n *node) giveFolder() error {
	if n.Owner == (platform.Owner{}) {
		return nil
	}
	names, err := n.certs.Names()
	if err != nil || len(names) > 0 && !n.certsAreOurs() {
		return err
	}
	return n.certs.Give(n.Owner)
}

// certsAreOurs reports whether the certs folder is in this program's own.
func (n *node) certsAreOurs() bool {
	inside, err := filepath.Rel(n.StateDir, n.CertsDir)
	return err == nil && filepath.IsLocal(inside)
}

// keepOwner makes a change of the settings good on the files that are there.
func (n *node) keepOwner(out outcome) (outcome, error) {
	if n.Owner == (platform.Owner{}) {
		return out, nil
	}
	for name, perm := range map[string]fs.FileMode{n.name + ".key": n.keyMode(), n.name + ".crt": 0o644} {
		owner, err := n.owner(name)
		if err != nil {
			return outcome{}, err
		}
		mode, has, err := n.certs.Attributes(name)
		if err != nil {
			return outcome{}, err
		}
		if mode.Perm() == perm && has == owner {
			continue
		}
		data, err := n.certs.ReadFile(name)
		if err == nil {
			err = n.certs.WriteFile(name, data, perm, owner)
		}
		if err != nil {
			return outcome{}, err
		}
		out.changed = true
	}
	if out.changed {
		out.text += "; its files were given to their account"
	}
	return out, nil
}
