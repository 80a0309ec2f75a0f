package enroll

import (
	"cmp"
	"context"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"icinga-enroll/pki"
)

// Prepared is a certificate request that somebody is to take to a CA.
type Prepared struct {
	Name string // its common name
	Key  string // the file of its key, which stays here
	CSR  string // the file of the request
}

// PrepareCSR writes a PKCS#10 request for this node beside the key for it, and
// asks no server. A key that is there is used and never replaced. Of the
// subject organization and unit are taken; where it has neither, those of the
// request that is there.
func (e *Enroller) PrepareCSR(ctx context.Context, subject pkix.Name) (Prepared, error) {
	if err := checkSubject(subject); err != nil {
		return Prepared{}, err
	}
	n, err := e.open(ctx)
	if err != nil {
		return Prepared{}, err
	}
	defer n.close()
	var key crypto.Signer
	err = n.walk(ctx, []step{
		{name: "state", do: n.load},
		{name: "machine", do: n.stillSameMachine},
		{name: "switch", do: n.completeSwitch},
		{name: "identity", do: n.onlyName},
		{name: "name", do: n.freeName},
		{name: "key", do: func(context.Context) (out outcome, err error) { key, out, err = n.keyInPlace(); return out, err }},
		{name: "request", do: func(context.Context) (outcome, error) { return n.writeCSR(key, subject) }},
	})
	return Prepared{n.name, n.keyFile(), filepath.Join(n.CertsDir, n.name+".csr")}, err
}

// stillSameMachine is sameMachine for all but Ensure, which alone makes a machine of
// its own of a copy.
func (n *node) stillSameMachine(ctx context.Context) (outcome, error) {
	out, err := n.sameMachine(ctx)
	if errors.Is(err, ErrClone) {
		err = fmt.Errorf("%w. If it is a copy: %s. Where that reaches no server, move away all that is the original's: %s", err, n.adviseOnce(), strings.Join(n.originals(), ", "))
	}
	return out, err
}

func (n *node) adviseOnce() string {
	if n.ClonePolicy == CloneStop {
		return setReenroll + " (icinga-enroll once)"
	}
	return "give it a name of its own, and run icinga-enroll once"
}

// originals is what would go on as the original where a copy loses its state alone.
func (n *node) originals() []string {
	all := []string{n.StateDir}
	if name := n.state.bearer(); name != "" {
		all = append(all, filepath.Join(n.CertsDir, name+".key"), filepath.Join(n.CertsDir, name+".crt"))
	}
	if len(n.state.Agent.Written) > 0 {
		all = append(all, "and the Icinga agent's files that icinga-enroll has written (the package's are beside them, as *.orig: put them back)")
	}
	return all
}

// checkSubject refuses what no CA would sign: RFC 5280 gives each 64 characters.
func checkSubject(subject pkix.Name) error {
	for _, part := range slices.Concat(subject.Organization, subject.OrganizationalUnit) {
		unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
		if n := utf8.RuneCountInString(part); n == 0 || n > maxName || !utf8.ValidString(part) || strings.ContainsFunc(part, unprintable) {
			return fmt.Errorf("%.80q can't be an organization or unit of a certificate: give 1 to %d printable characters", part, maxName)
		}
	}
	return nil
}

// ownName finds the name of this node and asks no server: the one that sticks,
// else host.name, else what this machine calls itself.
func (n *node) ownName(ctx context.Context) (outcome, error) {
	if n.state.Name != "" {
		return n.identity(ctx)
	}
	why := "host.name says"
	if n.name = n.Name; n.name == "" {
		var err error
		if n.name, err = n.Machine.FQDN(ctx); err != nil {
			return outcome{}, err
		}
		why = "the fully qualified domain name"
	}
	if err := CheckName(n.name); err != nil {
		return outcome{}, err
	}
	return says("%s, as %s", n.name, why)
}

