package enroll

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"icinga-enroll/selfservice"
)

// ErrNoKey says that a node that isn't registered has no key to change that.
var ErrNoKey = errors.New("this node isn't registered, and there is no key to register it with: set director.template_key_file, or director.host_key_file for a prepared host")

// answerGrace is how long the answer to a registration is awaited after
// somebody has asked this program to end: the key in it comes once.
const answerGrace = 30 * time.Second

// register makes this node a host in the Director and keeps the host API key,
// which the Director gives once: it is durable here before anything else is done.
func (n *node) register(ctx context.Context) (outcome, error) {
	if n.registrationKnown() {
		return outcome{}, nil
	}
	if n.TemplateKey.IsZero() && n.pair != nil {
		return warns("the certificate is valid, but this node isn't registered and has no director.template_key_file to change that: it will be renewed without a ticket")
	}
	if n.TemplateKey.IsZero() {
		return outcome{}, ErrNoKey
	}
	properties, err := n.properties(ctx)
	if err != nil {
		return outcome{}, err
	}
	sentBefore := n.state.RegisterSent
	n.state.RegisterSent = n.Now().UTC()
	if err := n.save(); err != nil {
		return outcome{}, err
	}
	graced, cancel := withGrace(ctx, answerGrace)
	defer cancel()
	key, err := n.Director.Register(graced, n.TemplateKey, n.name, properties)
	if errors.Is(err, selfservice.ErrAlreadyRegistered) {
		return n.registeredElsewhere(err, sentBefore)
	}
	if err != nil {
		return outcome{}, err
	}
	n.state.HostKey = key.Reveal()
	n.settleName()
	n.state.RegisterSent = time.Time{}
	if err := n.save(); err != nil {
		return outcome{}, fmt.Errorf("the host is registered but its key can't be kept; drop the key in the Director before the next try: %w", err)
	}
	return changed("registered as %s %s; host API key kept", n.name, sent(properties))
}

// withGrace returns a context that ends some time after ctx has ended.
func withGrace(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	graced, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	return graced, func() { stop(); cancel() }
}

// registeredElsewhere is fine where this node has its certificate all the
// same: it can renew without a ticket. Without one somebody has to act.
func (n *node) registeredElsewhere(err error, sentBefore time.Time) (outcome, error) {
	if n.pair == nil {
		if !sentBefore.IsZero() {
			err = fmt.Errorf("%w\n  (this node sent a registration at %s and has not seen its answer: the host is probably its own)", err, sentBefore.Format(time.RFC3339))
		}
		return outcome{}, err
	}
	n.state.Elsewhere = true
	n.state.RegisterSent = time.Time{}
	if err := n.save(); err != nil {
		return outcome{}, err
	}
	return warns("%s is registered in the Director with a key that is not here; the certificate is valid and will be renewed without a ticket. For tickets, drop the key in the Director and delete \"registered_elsewhere\" from %s", n.name, filepath.Join(n.StateDir, stateFile))
}

// properties are what the host is registered with. An existing host's values
// are replaced by what is sent: so a property goes only where the Director's
// host object, the settings or host.send ask for it.
func (n *node) properties(ctx context.Context) (selfservice.HostProperties, error) {
	if err := n.askNaming(ctx); err != nil {
		return selfservice.HostProperties{}, err
	}
	if n.Send != nil && len(n.Send) == 0 {
		return selfservice.HostProperties{}, nil
	}
	f, err := n.facts(ctx)
	if err != nil {
		return selfservice.HostProperties{}, err
	}
	return selfservice.HostProperties{
		DisplayName: n.property(f, "display_name", n.Properties.DisplayName, n.name),
		Address:     n.property(f, "address", n.Properties.Address, f.v4),
		Address6:    n.property(f, "address6", n.Properties.Address6, f.v6),
	}, nil
}

func (n *node) property(f facts, name, set, found string) string {
	template, asked := n.naming.HostObject[name]
	switch {
	case n.Send != nil && !slices.Contains(n.Send, name):
		return ""
	case set != "":
		return set
	case asked:
		return f.fill(template)
	case n.Send != nil:
		return found
	default:
		return ""
	}
}

func sent(p selfservice.HostProperties) string {
	var parts []string
	for _, v := range []struct{ name, value string }{
		{"display name", p.DisplayName}, {"address", p.Address}, {"IPv6 address", p.Address6},
	} {
		if v.value != "" {
			parts = append(parts, v.name+" "+v.value)
		}
	}
	if len(parts) == 0 {
		return "without properties"
	}
	return "with " + strings.Join(parts, ", ")
}
