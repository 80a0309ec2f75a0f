package pki

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// maxChain is how many presented certificates are looked at.
	maxChain = 16
	// maxSubject, in bytes, is more than any subject needs (RFC 5280 gives each of its
	// parts 64 to 128 characters). Errors show subjects, and go to hooks and logs.
	maxSubject = 1024
	// clockSkew is by how much a certificate may begin in the future: Icinga
	// does not backdate what it signs, and clocks differ.
	clockSkew = 5 * time.Minute
)

// Trust says which CA may have signed a peer, or a certificate for us. The zero
// Trust trusts nobody.
type Trust struct {
	// Roots are CA certificates that are at hand.
	Roots []*x509.Certificate
	// Pins name CA certificates that a peer presents. A certificate's pin may
	// name any CA in the chain; a public key's pin only a self-signed one,
	// since the rest of any other could be made up around the key.
	Pins []Pin
	// FirstUse trusts the self-signed CA at the end of whatever chain is
	// presented. It counts only without Roots and Pins.
	FirstUse bool
}

// Verify checks that chain[0], which may not be a CA itself, is valid now and
// signed by a trusted CA, if need be through the rest of the chain, and returns
// that CA. At most 16 certificates are looked at.
//
// A certificate that becomes valid within five minutes is accepted: the chain
// is then verified for five minutes from now. NotAfter is exact.
//
// Every error is [ErrUntrusted]; it shows the CA that was presented with both
// its pins, or which certificate is out of date. It is temporary where a
// certificate isn't valid yet: a clock may be wrong. All others are permanent.
func (t Trust) Verify(chain []*x509.Certificate, now time.Time) (*x509.Certificate, error) {
	if len(chain) == 0 {
		return nil, untrusted("no certificate was presented: is it Icinga that listens there?")
	}
	chain = chain[:min(len(chain), maxChain)]
	if slices.ContainsFunc(chain, hasLongName) {
		return nil, untrusted("what was presented has names of over %d bytes in it, which no CA of Icinga's gives: what listens there?", maxSubject)
	}
	if chain[0].IsCA {
		return nil, untrusted("the certificate %q is that of a CA, not that of a node: give the node one of its own", chain[0].Subject)
	}
	roots := t.roots(chain)
	if len(roots) == 0 {
		return nil, t.unknownCA(chain)
	}
	ca, err := verify(chain, roots, now)
	if err != nil {
		return nil, t.explain(err, chain, roots, now)
	}
	return ca, nil
}

func hasLongName(c *x509.Certificate) bool {
	return len(c.RawSubject) > maxSubject || len(c.RawIssuer) > maxSubject
}

// roots returns what may stand at the end of a verified chain.
func (t Trust) roots(chain []*x509.Certificate) []*x509.Certificate {
	roots := t.Roots[:len(t.Roots):len(t.Roots)]
	for _, c := range chain {
		// The CA is often there twice, and to look at its signature is what costs.
		if !slices.ContainsFunc(roots, c.Equal) && t.pinned(c) {
			roots = append(roots, c)
		}
	}
	last := chain[len(chain)-1]
	if t.FirstUse && len(t.Roots)+len(t.Pins) == 0 && selfSignedCA(last) {
		roots = append(roots, last)
	}
	return roots
}

func (t Trust) pinned(c *x509.Certificate) bool {
	for _, pin := range t.Pins {
		if pin.Matches(c) && c.IsCA && (!pin.publicKey || selfSignedCA(c)) {
			return true
		}
	}
	return false
}

func selfSignedCA(c *x509.Certificate) bool { return c.IsCA && c.CheckSignatureFrom(c) == nil }

