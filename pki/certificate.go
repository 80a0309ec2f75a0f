package pki

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"time"
)

const (
	// requestLifetime is what Icinga 2 gives its own request certificates.
	// The CA copies nothing of it into what it signs.
	requestLifetime = 397 * 24 * time.Hour
	// requestBackdate keeps a request certificate valid on a machine whose
	// clock is somewhat behind. The CA does not look at the dates of a
	// self-signed certificate (observed on 2.13.6).
	requestBackdate = time.Hour
)

// RequestCertificate returns what Icinga's protocol calls a CSR: a self-signed
// certificate with the common name only. It is valid from an hour before now.
// Each call returns another one, with another [Fingerprint]: keep it while the
// request is pending.
func RequestCertificate(key crypto.Signer, cn string, now time.Time) (*x509.Certificate, error) {
	if cn == "" {
		return nil, errNoName()
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: cn},
		NotBefore:             now.Add(-requestBackdate),
		NotAfter:              now.Add(requestLifetime),
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, signingCause(err, "the request certificate for %q can't be made", cn)
	}
	return x509.ParseCertificate(der)
}

// CSR returns a PKCS#10 request in PEM for a CA that works with files
// (`icinga2 pki sign-csr`). Icinga's protocol does not take it; see
// [RequestCertificate].
func CSR(key crypto.Signer, cn string) ([]byte, error) {
	return CSRFor(key, pkix.Name{CommonName: cn})
}

// CSRFor is [CSR] for a subject that has more than a common name, such as O and
// OU. Icinga's CA copies the subject as a whole (observed on 2.13.6).
func CSRFor(key crypto.Signer, subject pkix.Name) ([]byte, error) {
	if subject.CommonName == "" {
		return nil, errNoName()
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: subject}, key)
	if err != nil {
		return nil, signingCause(err, "the CSR for %q can't be made", subject.CommonName)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}

func errNoName() error {
	return permanent("a certificate needs a common name: give the node a name")
}

// EncodeCertificates returns PEM, one block a certificate, in the same order.
func EncodeCertificates(certificates ...*x509.Certificate) []byte {
	var text []byte
	for _, c := range certificates {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return text
}

// ParseCertificates returns every certificate in PEM text, in its order. Other
// blocks are skipped. No certificate at all is an error, as is one that Go
// can't parse: that happens for a common name that is not ASCII, of which
// Icinga makes an invalid DNS name.
func ParseCertificates(text []byte) ([]*x509.Certificate, error) {
	var certificates []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, unreadable(err)
		}
		certificates = append(certificates, c)
	}
	if len(certificates) == 0 {
		return nil, permanent("no PEM certificate found: the text is empty, cut off, or something else")
	}
	return certificates, nil
}

// unreadable explains why a certificate of a real CA may not parse.
func unreadable(cause error) error {
	return permanentCause(cause, "a certificate can't be read (Icinga makes such a one of a name that is not plain ASCII: rename the node)")
}

// Fingerprint returns the SHA-256 of the certificate in lower-case hex: the
// name of a request in `icinga2 ca list`.
func Fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// Matches reports whether the certificate is for this public key.
func Matches(c *x509.Certificate, key crypto.PublicKey) bool {
	own, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && own.Equal(key)
}

var oidCommonName = asn1.ObjectIdentifier{2, 5, 4, 3}

// commonName returns the one common name of the subject. Two are an error:
// Icinga compares a ticket with the first and copies the subject as a whole
// (observed on 2.13.6), Go reads the last, so a node could get a certificate
// that bears its parent's name here.
func commonName(c *x509.Certificate) (string, error) {
	count := 0
	for _, attribute := range c.Subject.Names {
		if attribute.Type.Equal(oidCommonName) {
			count++
		}
	}
	if count != 1 || c.Subject.CommonName == "" {
		return "", permanent("the certificate %q has %d common names, exactly one names a node", c.Subject, count)
	}
	return c.Subject.CommonName, nil
}
