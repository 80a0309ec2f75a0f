package enroll

import (
	"cmp"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"icinga-enroll/pki"
)

const caFile = "ca.crt"

// pair is a certificate with its key, as the Icinga agent reads them.
type pair struct {
	key   crypto.Signer
	cert  *x509.Certificate
	chain []*x509.Certificate // the CAs between it and ca, in its own file: peers know only ca
	ca    *x509.Certificate   // the root behind it; nil until it is verified
	bare  bool                // ca isn't in the file beside it

	noKey    error // why key is nil
	unusable error // why its key can't be used, which is in a TPM; nil: it can, as far as is known
}

// tls is the pair as it is shown to a server.
func (p *pair) tls() tls.Certificate {
	raw := [][]byte{p.cert.Raw}
	for _, ca := range p.chain {
		raw = append(raw, ca.Raw)
	}
	return tls.Certificate{Certificate: raw, PrivateKey: p.key, Leaf: p.cert}
}

func (n *node) certFile() string { return filepath.Join(n.CertsDir, n.name+".crt") }

// adopt keeps a certificate that is already there for this name, valid and of
// the pinned CA, whoever brought it. From then on the name sticks.
func (n *node) adopt(ctx context.Context) (outcome, error) {
	out, err := n.findPair(ctx)
	if err == nil && n.pair == nil && n.stuck {
		return out, n.setback // asking for another would not put it in place
	}
	if err != nil || n.pair == nil {
		return out, err
	}
	if n.state.Name == "" {
		if err := n.freeToAdopt(ctx); err != nil {
			return outcome{}, err
		}
	}
	if err := n.believe(n.pair.ca); err != nil {
		return outcome{}, err
	}
	if n.state.Name == "" || n.replacing() {
		n.settleName()
		n.state.Pending = nil
		if err := errors.Join(n.save(), n.dropRequest()); err != nil {
			return outcome{}, err
		}
	}
	if n.rememberCerts() {
		if err := n.save(); err != nil {
			return outcome{}, err
		}
	}
	if public, err := n.certs.Public(n.name + ".key"); err == nil && public {
		file := filepath.Join(n.CertsDir, n.name+".key")
		n.note(Step{Name: "key", Warning: true, Text: fmt.Sprintf("every account can read this node's private key: run: chmod o= %s", file)})
	}
	if n.state.Elsewhere && !n.registered() && n.Controller == nil {
		n.note(Step{Name: "register", Warning: true, Text: elsewhere})
	}
	if n.pair.bare {
		return n.restoreCA(out)
	}
	return n.keepOwner(out)
}

// findPair reads the pair in the certs folder. What is no use is as good as
// none: it stays where it is until a new pair has been received and verified.
func (n *node) findPair(context.Context) (outcome, error) {
	if n.certs == nil || n.name == "" {
		return outcome{}, nil
	}
	p, roots, err := n.readPair()
	if errors.Is(err, fs.ErrNotExist) {
		return outcome{}, nil
	}
	if err != nil {
		return outcome{}, err
	}
	reason := n.verify(p, roots)
	if reason == nil {
		p.unusable = n.tryKey(p.key)
		reason = p.unusable
	}
	if reason != nil && (p.unusable != nil || p.isExpired(n.Now())) {
		n.idle = p
	}
	if n.stays(reason) {
		return outcome{}, reason
	}
	if reason != nil {
		return warns("%s is of no use and will be replaced: %s", n.certFile(), reason)
	}
	p.bare = !slices.ContainsFunc(roots, p.ca.Equal)
	n.pair = p
	left := p.cert.NotAfter.Sub(n.Now()).Truncate(time.Hour)
	if !n.Now().Before(n.due()) {
		return says("%s is valid for %s more and due for renewal%s", n.certFile(), days(left), p.inTPM())
	}
	return says("%s is valid until %s (%s)%s", n.certFile(), p.cert.NotAfter.UTC().Format(time.DateOnly), days(left), p.inTPM())
}

// stays reports whether what is wrong with the pair in place is no reason to replace
// it: it isn't valid yet, by a clock that may be wrong, or its TPM may be mended, or
// come back, and nobody has said that there is to be another key.
func (n *node) stays(reason error) bool {
	switch {
	case errors.Is(reason, pki.ErrNoAuthValue):
		return true // without it the new key would be protected less
	case errors.Is(reason, pki.ErrTPM):
		return n.Wish != Rekey && !n.replacing()
	}
	return IsTemporary(reason)
}

// replacing reports whether a request waits for a key in the place of one that could
// not be used.
func (n *node) replacing() bool { return n.state.Pending != nil && !n.state.PendingRekey }

