package enroll

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/selfservice"
)

// ErrNoKey says that a node that isn't registered has no key to change that.
var ErrNoKey = errors.New("this node isn't registered, and there is no key to register it with: set director.template_key_file, or director.host_key_file for a prepared host, to a file that has it (a key in /etc/credstore is a credential, which systemd hands to the service alone: start that, or name the file in a setting)")

// answerGrace is how long the answer to a registration is awaited after
// somebody has asked this program to end: the key in it comes once.
const answerGrace = 30 * time.Second

// roomForKey, in bytes, is kept while the answer is awaited: a disk that others
// fill meanwhile must not cost the key.
const roomForKey = 64 << 10

// LacksKey says why no machine with these settings could be registered that isn't
// yet, and needs to be; nil: nothing here keeps it from that.
func (e *Enroller) LacksKey() error {
	n := &node{Enroller: e}
	if n.registrationKnown() || n.canRegister() || n.canDoWithout(ErrNoKey) {
		return nil
	}
	return n.lacksKey()
}

// register makes this node a host in the Director and keeps the host API key,
// which the Director gives once: it is durable here before anything else is done.
func (n *node) register(ctx context.Context) (outcome, error) {
	if n.registrationKnown() || n.hadSetback() {
		return outcome{}, nil
	}
	out, err := n.registerNow(ctx)
	n.unregistered = err
	return out, err
}

func (n *node) registerNow(ctx context.Context) (outcome, error) {
	if n.Controller != nil {
		return n.control(ctx)
	}
	if n.TemplateKey.IsZero() && n.pair != nil {
		return warns("the certificate is valid, but this node isn't registered and has no director.template_key_file to change that: it will be renewed without a ticket, where ca.endpoints says by whom")
	}
	if n.TemplateKey.IsZero() {
		return outcome{}, n.lacksKey()
	}
	return n.selfRegister(ctx)
}

// selfRegister registers with the template key.
func (n *node) selfRegister(ctx context.Context) (outcome, error) {
	properties, err := n.properties(ctx)
	if err != nil {
		return outcome{}, err
	}
	release, err := n.dir.Reserve(roomForKey)
	if err != nil {
		return outcome{}, err
	}
	defer func() { _ = release() }()
	key, err := n.sendRegistration(ctx, properties)
	if errors.Is(err, selfservice.ErrAlreadyRegistered) && n.pair != nil {
		return n.registeredElsewhere()
	}
	if err != nil {
		return outcome{}, err
	}
	n.state.DeployDue = n.Deploy && n.Controller != nil
	if err := n.keepHostKey(key, n.registeredWith()); err != nil {
		_ = release()
		if err = n.save(); err != nil { // with the room that was kept for it
			return outcome{}, permanent{fmt.Errorf("the host is registered but its key can't be kept; drop the key in the Director before the next try: %w", err)}
		}
	}
	return changed("registered as %s %s; host API key kept", n.name, sent(properties))
}

// registeredWith is what a registration tells of the configuration.
func (n *node) registeredWith() HostSettings {
	s := n.hostSettings()
	s.Imports, s.Vars = nil, nil
	return s
}

// keepHostKey makes the key durable, and what the Director was told with it.
func (n *node) keepHostKey(key secret.Text, told HostSettings) error {
	n.settleName()
	n.state.HostSettings = &told
	n.state.HostKey, n.state.RegisterSent, n.state.Elsewhere = key.Reveal(), nil, false
	n.state.KeyRejected = time.Time{}
	return n.save()
}

// sendRegistration sends it once. That it was sent is written down before, and
// forgotten as soon as there is an answer, whatever it is: what remains is a
// registration of which nobody here knows what became of it.
func (n *node) sendRegistration(ctx context.Context, p selfservice.HostProperties) (secret.Text, error) {
	before := n.state.RegisterSent
	if before != nil && n.Daemon && !n.Reregister {
		return secret.Text{}, fmt.Errorf("a registration as %s was sent at %s and its answer was lost; it isn't sent again by itself. Look for the host in the Director: if it is there and nobody else's, drop its self-service API key; then run icinga-enroll once",
			before.Name, before.At.Format(time.RFC3339))
	}
	n.state.RegisterSent = &Sent{Name: n.name, At: n.Now().UTC()}
	if err := n.save(); err != nil {
		return secret.Text{}, err
	}
	graced, cancel := withGrace(ctx, answerGrace)
	defer cancel()
	key, err := n.Director.Register(graced, n.TemplateKey, n.name, p)
	switch {
	case err == nil:
		return key, nil
	case errors.Is(err, selfservice.ErrAnswerLost):
		return key, fmt.Errorf("%w After that, or if the host is not there: icinga-enroll once", err)
	}
	if errors.Is(err, selfservice.ErrAlreadyRegistered) && before != nil && before.Name == n.name {
		err = fmt.Errorf("%w\n  (this node sent a registration at %s and has not seen its answer: the host is probably its own)", err, before.At.Format(time.RFC3339))
	}
	n.state.RegisterSent = nil
	return key, errors.Join(err, n.save())
}

// withGrace returns a context that ends some time after ctx has ended.
func withGrace(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	graced, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	return graced, func() { stop(); cancel() }
}

// elsewhere is what to know of a node whose host key isn't here.
const elsewhere = "this host is registered with a key that isn't here. The certificate is valid and will be renewed without a ticket, and nobody tells a changed zone. To have a key here: drop the old one in the Director, then icinga-enroll once --director-reregister"

// registeredElsewhere is fine where this node has its certificate all the same:
// it can renew without a ticket.
func (n *node) registeredElsewhere() (outcome, error) {
	n.state.Elsewhere = true
	if err := n.save(); err != nil {
		return outcome{}, err
	}
	hint := ""
	if len(n.Endpoints) == 0 {
		hint = ". Set ca.endpoints, or it can't be renewed: without a host API key the Director doesn't say by whom"
	}
	return warns("%s is in the Director; %s%s", n.name, elsewhere, hint)
}

// properties are what the host is registered with. An existing host's values
// are replaced by what is sent: so a property goes only where the Director's
// host object, the settings or host.send ask for it.
func (n *node) properties(ctx context.Context) (selfservice.HostProperties, error) {
	if err := n.askNaming(ctx); err != nil {
		return selfservice.HostProperties{}, err
	}
	var f facts
	if len(n.naming.HostObject)+len(n.sends()) > 0 {
		var err error
		if f, err = n.facts(ctx); err != nil {
			return selfservice.HostProperties{}, err
		}
	}
	return selfservice.HostProperties{
		DisplayName: n.property(f, "display_name", n.Properties.DisplayName, n.name),
		Address:     n.property(f, "address", n.Properties.Address, f.v4),
		Address6:    n.property(f, "address6", n.Properties.Address6, f.v6),
	}, nil
}

// sends are the properties to send; nil: as the Director's host object says. A
// host that is made without a template key has no such object.
func (n *node) sends() []string {
	if n.Send == nil && n.TemplateKey.IsZero() {
		return []string{"address", "address6", "display_name"}
	}
	return n.Send
}

func (n *node) property(f facts, name, set, found string) string {
	template, asked := n.naming.HostObject[name]
	switch {
	case n.sends() != nil && !slices.Contains(n.sends(), name):
		return ""
	case set != "":
		return set
	case asked:
		return f.fill(template)
	case n.sends() != nil:
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
	if p.Address == "" && p.Address6 == "" {
		parts = append(parts, "no address")
	}
	return "with " + strings.Join(parts, ", ")
}
