package enroll

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/selfservice"
)

const (
	// deployWithin is how long a master may take to load a configuration.
	deployWithin = 3 * time.Minute
	deployPoll   = time.Second
)

// control makes this node a host in the Director, or takes over the one that is
// there, as an Icinga Web user: a key that got lost is read back, so nothing has
// to be dropped by an admin, and a lost answer costs nothing.
func (n *node) control(ctx context.Context) (outcome, error) {
	host, err := n.findHost(ctx)
	switch {
	case err != nil:
		return outcome{}, err
	case host != nil:
		return n.takeHost(ctx, *host)
	case len(n.Imports) > 0:
		return n.createHost(ctx)
	case n.TemplateKey.IsZero():
		return outcome{}, n.noImports()
	}
	n.state.RegisterSent = nil // whatever was sent before hasn't made the host
	return n.selfRegister(ctx)
}

// findHost returns nil where there is no host of this name. Nobody is to make or
// take one that may have an endpoint's.
func (n *node) findHost(ctx context.Context) (*selfservice.Host, error) {
	if n.endpointUnknown != nil {
		return nil, n.endpointUnknown
	}
	host, err := n.Controller.Host(ctx, n.name)
	switch {
	case errors.Is(err, selfservice.ErrNoHost):
		return nil, nil
	case err != nil:
		return nil, err
	case host.Type != "object":
		return nil, misnamed{fmt.Errorf("%q is a host template in the Director: set another host.name", n.name)}
	case host.Name != n.name:
		return nil, misnamed{fmt.Errorf("in the Director this host is written %q: set host.name to that, since the CA takes upper and lower case for two names", host.Name)}
	}
	return &host, nil
}

func (n *node) noImports() error {
	return fmt.Errorf("the Director has no host %s, and nothing says of which templates to make it: set host.imports, or director.template_key_file", n.name)
}

func (n *node) createHost(ctx context.Context) (outcome, error) {
	if err := n.checkImports(ctx, n.Imports); err != nil {
		return outcome{}, err
	}
	properties, err := n.properties(ctx)
	if err != nil {
		return outcome{}, err
	}
	spec := selfservice.HostSpec{
		Name: n.name, Imports: n.Imports, Vars: n.Vars, Key: newHostKey(),
		DisplayName: properties.DisplayName, Address: properties.Address, Address6: properties.Address6,
	}
	if err := n.Controller.CreateHost(ctx, spec); err != nil {
		return n.overtaken(ctx, err)
	}
	n.state.DeployDue = n.Deploy
	if err := n.keepHostKey(spec.Key, n.hostSettings()); err != nil {
		return outcome{}, err
	}
	return changed("made %s in the Director, of %v, %s; host API key kept", n.name, n.Imports, sent(properties))
}

// overtaken takes over the host that somebody else has made since it was looked
// for: several runs for one machine may have begun at once.
func (n *node) overtaken(ctx context.Context, err error) (outcome, error) {
	if !errors.Is(err, selfservice.ErrHostExists) {
		return outcome{}, err
	}
	host, herr := n.findHost(ctx)
	if herr != nil || host == nil {
		return outcome{}, errors.Join(err, herr)
	}
	return n.takeHost(ctx, *host)
}

// checkImports refuses templates, if there are any, of which no Icinga agent can
// be made: the host would get neither a ticket nor parameters. Of those that say
// whether it is one the last decides. What can't be told is left to the Director
// to say.
func (n *node) checkImports(ctx context.Context, imports []string) error {
	if len(imports) == 0 {
		return nil
	}
	for _, name := range slices.Backward(imports) {
		is, said, err := n.Controller.IsAgent(ctx, name)
		if is || err != nil {
			return nil // the call that follows says more
		}
		if said {
			break
		}
	}
	return fmt.Errorf("a host of %v (host.imports) would be no Icinga agent: in the Director set \"Icinga2 Agent\" to \"Yes\" in the last of these templates that sets it, or name another: %w", imports, selfservice.ErrNotAgent)
}

