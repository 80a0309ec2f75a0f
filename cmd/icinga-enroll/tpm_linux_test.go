package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/pki"
)

// Who can put his own in the place of a TPM's socket is given the keys' auth value
// by root.
func TestATPMThatOthersCouldReplaceIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		return // nobody else has something to lose by it
	}
	dir, err := os.MkdirTemp("", "tpm") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "socket")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	var c loaded
	c.Key.TPMDevice = socket
	for _, row := range []struct {
		spoil func() error
		want  string
	}{
		{func() error { return nil }, ""},
		{func() error { return os.Chown(socket, 64911, -1) }, socket + " belongs to uid 64911"},
		{func() error { return os.Chmod(dir, 0o777) }, dir + " can be changed by others"}, //nolint:gosec // that is the point
	} {
		if err := row.spoil(); err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := (pki.Keys{InTPM: true, TPM: c.tpm(secret.Text{})}).Ready(); err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, row.want) || row.want == "" && got != "" {
			t.Errorf("%q, want %q", got, row.want)
		}
	}
}
