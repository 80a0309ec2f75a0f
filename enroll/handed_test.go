package enroll_test

import (
	"crypto"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/pki"
	"icinga-enroll/pki/pkitest"
)

// handed is what somebody brings: a key and its certificate.
type handed struct {
	key  crypto.Signer
	cert *x509.Certificate
	ca   *x509.Certificate
}

func handOver(t *testing.T, ca *pkitest.CA, name string, from, until time.Duration) handed {
	t.Helper()
	key, err := pki.GenerateKey(pki.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Sign(key.Public(), name, time.Now().Add(from), time.Now().Add(until))
	if err != nil {
		t.Fatal(err)
	}
	return handed{key, cert, ca.Certificate()}
}

func (h handed) keyPEM(t *testing.T) []byte {
	t.Helper()
	text, err := pki.EncodeKey(h.key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (h handed) pkcs12(t *testing.T, password string) []byte {
	t.Helper()
	file, err := pki.EncodePKCS12(pki.Bundle{Key: h.key, Certificate: h.cert, CA: []*x509.Certificate{h.ca}}, secret.New(password), false)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func pemOf(certificates ...*x509.Certificate) []byte { return pki.EncodeCertificates(certificates...) }

// A configuration that names neither Director nor CA is enough.
func newOfflineNode(t *testing.T) *node {
	n := newNode(t)
	n.Director, n.Trust = nil, pki.Trust{}
	return n
}

// listing is every file of the node with what is in it, but for the lock.
func (n *node) listing(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, dir := range []string{n.StateDir, n.CertsDir} {
		entries, err := os.ReadDir(dir)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if file := filepath.Join(dir, entry.Name()); entry.Name() != "lock" {
				files[file] = read(t, file)
			}
		}
	}
	return files
}

func (n *node) write(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