// checkAgent refuses a host that is no Icinga agent, as checkImports does.
func (n *node) checkAgent(ctx context.Context) error {
	if is, _, err := n.Controller.IsAgent(ctx, n.name); is || err != nil {
		return nil //nolint:nilerr // the call that follows says more
	}
	return fmt.Errorf("%s is in the Director, and no Icinga agent there: set \"Icinga2 Agent\" to \"Yes\" in that host or one of its templates: %w", n.name, selfservice.ErrNotAgent)
}

// takeHost takes the key of a host that is there; what the configuration says
// of it comes next, but for its templates: they are whose who made it.
func (n *node) takeHost(ctx context.Context, host selfservice.Host) (outcome, error) {
	if err := n.checkAgent(ctx); err != nil {
		return outcome{}, err
	}
	key, how := host.Key, "its key was read back"
	if key.IsZero() {
		key, how = newHostKey(), "it has a new key"
		if err := n.Controller.SetHostKey(ctx, n.name, key); err != nil {
			return outcome{}, err
		}
	}
	before := n.hostSettingsBefore()
	if err := n.keepHostKey(key, before); err != nil {
		return outcome{}, err
	}
	if slices.Equal(before.Imports, n.Imports) && len(n.Imports) > 0 && !slices.Equal(host.Imports, n.Imports) {
		n.note(Step{Name: "register", Warning: true, Text: fmt.Sprintf("%s is made of %v in the Director, not of %v (host.imports); its templates are left to who made it there", n.name, host.Imports, n.Imports)})
	}
	return changed("%s is in the Director; %s", n.name, how)
}

// newHostKey is as the Director makes them itself: 40 hex digits.
func newHostKey() secret.Text {
	key := make([]byte, 20)
	_, _ = rand.Read(key) // it never fails
	return secret.New(hex.EncodeToString(key))
}

// isThere reports whether the Director has this host: then its key was lost,
// and nobody has deleted it on purpose.
func (n *node) isThere(ctx context.Context) bool {
	if n.Controller == nil || !n.HostKey.IsZero() {
		return false
	}
	host, err := n.findHost(ctx)
	return err == nil && host != nil
}

// DeployError is why a deployment that was asked for didn't come about. The host
// is in the Director, and the certificate in place.
type DeployError struct{ err error }

func (e *DeployError) Error() string { return e.err.Error() }

// Unwrap returns what the Director said, and whether that may pass.
func (e *DeployError) Unwrap() error { return e.err }

// deployDue is false while deployments are switched off: what was due then comes with
// the next.
func (n *node) deployDue() bool { return n.state.DeployDue && n.Deploy && n.Controller != nil }

// deploy has the master load what the Director has, where that is wanted: what
// others have edited there goes with it.
func (n *node) deploy(ctx context.Context) (outcome, error) {
	if !n.deployDue() {
		return outcome{}, nil
	}
	if err := n.deployNow(ctx); err != nil {
		return outcome{}, &DeployError{err}
	}
	n.state.DeployDue = false
	if err := n.save(); err != nil {
		return outcome{}, err
	}
	return changed("the master has accepted the Director's configuration, and restarts with it")
}

// deployNow returns once the configuration is active: that the master has got
// it says nothing.
func (n *node) deployNow(ctx context.Context) error {
	checksum, err := n.Controller.Deploy(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, deployWithin)
	defer cancel()
	for {
		state, err := n.Controller.Deployment(ctx, checksum)
		switch {
		case err == nil && (state == selfservice.DeploymentActive || state == selfservice.DeploymentReplaced):
			return nil
		case err == nil && state == selfservice.DeploymentFailed:
			return fmt.Errorf("the master refuses the configuration %s, and goes on with the one before: why, the startup log of the failed deployment says, which the Director shows in a browser only, at %s", checksum, n.Controller.DeploymentsPage())
		case err != nil && !IsTemporary(err):
			return err
		}
		select {
		case <-ctx.Done():
			return temporary{fmt.Errorf("after %s the master has not loaded the configuration %s: look what became of it at %s", deployWithin, checksum, n.Controller.DeploymentsPage())}
		case <-time.After(deployPoll):
		}
	}
}
