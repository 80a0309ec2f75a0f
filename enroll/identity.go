package enroll

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"icinga-enroll/selfservice"
)

// identity finds the name of this node. A name that is registered sticks: to
// follow a changed hostname would make two hosts of one machine.
func (n *node) identity(ctx context.Context) (outcome, error) {
	if n.state.Name != "" {
		n.name = n.state.Name
		other := n.otherName()
		switch {
		case other == "":
			return says("%s, as %s", n.name, n.settledHow())
		case n.isOnlyRequested() && n.state.HostKey == "": // see discardRequest
			return warns("%s, as requested; %s, which is not followed before icinga-enroll discard-request forgets the request", n.name, other)
		}
		return warns("%s, as %s; %s, which is not followed: one machine would become two hosts", n.name, n.settledHow(), other)
	}
	found, why, err := n.findName(ctx)
	if err != nil {
		return outcome{}, err
	}
	if err := CheckName(found); err != nil {
		return outcome{}, err
	}
	n.name = found
	return says("%s, as %s", n.name, why)
}

// settledHow is how the name came to stick.
func (n *node) settledHow() string {
	if n.isOnlyRequested() {
		return "requested"
	}
	return "enrolled"
}

// isOnlyRequested reports whether there was no certificate of this name yet, and one
// waits for approval.
func (n *node) isOnlyRequested() bool { return n.replacing() && len(n.state.Certs) == 0 }

// otherName says what has changed since the name was settled. No server is
// asked for it.
func (n *node) otherName() string {
	if n.Name != "" {
		if n.Name == n.state.Name {
			return ""
		}
		return fmt.Sprintf("host.name is now %q", n.Name)
	}
	host, err := n.Machine.Hostname()
	if err != nil || n.state.Hostname == "" || host == n.state.Hostname {
		return ""
	}
	return fmt.Sprintf("the hostname was %q and is now %q", n.state.Hostname, host)
}

// settleName makes the name stick, once something outside bears it.
func (n *node) settleName() {
	if n.state.Name == "" {
		n.state.Name, n.state.APIClient = n.name, n.APIClient
		n.state.Hostname, _ = n.Machine.Hostname() // only to notice a change
	}
}

// findName asks, in this order: the settings, the Director, this machine.
func (n *node) findName(ctx context.Context) (name, why string, err error) {
	if n.Name != "" {
		return n.Name, "host.name says", nil
	}
	if err := n.hasHostname(); err != nil {
		return "", "", err
	}
	if err := n.askNaming(ctx); err != nil {
		return "", "", err
	}
	if n.naming.FetchAgentName && !n.naming.FetchAgentFQDN {
		short, err := n.shortName()
		return n.transform(short), "the Director asks for the host name", err
	}
	fqdn, err := n.Machine.FQDN(ctx)
	if err != nil {
		return "", "", err
	}
	return n.transform(fqdn), "the fully qualified domain name", nil
}

// hasHostname reports an error until this machine has a name of its own, which
// may come after the boot. The Director isn't asked how to write it before.
func (n *node) hasHostname() error {
	short, err := n.shortName()
	if err != nil {
		return err
	}
	if err := CheckName(short); IsTemporary(err) {
		return local{temporary{err}}
	}
	return nil
}

// askNaming asks the Director how it names hosts: with the template key, or, on
// a prepared host, with that host's.
func (n *node) askNaming(ctx context.Context) error {
	if n.naming != nil {
		return nil
	}
	key := n.HostKey
	if key.IsZero() {
		key = n.TemplateKey
	}
	var told selfservice.Parameters
	if n.Director != nil && !key.IsZero() {
		var err error
		if told, err = n.Director.Parameters(ctx, key); err != nil {
			return err
		}
	}
	n.naming = &told
	return nil
}

func (n *node) shortName() (string, error) {
	host, err := n.Machine.Hostname()
	short, _, _ := strings.Cut(host, ".")
	return short, err
}

func (n *node) transform(name string) string {
	switch n.naming.Transform {
	case selfservice.Lower:
		return strings.ToLower(name)
	case selfservice.Upper:
		return strings.ToUpper(name)
	default:
		return name
	}
}

var nameChars = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)

// maxName is what fits into a certificate's common name (RFC 5280, ub-common-name).
const maxName = 64

// CheckName refuses what can't be the name of a node. Director takes almost
// any string as a host's name; but the CA makes two names of one with a comma,
// and files, configuration and certificates are named after it.
func CheckName(name string) error {
	switch {
	case name == "":
		return temporary{errors.New("this node has no name: set host.name")}
	case strings.HasPrefix(strings.ToLower(name), "localhost"):
		return temporary{fmt.Errorf("%q is what every machine calls itself: set the hostname, or host.name", name)}
	case len(name) > maxName:
		return fmt.Errorf("the name %.40q… has %d characters, a certificate's common name takes %d: set a shorter host.name", name, len(name), maxName)
	case !nameChars.MatchString(name) || strings.Contains(name, "..") || strings.HasSuffix(name, "."):
		return fmt.Errorf("%q can't be a node's name: letters, digits, '-' and '_' can, no '-' first, with single dots between them (no space, comma, slash, quote; no umlaut either: the CA would write another name into the certificate)", name)
	case name == "0" || strings.EqualFold(name, "ca"):
		return fmt.Errorf("%q can't be a node's name: the Director takes \"0\" for no name, and the certificate of \"ca\" would be written over ca.crt", name)
	}
	return nil
}
