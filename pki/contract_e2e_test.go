//go:build e2e

package pki_test

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/pki"
)

// TestContractIcinga asks the real Icinga 2 that ENROLL_LAB, the lab's file of
// values, describes.
func TestContractIcinga(t *testing.T) {
	l := newLab(t)
	runContract(t, l)
	runWire(t, l)
}

type lab struct {
	program string
	values  map[string]string
	root    *x509.Certificate
}

func newLab(t *testing.T) *lab {
	path := os.Getenv("ENROLL_LAB")
	if path == "" {
		t.Fatal("ENROLL_LAB is not set: start the lab and give the path of its lab.json")
	}
	l := &lab{program: filepath.Join("..", "testdata", "lab", "lab")}
	text, err := os.ReadFile(path)
	noError(t, err)
	noError(t, json.Unmarshal(text, &l.values))
	text, err = os.ReadFile(l.values["LAB_CA_FILE"])
	noError(t, err)
	roots, err := pki.ParseCertificates(text)
	noError(t, err)
	l.root = roots[0]
	return l
}

func (l *lab) run(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), l.program, args...)
	cmd.Env = append(os.Environ(), "LAB_DIR="+l.values["LAB_DIR"])
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("lab %s: %v", args[0], err) // its output may hold a ticket
	}
	return out
}

func (l *lab) master() pki.Endpoint {
	return pki.Endpoint{Address: l.values["LAB_MASTER_ADDRESS"], Names: []string{l.values["LAB_MASTER_NAME"]}}
}

func (l *lab) satellite(t *testing.T) pki.Endpoint {
	t.Helper()
	if l.values["LAB_SATELLITE"] != "up" { // not started from here: that restarts the master under other tests
		t.Fatal("the lab has no satellite: run `lab satellite up` first")
	}
	return pki.Endpoint{Address: l.values["LAB_SATELLITE_ADDRESS"], Names: []string{l.values["LAB_SATELLITE_NAME"]}}
}

func (l *lab) certificate() *x509.Certificate { return l.root }

func (l *lab) ticket(t *testing.T, cn string) secret.Text {
	out := l.run(t, "ticket", cn)
	return secret.New(string(out[:min(40, len(out))]))
}

func (l *lab) pending(t *testing.T) []string {
	var requests map[string]struct {
		Signed string `json:"cert_response"`
	}
	noError(t, json.Unmarshal(l.run(t, "ca-list"), &requests))
	var fingerprints []string
	for fingerprint, request := range requests {
		if request.Signed == "" {
			fingerprints = append(fingerprints, fingerprint)
		}
	}
	return fingerprints
}

func (l *lab) admin(t *testing.T, verb, fingerprint string) {
	t.Helper()
	l.run(t, "ca-"+verb, fingerprint)
}

func (l *lab) sign(t *testing.T, key crypto.Signer, cn string, daysPast, daysLeft int) *x509.Certificate {
	dir := t.TempDir()
	keyFile, out := filepath.Join(dir, "key"), filepath.Join(dir, "crt")
	text, err := pki.EncodeKey(key)
	noError(t, err)
	noError(t, os.WriteFile(keyFile, text, 0o600))
	l.run(t, "sign-cert", cn, keyFile, strconv.Itoa(daysPast), strconv.Itoa(daysLeft), out)
	text, err = os.ReadFile(out)
	noError(t, err)
	certificates, err := pki.ParseCertificates(text)
	noError(t, err)
	return certificates[0]
}