// tryKey has the TPM use the key in place. While another is asked for, one with an auth
// value is only loaded: that value may be the new key's by now, and after some wrong
// ones the chip would refuse the new key, too.
func (n *node) tryKey(key crypto.Signer) error {
	check := pki.CheckKey
	if pki.HasAuthValue(key) && !n.lacksAuthValue() && (n.Wish == Rekey || n.state.Pending != nil) {
		check = pki.CheckLoads
	}
	err := check(key)
	if errors.Is(err, pki.ErrTPMGone) {
		return fmt.Errorf("%w; if the TPM is gone for good: set key.store: file, then icinga-enroll renew --rekey", err)
	}
	return err
}

// lacksAuthValue reports whether nothing here gives new keys in the TPM an auth value.
func (n *node) lacksAuthValue() bool { return n.Keys.InTPM && n.Keys.TPM.Auth.IsZero() }

// readPair reads what is on disk for this name: only a file that can't be read
// is an error, not what is in it.
func (n *node) readPair() (*pair, []*x509.Certificate, error) {
	crt, crtErr := n.certs.ReadFile(n.name + ".crt")
	key, keyErr := n.certs.ReadFile(n.name + ".key")
	ca, caErr := n.certs.ReadFile(caFile)
	for _, err := range []error{crtErr, keyErr, caErr} {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, err // what can't be read can't be replaced either
		}
	}
	if err := cmp.Or(crtErr, keyErr); err != nil {
		return nil, nil, err
	}
	p := &pair{}
	p.key, p.noKey = n.Keys.Parse(key)
	if chain, err := pki.ParseCertificates(crt); err == nil {
		p.cert = chain[0]
		p.chain = slices.DeleteFunc(chain[1:], func(c *x509.Certificate) bool { return !c.IsCA })
	}
	roots, _ := pki.ParseCertificates(ca)
	return p, roots, nil
}

// verify finds the CA of p, or says why p can't be this node's pair.
func (n *node) verify(p *pair, roots []*x509.Certificate) (err error) {
	switch {
	case p.cert == nil:
		return errors.New("it holds no certificate")
	case p.key == nil:
		return fmt.Errorf("the file beside it holds no private key that can be used here: %w", p.noKey)
	}
	p.ca, err = n.trust().VerifyIssued(pki.Issued{Certificate: p.cert, CA: slices.Concat(p.chain, roots)}, p.key.Public(), n.name, n.Now())
	return cmp.Or(err, checkUsage(p.cert))
}

// isExpired reports whether p was fine until its end came.
func (p *pair) isExpired(now time.Time) bool {
	return p.cert != nil && p.key != nil && now.After(p.cert.NotAfter) && pki.Matches(p.cert, p.key.Public())
}

func (p *pair) inTPM() string {
	if pki.InTPM(p.key) {
		return ", its key in the TPM"
	}
	return ""
}

// tellStore tells of the key in force what sayStore does, unless it is being replaced.
func (n *node) tellStore(context.Context) (outcome, error) {
	if n.pair != nil && n.Wish != Rekey {
		n.sayStore(n.pair.key, "icinga-enroll renew --rekey")
	}
	return outcome{}, nil
}

// sayStore tells of a key that was made before key.store was changed, or an auth value
// set, and what replaces it.
func (n *node) sayStore(key crypto.Signer, replaces string) {
	switch is := pki.InTPM(key); {
	case n.Keys.InTPM && !is:
		n.note(Step{Name: "key", Warning: true, Text: "key.store is tpm, and this key is still in a file: " + replaces + " makes one in the TPM"})
	case is && !n.Keys.InTPM:
		n.note(Step{Name: "key", Warning: true, Text: "key.store is file, and this key is still in the TPM: " + replaces + " makes one in a file"})
	case is && !n.Keys.TPM.Auth.IsZero() && !pki.HasAuthValue(key):
		n.note(Step{Name: "key", Warning: true, Text: "an auth value is set, and this key has none: " + replaces + " makes one that has it"})
	}
}

// restoreCA puts back the CA's certificate, without which the agent won't start.
func (n *node) restoreCA(out outcome) (outcome, error) {
	owner, err := n.owner(caFile)
	if err != nil {
		return outcome{}, err
	}
	if err := n.certs.WriteFile(caFile, pki.EncodeCertificates(n.pair.ca), 0o644, owner); err != nil {
		return outcome{}, err
	}
	return changed("%s; %s beside it was missing or another CA's, and was put back", out.text, caFile)
}

func days(d time.Duration) string {
	if d < 48*time.Hour {
		return fmt.Sprintf("%d hours", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