// onlyName is ownName where host.name may not contradict what is settled: a
// certificate for the one would be of no use to the other.
func (n *node) onlyName(ctx context.Context) (outcome, error) {
	if n.stuck {
		return outcome{}, n.setback
	}
	if n.state.Name != "" && n.Name != "" && n.Name != n.state.Name {
		return outcome{}, fmt.Errorf("host.name is %q, and this machine is enrolled as %s: set host.name back; or, to take over the new name, stop the service and move %s away first",
			n.Name, n.state.Name, n.StateDir)
	}
	return n.ownName(ctx)
}

func (n *node) keyFile() string { return filepath.Join(n.CertsDir, n.name+".key") }

// keyInPlace returns the key where the agent looks for it: the one that is
// there, or a new one.
func (n *node) keyInPlace() (crypto.Signer, outcome, error) {
	text, err := n.certs.ReadFile(n.name + ".key")
	if err == nil {
		key, err := n.Keys.Parse(text)
		if err == nil {
			err = pki.CheckKey(key) // before a request is signed: that would be one more guess at an auth value
		}
		if errors.Is(err, pki.ErrTPM) {
			return nil, outcome{}, fmt.Errorf("%s: %w", n.keyFile(), err) // it is of use where that is mended
		}
		if err != nil {
			return nil, outcome{}, fmt.Errorf("%s is there and is not replaced, but is of no use: %w; move it away if nobody needs it", n.keyFile(), err)
		}
		n.sayStore(key, "moving it away, then icinga-enroll csr,")
		out, err := says("%s, as it is%s", n.keyFile(), n.otherType(key))
		return key, out, err
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, outcome{}, err
	}
	if err := n.Keys.Ready(); err != nil {
		return nil, outcome{}, err
	}
	key, err := n.Keys.Generate()
	if err != nil {
		return nil, outcome{}, err
	}
	text, err = pki.EncodeKey(key)
	if err != nil {
		return nil, outcome{}, err
	}
	if err := n.writeBeside(n.name+".key", text, n.keyMode()); err != nil {
		return nil, outcome{}, err
	}
	out, err := changed("%s, new, %s", n.Keys, n.keyFile())
	return key, out, err
}

// otherType says so of a key that key.type doesn't name.
func (n *node) otherType(key crypto.Signer) string {
	is, asked := pki.TypeOf(key.Public()), cmp.Or(n.Keys.Type, pki.ECDSAP256)
	if is == "" || is == asked {
		return ""
	}
	return fmt.Sprintf("; it is %s, and stays: key.type %s is for a new one", is, asked)
}

func (n *node) writeCSR(key crypto.Signer, subject pkix.Name) (outcome, error) {
	as := ""
	if len(subject.Organization)+len(subject.OrganizationalUnit) == 0 && n.subjectBefore(key, &subject) {
		as = fmt.Sprintf(" (its subject as in the request before: remove %s.csr for another)", n.name)
	}
	subject.CommonName = n.name
	csr, err := pki.CSRFor(key, subject)
	if err != nil {
		return outcome{}, err
	}
	if err := n.writeBeside(n.name+".csr", csr, 0o644); err != nil {
		return outcome{}, err
	}
	return changed("%s, %s%s", subject, filepath.Join(n.CertsDir, n.name+".csr"), as)
}

// subjectBefore takes organization and unit from the request that is there, if it
// is for this name and key: made again, it would silently lack them.
func (n *node) subjectBefore(key crypto.Signer, subject *pkix.Name) bool {
	text, err := n.certs.ReadFile(n.name + ".csr")
	if err != nil {
		return false
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return false
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	public, comparable := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if err != nil || !comparable || !public.Equal(csr.PublicKey) || csr.Subject.CommonName != n.name || checkSubject(csr.Subject) != nil {
		return false
	}
	subject.Organization, subject.OrganizationalUnit = csr.Subject.Organization, csr.Subject.OrganizationalUnit
	return len(subject.Organization)+len(subject.OrganizationalUnit) > 0
}

// writeBeside writes a file of the certs folder, as its owner's.
func (n *node) writeBeside(name string, data []byte, perm fs.FileMode) error {
	owner, err := n.owner(name)
	if err != nil {
		return err
	}
	return n.certs.WriteFile(name, data, perm, owner)
}
