package pki

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// leaf finds the certificate that all this is about.
func (p *parts) leaf(key crypto.PublicKey) (*x509.Certificate, error) {
	keys := p.publicKeys(key)
	found := p.candidates(keys)
	switch {
	case p.hasCSR && len(p.candidates(nil)) == 0:
		return nil, permanent("there is a certificate request (CSR) and no certificate: have the CA sign it, and give what it returns")
	case len(p.certificates) == 0:
		return nil, permanent("there is no certificate in it: give the signed certificate and the CA's")
	case len(found) > 1:
		return nil, permanent("several certificates may be meant, %s: give only one, or the key of one", describe(found))
	case len(found) == 1 && found[0].IsCA:
		return nil, permanent("the certificate for this key is that of a CA, %q: a node or user needs one that the CA has signed for it", found[0].Subject)
	case len(found) == 1:
		return found[0], nil
	}
	return nil, p.noLeaf()
}

// publicKeys returns what the certificate has to be for: any of them; none: no
// key is known.
func (p *parts) publicKeys(given crypto.PublicKey) []crypto.PublicKey {
	if given != nil {
		return []crypto.PublicKey{given}
	}
	var keys []crypto.PublicKey
	for _, k := range p.keys {
		keys = append(keys, k.Public())
	}
	return keys
}

// candidates returns the certificates for one of the keys; without keys, those
// that are no CA's.
func (p *parts) candidates(keys []crypto.PublicKey) []*x509.Certificate {
	var found []*x509.Certificate
	for _, c := range p.certificates {
		matches := func(k crypto.PublicKey) bool { return Matches(c, k) }
		if slices.ContainsFunc(keys, matches) || len(keys) == 0 && !c.IsCA {
			found = append(found, c)
		}
	}
	return found
}

// noLeaf says why none of the certificates is the one.
func (p *parts) noLeaf() error {
	leaves := p.candidates(nil)
	switch len(leaves) {
	case 0:
		return permanent("there are only certificates of CAs, %s: the certificate that the CA has signed is missing", describe(p.certificates))
	case 1:
		return wrongKey(leaves[0])
	}
	return permanent("none of the certificates is for this key: %s", describe(leaves))
}

func wrongKey(c *x509.Certificate) error {
	return permanent("the certificate %q is for another key than the one at hand: give the key that its request was made with, or have a new request signed", c.Subject)
}

// describe names at most eight certificates, of which several may have the same
// subject.
func describe(certificates []*x509.Certificate) string {
	const most = 8
	var list []string
	for _, c := range certificates[:min(len(certificates), most)] {
		list = append(list, fmt.Sprintf("%q (until %s)", c.Subject, stamp(c.NotAfter)))
	}
	if len(certificates) > most {
		list = append(list, fmt.Sprintf("and %d more", len(certificates)-most))
	}
	return strings.Join(list, ", ")
}

// chain returns the CA certificates, leaf's own first.
func (p *parts) chain(leaf *x509.Certificate) ([]*x509.Certificate, error) {
	left := slices.DeleteFunc(slices.Clone(p.certificates), func(c *x509.Certificate) bool { return !c.IsCA })
	var chain []*x509.Certificate
	for signed := leaf; len(chain) < maxChain; signed = chain[len(chain)-1] {
		i := slices.IndexFunc(left, func(ca *x509.Certificate) bool { return signs(ca, signed) == nil })
		if i < 0 {
			break
		}
		chain = append(chain, left[i])
		left = slices.Delete(left, i, i+1)
	}
	if len(chain) == 0 {
		return nil, noCA(leaf, left)
	}
	return append(chain, left...), nil
}

var errOtherName = errors.New("another CA")

// signs returns nil if ca has signed c. Names are compared first: signatures cost.
func signs(ca, c *x509.Certificate) error {
	if !bytes.Equal(ca.RawSubject, c.RawIssuer) {
		return errOtherName
	}
	return c.CheckSignatureFrom(ca)
}

func noCA(leaf *x509.Certificate, others []*x509.Certificate) error {
	var weak x509.InsecureAlgorithmError
	for _, ca := range others {
		if err := signs(ca, leaf); errors.As(err, &weak) {
			return permanentCause(err, "the certificate %q has a signature that is not accepted any more", leaf.Subject)
		}
	}
	if leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) == nil {
		return permanent("the certificate %q is self-signed: it is the request and not what the CA made of it", leaf.Subject)
	}
	if i := slices.IndexFunc(others, func(ca *x509.Certificate) bool { return bytes.Equal(ca.RawSubject, leaf.RawIssuer) }); i >= 0 {
		return permanent("the CA's certificate is missing: %q was signed by a CA of the same name as the one at hand, %s, but not by it: has the CA been made anew? Give the file of the one that signed", leaf.Subject, describeCA(others[i]))
	}
	if len(others) == 0 {
		return permanent("the CA's certificate is missing: %q was signed by %q; give its file too (Icinga's is ca.crt)", leaf.Subject, leaf.Issuer)
	}
	return permanent("the CA's certificate is missing: %q was signed by %q, there is only %s", leaf.Subject, leaf.Issuer, describeCAs(others))
}

func describeCAs(list []*x509.Certificate) string {
	if len(list) == 1 {
		return describeCA(list[0])
	}
	return describe(list)
}
