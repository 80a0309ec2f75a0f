package pki

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"strings"
)

const publicKeyPrefix = "spki:"

// Pin is the SHA-256 of a CA: of its certificate, or of its public key, which
// survives the CA's own renewal (Icinga renews its CA with the same key). The
// zero Pin matches nothing.
type Pin struct {
	publicKey bool
	sum       [sha256.Size]byte
}

// ParsePin reads 64 hex digits (the certificate) or "spki:" and 64 hex digits
// (the public key: the DER of SubjectPublicKeyInfo). Colons between the digits,
// spaces around them and upper case are tolerated.
func ParsePin(s string) (Pin, error) {
	text := strings.ToLower(strings.TrimSpace(s))
	digits, publicKey := strings.CutPrefix(text, publicKeyPrefix)
	digits = strings.ReplaceAll(strings.TrimSpace(digits), ":", "")
	sum, err := hex.DecodeString(digits)
	if err != nil || len(sum) != sha256.Size {
		return Pin{}, permanent("not a CA fingerprint: %d characters, want the 64 hex digits of a SHA-256, or %q and 64 hex digits", len(digits), publicKeyPrefix)
	}
	return Pin{publicKey, [sha256.Size]byte(sum)}, nil
}

// CertificatePin returns the pin of this very certificate.
func CertificatePin(c *x509.Certificate) Pin { return Pin{false, sha256.Sum256(c.Raw)} }

// PublicKeyPin returns the pin of every certificate with this public key.
func PublicKeyPin(c *x509.Certificate) Pin {
	return Pin{true, sha256.Sum256(c.RawSubjectPublicKeyInfo)}
}

// Matches reports whether c is the pinned certificate, or has the pinned key.
// It says nothing about who signed c.
func (p Pin) Matches(c *x509.Certificate) bool {
	if p.publicKey {
		return p == PublicKeyPin(c)
	}
	return p == CertificatePin(c)
}

// String returns the form that [ParsePin] reads: lower case, without colons.
func (p Pin) String() string {
	if p.publicKey {
		return publicKeyPrefix + hex.EncodeToString(p.sum[:])
	}
	return hex.EncodeToString(p.sum[:])
}