func verify(chain, roots []*x509.Certificate, now time.Time) (*x509.Certificate, error) {
	options := x509.VerifyOptions{
		Roots:         pool(roots),
		Intermediates: pool(chain[1:]),
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	verified, err := chain[0].Verify(options)
	if outOfDate := dateError(err); outOfDate != nil && now.Before(outOfDate.NotBefore) {
		options.CurrentTime = now.Add(clockSkew)
		verified, err = chain[0].Verify(options)
	}
	if err != nil {
		return nil, err
	}
	return verified[0][len(verified[0])-1], nil
}

func pool(certificates []*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range certificates {
		p.AddCert(c)
	}
	return p
}

// dateError returns the certificate that made x509 fail because of its dates.
func dateError(err error) *x509.Certificate {
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired {
		return invalid.Cert
	}
	return nil
}

func (t Trust) explain(err error, chain, roots []*x509.Certificate, now time.Time) error {
	var unknown x509.UnknownAuthorityError
	last := chain[len(chain)-1]
	switch {
	case errors.As(err, &unknown) && slices.ContainsFunc(roots, last.Equal):
		return untrusted("the certificate %q is not signed by a trusted CA: behind it stands the trusted %s, which did not sign it: if it is from a file, another CA has signed it (look who, and give that one's certificate); if from a server, something else answers for the master",
			chain[0].Subject, describeCA(last))
	case errors.As(err, &unknown):
		return t.unknownCA(chain)
	}
	c := dateError(err)
	if c == nil {
		return &failure{text: fmt.Sprintf("the certificate %q does not verify", chain[0].Subject), kind: ErrUntrusted, cause: err}
	}
	if now.Before(c.NotBefore) {
		text := fmt.Sprintf("the certificate %q is not valid before %s, and the clock here says %s: set the clock (is NTP running?), or look at the peer's",
			c.Subject, stamp(c.NotBefore), stamp(now))
		return &failure{text: text, kind: ErrUntrusted, temporary: true}
	}
	return untrusted("the certificate %q has expired on %s (the clock here says %s): if the clock is right, it has to be renewed on its machine",
		c.Subject, stamp(c.NotAfter), stamp(now))
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func (t Trust) unknownCA(chain []*x509.Certificate) error {
	key := PublicKeyPin(chain[len(chain)-1])
	if slices.Contains(t.Pins, Pin{false, key.sum}) {
		return untrusted("the certificate %q is not signed by a trusted CA: the fingerprint that is configured is that of the public key of the CA presented, and is taken for that of a certificate: write %q before its digits (%s)",
			chain[0].Subject, publicKeyPrefix, key)
	}
	return untrusted("the certificate %q is not signed by a trusted CA: presented was %s; expected was %s. "+
		"Compare with the CA's own machine (`%s` in /var/lib/icinga2/ca): "+
		"if that is the one presented, correct the configuration here, otherwise it is another CA's: look who has signed the file, or, if a server sent it, what answers there for the master",
		chain[0].Subject, presented(chain), t.expected(), t.toCompare())
}

// toCompare is the command that prints a CA's pin of the kind that is configured.
func (t Trust) toCompare() string {
	if slices.ContainsFunc(t.Pins, func(p Pin) bool { return p.publicKey }) {
		return "openssl x509 -in ca.crt -noout -pubkey | openssl pkey -pubin -outform der | sha256sum"
	}
	return "openssl x509 -in ca.crt -noout -sha256 -fingerprint"
}

func presented(chain []*x509.Certificate) string {
	last := chain[len(chain)-1]
	if !last.IsCA {
		return "no CA certificate"
	}
	return describeCA(last)
}

func (t Trust) expected() string {
	var list []string
	for _, pin := range t.Pins {
		list = append(list, pin.String())
	}
	for _, root := range t.Roots {
		list = append(list, describeCA(root))
	}
	if len(list) > 0 {
		return strings.Join(list, " or ")
	}
	if t.FirstUse {
		return "any self-signed CA at the end of the chain (trust on first use)"
	}
	return "nothing, since no CA is configured (a fingerprint, a file, or trust on first use)"
}

func describeCA(c *x509.Certificate) string {
	return fmt.Sprintf("%q (fingerprint %s, public key %s)", c.Subject, CertificatePin(c), PublicKeyPin(c))
}

// VerifyIssued checks a certificate before it replaces another: signed by a
// trusted CA, valid now (with the tolerance of [Trust.Verify]), for exactly this
// common name and this public key, and no CA. With FirstUse the CA is the one
// of the connection, [Peer.CA], if there is one. It returns that CA. An error is
// as that of [Trust.Verify].
func (t Trust) VerifyIssued(i Issued, key crypto.PublicKey, cn string, now time.Time) (*x509.Certificate, error) {
	if i.Certificate == nil {
		return nil, permanent("the CA issued no certificate")
	}
	if hasLongName(i.Certificate) {
		return nil, permanent("the certificate has names of over %d bytes in it", maxSubject)
	}
	name, err := commonName(i.Certificate)
	if err != nil {
		return nil, err
	}
	if name != cn {
		return nil, permanent("the certificate is for %q, not for %q", name, cn)
	}
	if !Matches(i.Certificate, key) {
		return nil, permanent("the certificate for %q is for another key than the one at hand", cn)
	}
	chain := append([]*x509.Certificate{i.Certificate}, i.CA...)
	if i.Peer.CA != nil {
		chain = append(chain, i.Peer.CA)
	}
	return t.Verify(chain, now)
}
