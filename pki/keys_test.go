package pki_test

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"icinga-enroll/pki"
)

func TestKeysOfEveryTypeSurviveTheFile(t *testing.T) {
	for _, kind := range pki.KeyTypes() {
		key := newKeyOf(t, kind)
		text, err := pki.EncodeKey(key)
		noError(t, err)
		again, err := pki.ParseKey(text)
		noError(t, err)
		if !key.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(again.Public()) {
			t.Errorf("%s: another key was read than was written", kind)
		}
	}
}

func TestNoKeyOfAnUnknownTypeIsMade(t *testing.T) {
	for _, bad := range []string{"", "rsa", "ECDSA-P256", "rsa-2048"} {
		if _, err := pki.GenerateKey(pki.KeyType(bad)); err == nil {
			t.Errorf("%q: a key was made", bad)
		}
	}
}

// Icinga 2.13.6 writes PKCS#1, OpenSSL's ecparam a block of parameters first.
func TestParseKeyReadsOldForms(t *testing.T) {
	ecKey := newKeyOf(t, pki.ECDSAP256).(*ecdsa.PrivateKey)
	ecDER, err := x509.MarshalECPrivateKey(ecKey)
	noError(t, err)
	rsaKey := newKeyOf(t, pki.RSA3072).(*rsa.PrivateKey)
	parameters := block("EC PARAMETERS", []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07})
	for name, test := range map[string]struct {
		text string
		want crypto.Signer
	}{
		"PKCS#1":                {block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)), rsaKey},
		"SEC1":                  {block("EC PRIVATE KEY", ecDER), ecKey},
		"SEC1 after parameters": {parameters + block("EC PRIVATE KEY", ecDER), ecKey},
	} {
		got, err := pki.ParseKey([]byte(test.text))
		noError(t, err)
		if !test.want.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(got.Public()) {
			t.Errorf("%s: another key", name)
		}
	}
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func TestParseKeyRefuses(t *testing.T) {
	agreement, err := ecdh.X25519().GenerateKey(rand.Reader)
	noError(t, err)
	agreementDER, err := x509.MarshalPKCS8PrivateKey(agreement)
	noError(t, err)
	for in, want := range map[string]string{
		"":                                "no PEM private key",
		block("CERTIFICATE", []byte("x")): "no PEM private key",
		block("ENCRYPTED PRIVATE KEY", []byte("x")):                                                          "encrypted",
		"-----BEGIN RSA PRIVATE KEY-----\nDEK-Info: AES-256-CBC,00\n\neA==\n-----END RSA PRIVATE KEY-----\n": "encrypted",
		block("PRIVATE KEY", []byte("x")):                                                                    "no readable key",
		block("DSA PRIVATE KEY", []byte("x")):                                                                "unknown kind",
		block("PRIVATE KEY", agreementDER):                                                                   "can't sign",
	} {
		if _, err := pki.ParseKey([]byte(in)); err == nil || !strings.Contains(err.Error(), want) || temporary(t, err) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}

func TestRequestCertificateHasTheNameOnly(t *testing.T) {
	now := time.Now()
	for _, kind := range pki.KeyTypes() {
		key := newKeyOf(t, kind)
		c, err := pki.RequestCertificate(key, "web1.example.com", now)
		noError(t, err)
		noError(t, c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature))
		if c.Subject.String() != "CN=web1.example.com" || len(c.DNSNames) > 0 || c.IsCA || !pki.Matches(c, key.Public()) {
			t.Errorf("%s: subject %q, DNS %q, CA %v", kind, c.Subject, c.DNSNames, c.IsCA)
		}
		if c.NotBefore.After(now.Add(-30*time.Minute)) || c.NotAfter.Before(now.AddDate(1, 0, 0)) {
			t.Errorf("%s: valid from %s to %s", kind, c.NotBefore, c.NotAfter)
		}
	}
}

func TestCSR(t *testing.T) {
	key := newKeyOf(t, pki.ECDSAP256)
	text, err := pki.CSR(key, "web1.example.com")
	noError(t, err)
	block, _ := pem.Decode(text)
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	noError(t, err)
	noError(t, csr.CheckSignature())
	if block.Type != "CERTIFICATE REQUEST" || csr.Subject.String() != "CN=web1.example.com" {
		t.Errorf("a %s for %q", block.Type, csr.Subject)
	}
}

func TestANameIsNeeded(t *testing.T) {
	key := newKeyOf(t, pki.ECDSAP256)
	if _, err := pki.RequestCertificate(key, "", time.Now()); err == nil {
		t.Error("a request certificate without a name was made")
	}
	if _, err := pki.CSR(key, ""); err == nil {
		t.Error("a CSR without a name was made")
	}
}

func TestCertificatesSurviveTheFile(t *testing.T) {
	key := newKeyOf(t, pki.ECDSAP256)
	one, err := pki.RequestCertificate(key, "one", time.Now())
	noError(t, err)
	two, err := pki.RequestCertificate(key, "two", time.Now())
	noError(t, err)
	text := "a comment\n" + block("X509 CRL", []byte("x")) + string(pki.EncodeCertificates(one, two))
	got, err := pki.ParseCertificates([]byte(text))
	noError(t, err)
	if len(got) != 2 || !got[0].Equal(one) || !got[1].Equal(two) {
		t.Errorf("got %d certificates, or others", len(got))
	}
	for _, bad := range []string{"", "x", block("CERTIFICATE", []byte("x"))} {
		if _, err := pki.ParseCertificates([]byte(bad)); err == nil || temporary(t, err) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestMatchesTellsKeysApart(t *testing.T) {
	key, other := newKeyOf(t, pki.ECDSAP256), newKeyOf(t, pki.Ed25519)
	c, err := pki.RequestCertificate(key, "one", time.Now())
	noError(t, err)
	if !pki.Matches(c, key.Public()) || pki.Matches(c, other.Public()) || pki.Matches(c, newKeyOf(t, pki.ECDSAP256).Public()) {
		t.Error("a certificate matches another key, or not its own")
	}
}

func TestTypeOf(t *testing.T) {
	for _, kind := range pki.KeyTypes() {
		if got := pki.TypeOf(newKeyOf(t, kind).Public()); got != kind {
			t.Errorf("%s is taken for %q", kind, got)
		}
	}
}
