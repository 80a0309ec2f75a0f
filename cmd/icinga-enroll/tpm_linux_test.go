package main

import (
	"crypto"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/pki"
	"icinga-enroll/pki/pkitest"
)

// Who can put his own in the place of a TPM's socket is given the keys' auth value
// by root.
func TestATPMThatOthersCouldReplaceIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root is guarded so, and another owner needs root, too")
	}
	dir, err := os.MkdirTemp("", "tpm") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "socket")
	if err := syscall.Mknod(socket, syscall.S_IFSOCK|0o600, 0); err != nil {
		t.Fatal(err)
	}
	var c loaded
	c.Key.TPMDevice = socket
	for _, row := range []struct {
		spoil func() error
		want  string
	}{
		{func() error { return nil }, "connection refused"}, // it is asked
		{func() error { return os.Chown(socket, 64911, -1) }, socket + " belongs to uid 64911"},
		{func() error { return os.Chmod(dir, 0o777) }, dir + " can be changed by others"},
	} {
		if err := row.spoil(); err != nil {
			t.Fatal(err)
		}
		if err := (pki.Keys{InTPM: true, TPM: c.tpm(secret.Text{})}).Ready(); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%v, want %q", err, row.want)
		}
	}
}

// The certificate that asks for tickets may have its key in the TPM, too.
func TestTheKeyOfAnAPIUserMayBeInTheTPM(t *testing.T) {
	text, err := os.ReadFile("../../pki/testdata/tss2.key")
	if err != nil {
		t.Fatal(err)
	}
	key, err := pki.Keys{TPM: &pki.TPM{}}.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := pkitest.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Sign(key.Public(), "user", time.Now(), time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	var c loaded
	c.Profile, c.Key.Store = profileClient, "tpm"
	c.API.KeyFile, c.API.CertificateFile = "../../pki/testdata/tss2.key", filepath.Join(t.TempDir(), "user.crt")
	if err := os.WriteFile(c.API.CertificateFile, pki.EncodeCertificates(cert), 0o600); err != nil {
		t.Fatal(err)
	}
	shown, err := c.apiCertificate()
	if err != nil {
		t.Fatal(err)
	}
	if signer, is := shown.PrivateKey.(crypto.Signer); !is || !pki.InTPM(signer) {
		t.Errorf("the key is %T", shown.PrivateKey)
	}
	c.Key.Store = "file" // and the unit doesn't open the chip
	if _, err := c.apiCertificate(); err == nil || !strings.Contains(err.Error(), "key.store: tpm") {
		t.Errorf("without a TPM for the service: %v", err)
	}
}
