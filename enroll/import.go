package enroll

import (
	"cmp"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/pki"
	"icinga-enroll/platform"
)

// Files are what a CA that works with files has handed over, as they are: PEM,
// DER or PKCS#12, in any order.
type Files struct {
	Certificate [][]byte    // with or without key and CA
	Key         []byte      // PEM or DER; nil: in Certificate, or here already
	CA          []byte      // PEM or DER; nil: in Certificate
	Password    secret.Text // of PKCS#12; zero: none

	// Names are what errors call the files, in the order of Certificate; nil: by
	// their number. CAName and KeyName are those of the others.
	Names           []string
	CAName, KeyName string
}

// Import puts a certificate in place that was handed over, as Ensure does with
// one that a CA has sent. What it refuses changes nothing. It asks no server but
// the Controller, where there is one, whether the name is an endpoint's, or, for an
// API client, a host's; not about a node that is registered.
//
// Where neither the configuration nor an enrolment before says which CA to
// believe, that is the one in the files: whoever brings them has root here.
func (e *Enroller) Import(ctx context.Context, f Files) (Report, error) {
	n, err := e.open(ctx)
	if err != nil {
		return e.notBegun(err), err
	}
	defer n.close()
	err = n.walk(ctx, []step{
		{name: "state", do: n.load},
		{name: "machine", do: n.stillSameMachine},
		{name: "switch", do: n.completeSwitch},
		{name: "identity", do: n.onlyName},
		{name: "name", do: n.freeName},
		{name: "name", do: n.surelyFree},
		{name: "client", do: n.checkClient},
		{name: "import", do: func(ctx context.Context) (outcome, error) { return n.importFiles(ctx, f) }},
	})
	if err != nil {
		return n.report(err), err // the status goes on saying what is in force
	}
	err = n.walk(ctx, []step{
		{name: "key", do: n.tellStore, always: true},
		{name: "agent", do: n.undoHalf, canWait: true, always: true},
		{name: "agent", do: n.configureAgent, canWait: true, always: true},
		{name: "hooks", do: n.runHooks},
		{name: "renewal", do: n.pathOpen, canWait: true, always: true},
	})
	return n.conclude(ctx, err)
}

// KnowsCA reports whether an import or an enrolment has left the CA to believe
// in stateDir. Where this account may not look there, it hasn't.
func KnowsCA(stateDir string) bool {
	s, err := stateIn(stateDir)
	return err == nil && s.CA != ""
}

func (n *node) importFiles(ctx context.Context, f Files) (outcome, error) {
	given, err := parseCA(f.CA)
	if err != nil {
		return outcome{}, fmt.Errorf("%s: %w", cmp.Or(f.CAName, "the CA's file"), err)
	}
	b, err := n.bundle(f)
	if err != nil {
		return outcome{}, err
	}
	if err := checkUsage(b.Certificate); err != nil {
		return outcome{}, err
	}
	believed, _ := n.storedCA()
	n.takeCA(b, given)
	issued := pki.Issued{Certificate: b.Certificate, CA: b.CA}
	signer, err := n.trust().VerifyIssued(issued, b.Key.Public(), n.name, n.Now())
	if err != nil {
		return outcome{}, permanent{n.explain(b.Certificate, believed, err)} // one that isn't valid yet is brought again when it is
	}
	if err := pki.CheckKey(b.Key); err != nil {
		return outcome{}, err
	}
	chain := between(b, signer)
	same, err := n.compare(ctx, b, chain)
	if err != nil {
		return outcome{}, err
	}
	if same {
		return says("it is in place already: %s", n.certFile())
	}
	issued.CA = issued.CA[len(chain):]
	ca, err := n.rememberCA(signer, issued)
	if err != nil {
		return outcome{}, err
	}
	if err := n.keepKey(b.Certificate); err != nil {
		return outcome{}, err
	}
	n.reason = reasonImported
	if err := n.switchTo(&pair{key: b.Key, cert: b.Certificate, chain: chain, ca: signer}, ca); err != nil {
		return outcome{}, err
	}
	return n.obtained()
}

// explain says of a certificate what to do here: [pki.Trust] takes it for a peer's,
// which has a clock and is renewed elsewhere, and the CA for a configured one.
func (n *node) explain(c *x509.Certificate, believed []*x509.Certificate, err error) error {
	now := n.Now()
	switch {
	case !errors.Is(err, pki.ErrUntrusted):
	case now.After(c.NotAfter):
		return fmt.Errorf("the certificate %q has expired on %s, and the clock here says %s: if that is right, have a new one signed (icinga-enroll csr writes the request)",
			c.Subject, c.NotAfter.UTC().Format(time.DateTime), now.UTC().Format(time.DateTime))
	case now.Before(c.NotBefore) && IsTemporary(err):
		return fmt.Errorf("the certificate %q is not valid before %s, and the clock here says %s: set the clock, or import it when it is",
			c.Subject, c.NotBefore.UTC().Format(time.DateTime), now.UTC().Format(time.DateTime))
	case !n.isPinned() && len(believed) > 0:
		return fmt.Errorf("the certificate %q is of another CA than the one that is believed here, %s, which an earlier import or enrolment has left in %s: to have the new one believed, name its certificate in ca.file (or set ca.fingerprint)",
			c.Subject, pki.PublicKeyPin(believed[0]), filepath.Join(n.StateDir, stateFile))
	}
	return err
}

