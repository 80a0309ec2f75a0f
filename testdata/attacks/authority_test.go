//go:build linux

package attacks

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"testing"
	"time"

	"icinga-enroll/pki/pkitest"
)

const day = 24 * time.Hour

var (
	now   = time.Now
	quiet = log.New(io.Discard, "", 0)
)

func newCA(t testing.TB) *pkitest.CA {
	t.Helper()
	ca, err := pkitest.NewCA()
	must(t, err)
	return ca
}

// identity is a certificate of that CA, which begins and ends so long from now.
func identity(t testing.TB, ca *pkitest.CA, name string, from, to time.Duration) tls.Certificate {
	t.Helper()
	made, err := ca.Identity(name, now().Add(from), now().Add(to))
	must(t, err)
	return made
}

// authority is a CA that signs anything.
type authority struct {
	key         crypto.PrivateKey
	certificate *x509.Certificate
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key := newKey(t)
	a := &authority{key, &x509.Certificate{Subject: cn("Icinga CA"), PublicKey: key.Public(), IsCA: true, BasicConstraintsValid: true}}
	a.certificate = a.sign(t, a.certificate, key.Public(), nil)
	return a
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

func cn(name string) pkix.Name { return pkix.Name{CommonName: name} }

// sign makes a certificate of the template, which is valid now where it doesn't
// say otherwise; without a parent it is signed by itself.
func (a *authority) sign(t testing.TB, template *x509.Certificate, key crypto.PublicKey, parent *x509.Certificate) *x509.Certificate {
	t.Helper()
	made := *template
	if made.NotBefore.IsZero() {
		made.NotBefore = now().Add(-2 * day)
	}
	if made.NotAfter.IsZero() {
		made.NotAfter = now().Add(100 * day)
	}
	made.SerialNumber = big.NewInt(now().UnixNano())
	if parent == nil {
		parent = &made
	}
	der, err := x509.CreateCertificate(rand.Reader, &made, parent, key, a.key)
	must(t, err)
	certificate, err := x509.ParseCertificate(der)
	must(t, err)
	return certificate
}

// own is a certificate for a key of its own; without a parent signed by itself.
func (a *authority) own(t testing.TB, template, parent *x509.Certificate) tls.Certificate {
	t.Helper()
	key := newKey(t)
	signer := a
	if parent == nil {
		signer = &authority{key: key}
	}
	made := signer.sign(t, template, key.Public(), parent)
	chain := [][]byte{made.Raw}
	if parent != nil {
		chain = append(chain, parent.Raw)
	}
	return tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: made}
}

func pemOf(ders ...[]byte) (text []byte) {
	for _, der := range ders {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return text
}