// checkUsage refuses what no server would take from a client: the agent, too,
// connects to its parents.
func checkUsage(c *x509.Certificate) error {
	isForClients := slices.ContainsFunc(c.ExtKeyUsage, func(u x509.ExtKeyUsage) bool {
		return u == x509.ExtKeyUsageClientAuth || u == x509.ExtKeyUsageAny
	})
	if isForClients || len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 {
		return nil
	}
	return permanent{fmt.Errorf("the certificate %q may not be shown by a client: its extended key usage lacks clientAuth; have one signed that has it", c.Subject)}
}

// keepKey keeps the key in place that is not the one of next. It can't be had
// again, and its request may be on its way to a CA.
func (n *node) keepKey(next *x509.Certificate) error {
	text, err := n.certs.ReadFile(n.name + ".key")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if old, err := n.Keys.Parse(text); err == nil && pki.Matches(next, old.Public()) {
		return nil
	}
	sum := sha256.Sum256(text)
	name := fmt.Sprintf("%s.key.%x", n.name, sum[:4])
	if err := n.writeBeside(name, text, 0o600); err != nil {
		return err
	}
	n.note(Step{Name: "key", Changed: true, Text: fmt.Sprintf("another one was in place, and is kept as %s: remove it when nobody needs it any more", filepath.Join(n.CertsDir, name))})
	return nil
}

func parseCA(file []byte) ([]*x509.Certificate, error) {
	if file == nil {
		return nil, nil
	}
	list, err := x509.ParseCertificates(file)
	if err != nil || len(list) == 0 {
		if list, err = pki.ParseCertificates(file); err != nil {
			return nil, err
		}
	}
	for _, c := range list {
		if !c.IsCA {
			return nil, fmt.Errorf("%q in it is not a CA's certificate: give the certificate of who has signed (Icinga's is ca.crt)", c.Subject)
		}
	}
	return list, nil
}

// bundle finds the certificate and its key: in the files, else here.
func (n *node) bundle(f Files) (pki.Bundle, error) {
	files := f.Certificate
	if f.CA != nil {
		files = append(files[:len(files):len(files)], f.CA)
	}
	if f.Key != nil {
		key, err := n.Keys.ParseFile(f.Key)
		if err != nil {
			return pki.Bundle{}, fmt.Errorf("%s: %w", cmp.Or(f.KeyName, "the key's file"), err)
		}
		b, err := n.bundleOf(key, f.Password, files)
		return b, f.nameFile(err)
	}
	b, err := n.bundleOf(nil, f.Password, files)
	if err == nil && b.Key != nil {
		return b, nil
	}
	here, herr := n.keysHere()
	if herr != nil {
		return pki.Bundle{}, herr
	}
	for _, key := range here {
		if b, err := n.bundleOf(key, f.Password, files); err == nil {
			return b, nil
		}
	}
	if err != nil {
		return pki.Bundle{}, f.nameFile(err)
	}
	return pki.Bundle{}, n.noKey(b.Certificate, len(here))
}

// nameFile says which file is meant, where one alone is.
func (f Files) nameFile(err error) error {
	names := f.Names
	if f.CAName != "" {
		names = append(names[:len(names):len(names)], f.CAName)
	}
	var of *pki.FileError
	switch {
	case errors.As(err, &of) && of.Index < len(names):
		return fmt.Errorf("%s: %w", names[of.Index], of.Unwrap())
	case err != nil && len(f.Certificate) == 1 && f.CA == nil && len(names) == 1:
		return fmt.Errorf("%s: %w", names[0], err)
	}
	return err
}

// bundleOf reads the files, for this key if one is given. The CA need not be in
// them where it is known.
func (n *node) bundleOf(key crypto.Signer, password secret.Text, files [][]byte) (pki.Bundle, error) {
	var public crypto.PublicKey
	if key != nil {
		public = key.Public()
	}
	b, err := pki.ParseBundle(public, password, files...)
	if known := n.trust().Roots; err != nil && len(known) > 0 {
		complete, cerr := pki.ParseBundle(public, password, append(files[:len(files):len(files)], pki.EncodeCertificates(known...))...)
		if cerr == nil {
			b, err = complete, nil
		}
	}
	if key != nil {
		b.Key = key
	}
	return b, err
}

// keysHere are the key beside the certificate in force, that of a request, and those
// that others have taken the place of.
func (n *node) keysHere() ([]crypto.Signer, error) {
	type place struct {
		dir  *platform.Dir
		name string
	}
	places := []place{{n.certs, n.name + ".key"}, {n.dir, requestKey}}
	names, err := n.certs.Names()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if suffix, ours := strings.CutPrefix(name, n.name); ours && keptKey.MatchString(suffix) {
			places = append(places, place{n.certs, name})
		}
	}
	var keys []crypto.Signer
	for _, place := range places {
		text, err := place.dir.ReadFile(place.name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if key, err := n.Keys.Parse(text); err == nil {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

func (n *node) noKey(c *x509.Certificate, here int) error {
	if c.Subject.CommonName != n.name {
		return fmt.Errorf("the certificate is for %q, and this node is %s: give the one that was signed for it, or set host.name", c.Subject.CommonName, n.name)
	}
	if here == 0 {
		return fmt.Errorf("the private key is missing: it is neither in the files nor here (%s): give it by --key", n.keyFile())
	}
	return fmt.Errorf("the certificate %q is for another key than the one here (%s): have the request signed that belongs to it (icinga-enroll csr), or give the certificate's key by --key", c.Subject, n.keyFile())
}

// takeCA makes the CA in the files the one to believe where nothing says which
// one is.
func (n *node) takeCA(b pki.Bundle, given []*x509.Certificate) {
	if n.isPinned() || n.state.CA != "" {
		return
	}
	if given == nil {
		given = rootsOf(b)
	}
	if roots := slices.DeleteFunc(slices.Clone(given), func(ca *x509.Certificate) bool { return !isRoot(ca) }); len(roots) > 0 {
		given = roots // the others belong behind the certificate
	} else {
		n.note(Step{Name: "trust", Warning: true, Text: fmt.Sprintf("%q is signed by another CA, whose certificate is missing: OpenSSL, and so the Icinga agent, verifies nothing with it alone. Import again with that of the root", given[0].Subject)})
	}
	n.state.CA = string(pki.EncodeCertificates(given...)) // saved once it is verified
}

func isRoot(ca *x509.Certificate) bool { return ca.CheckSignatureFrom(ca) == nil }

// between returns the CAs between the certificate and root. They are put behind
// the certificate, into its own file, which Icinga and curl send as a
// whole: a peer has only the root. (Observed on Icinga 2.13.6 as peer: without
// them it refuses the certificate.)
func between(b pki.Bundle, root *x509.Certificate) []*x509.Certificate {
	last := b.Certificate
	for i, ca := range b.CA {
		if last.CheckSignatureFrom(ca) != nil || ca.Equal(root) || isRoot(ca) {
			return b.CA[:i:i]
		}
		last = ca
	}
	return b.CA
}

// rootsOf returns the self-signed ones of those that stand behind the
// certificate; without any, the last.
func rootsOf(b pki.Bundle) []*x509.Certificate {
	var roots []*x509.Certificate
	last := b.Certificate
	for _, ca := range b.CA {
		if last.CheckSignatureFrom(ca) != nil {
			break // the rest has no part in it
		}
		if last = ca; isRoot(ca) {
			roots = append(roots, ca)
		}
	}
	if len(roots) == 0 {
		roots = append(roots, last)
	}
	return roots
}

// compare looks at what is in force. A newer certificate is never replaced by
// an older one: the agent renews by itself.
func (n *node) compare(ctx context.Context, b pki.Bundle, chain []*x509.Certificate) (same bool, err error) {
	if _, err := n.findPair(ctx); err != nil && !IsTemporary(err) {
		return false, err
	}
	switch {
	case n.pair == nil:
		return false, nil
	case n.pair.cert.NotBefore.After(b.Certificate.NotBefore):
		return false, fmt.Errorf("the certificate in place is newer: it was issued on %s, the one in the files on %s. If the older one is what you want, move %s away first",
			n.pair.cert.NotBefore.UTC().Format(time.DateTime), b.Certificate.NotBefore.UTC().Format(time.DateTime), n.certFile())
	}
	settled := n.state.Name == n.name && n.state.CA != "" && !n.pair.bare
	return settled && n.pair.cert.Equal(b.Certificate) && slices.EqualFunc(n.pair.chain, chain, (*x509.Certificate).Equal), nil
}

// pathOpen says whether anybody can renew what was imported.
func (n *node) pathOpen(context.Context) (outcome, error) {
	if !n.isUnrenewable() {
		return outcome{}, nil
	}
	return warns("nobody is known who could renew it (set ca.endpoints where that is an Icinga CA): import the next one before %s; \"icinga-enroll check\" warns in time",
		n.pair.cert.NotAfter.UTC().Format(time.DateOnly))
}

// isUnrenewable reports whether no CA is known that could be asked.
func (n *node) isUnrenewable() bool {
	_, err := n.candidates()
	return n.Director == nil && err != nil
}
