package enroll_test

import (
	"crypto/x509/pkix"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"icinga-enroll/enroll"
	"icinga-enroll/pki"
	"icinga-enroll/platform/machine"
)

// newTPMClient is an API client with a certificate for a key in a TPM that is gone.
func newTPMClient(t *testing.T) *node {
	t.Helper()
	n := newNode(t)
	asClient(n, nil)
	n.Keys = pki.Keys{InTPM: true, TPM: &pki.TPM{Device: filepath.Join(t.TempDir(), "gone")}}
	text := []byte(read(t, "../pki/testdata/tss2.key"))
	key, err := n.Keys.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := n.authority.ca.Sign(key.Public(), nodeName, time.Now().Add(-day), time.Now().Add(300*day))
	if err != nil {
		t.Fatal(err)
	}
	for file, data := range map[string][]byte{n.cert(".key"): text, n.cert(".crt"): pemOf(cert), filepath.Join(n.CertsDir, "ca.crt"): pemOf(n.authority.ca.Certificate())} {
		if err := errors.Join(os.MkdirAll(n.CertsDir, 0o700), os.WriteFile(file, data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// A TPM that is gone may come back, with the key: another one would be for nothing.
func TestATPMThatIsGoneIsNoReasonForANewKey(t *testing.T) {
	n := newTPMClient(t)
	before := read(t, n.cert(".key"))
	_, err := n.Ensure(t.Context())
	if !errors.Is(err, pki.ErrTPM) || !enroll.IsTemporary(err) {
		t.Fatalf("got %v", err)
	}
	if len(n.authority.asked) > 0 || read(t, n.cert(".key")) != before || exists(n.state("request.key")) {
		t.Errorf("another key was asked for, of %v", n.authority.asked)
	}
	s, err := enroll.ReadStatus(n.StateDir)
	if err != nil || s.State != enroll.Failed || s.LastError == nil || s.LastError.Kind != enroll.KindTemporary {
		t.Fatalf("the status is %+v, %v", s, err)
	}
	if c := s.Certificate; c == nil || c.KeyStore != enroll.InTPM || !strings.Contains(c.Unusable, "isn't there") {
		t.Errorf("the certificate in it is %+v", c)
	}
}

// A chip that is gone for good must not hold the node for ever: whoever says so gets a
// key without it, also where somebody has to approve that, and has the old one until then.
func TestATPMThatIsGoneForGoodIsLeft(t *testing.T) {
	n := newTPMClient(t)
	before := read(t, n.cert(".key"))
	if _, err := n.Ensure(t.Context()); !errors.Is(err, pki.ErrTPMGone) || !strings.Contains(err.Error(), "if the TPM is gone for good: set key.store: file, then icinga-enroll renew --rekey") {
		t.Errorf("the way out isn't told: %v", err)
	}
	n.Wish = enroll.Rekey
	if _, err := n.Ensure(t.Context()); !errors.Is(err, pki.ErrTPM) || !enroll.IsTemporary(err) || len(n.authority.asked) > 0 {
		t.Errorf("a new key in the TPM that is gone: %v", err)
	}
	n.Keys.InTPM = false
	n.authority.request = func(string, pki.Request) (pki.Issued, error) { return pki.Issued{}, &pki.PendingError{} }
	for _, wish := range []enroll.Wish{enroll.Rekey, enroll.WhenDue, enroll.WhenDue} {
		n.Wish = wish
		if _, err := n.Ensure(t.Context()); !errors.Is(err, pki.ErrPending) {
			t.Fatal(err)
		}
	}
	if read(t, n.cert(".key")) != before {
		t.Error("the old key is gone before there is another")
	}
	n.authority.request = nil
	if r := n.mustEnsure(t); r.Certificate.KeyStore != enroll.InFile || r.Look.After(r.Next) {
		t.Errorf("got %+v", r)
	}
}

// A request whose key went with the chip is no way out.
func TestARequestOfATPMThatIsGoneForGoodIsLeft(t *testing.T) {
	n := newTPMClient(t)
	key, cert := read(t, n.cert(".key")), read(t, n.cert(".crt"))
	if err := os.RemoveAll(n.CertsDir); err != nil {
		t.Fatal(err)
	}
	n.write(t, n.state("request.key"), []byte(key))
	n.write(t, n.state("request.crt"), []byte(cert))
	if _, err := n.Ensure(t.Context()); !errors.Is(err, pki.ErrTPM) || !enroll.IsTemporary(err) {
		t.Errorf("nobody has asked for another: %v", err)
	}
	n.Keys.InTPM = false
	if r := n.mustEnsure(t); r.Certificate.KeyStore != enroll.InFile {
		t.Errorf("got %+v", r)
	}
}

// What an attempt has left that failed, or was killed, is not what was asked for since.
func TestALeftRequestIsNotTakenForAnotherKindOfKey(t *testing.T) {
	n := newNode(t)
	n.mustEnsure(t)
	n.Wish, n.authority.request = enroll.Rekey, func(string, pki.Request) (pki.Issued, error) { return pki.Issued{}, errors.New("refused") }
	if r, err := n.Ensure(t.Context()); err != nil || r.Setback == nil {
		t.Fatalf("got %v, %v", r.Setback, err)
	}
	n.Keys.Type, n.authority.request = pki.ECDSAP384, nil
	r := n.mustEnsure(t)
	key, err := pki.ParseKey([]byte(read(t, n.cert(".key"))))
	if err != nil || pki.TypeOf(key.Public()) != pki.ECDSAP384 || !said(r, "its key is ecdsa-p256, and a new one is to be ecdsa-p384") {
		t.Errorf("got %v, %+v", err, r)
	}
}

// It is the key to take to the CA: nobody is told to move it away, nor is it tried twice.
func TestACSRWaitsForItsTPM(t *testing.T) {
	n := newTPMClient(t)
	n.Director = nil
	if _, err := n.PrepareCSR(t.Context(), pkix.Name{}); !errors.Is(err, pki.ErrTPM) || !enroll.IsTemporary(err) || strings.Contains(err.Error(), "move it away") {
		t.Errorf("got %v", err)
	}
	if exists(n.cert(".csr")) {
		t.Error("there is a request")
	}
}

// It is about the machine, which needs no TPM to be accepted.
func TestAMachineIsAcceptedWithoutItsTPM(t *testing.T) {
	n := newTPMClient(t)
	id := machine.Identity{Kind: machine.Virtual, Hardware: "before"}
	n.Machine.Identify = func() machine.Identity { return id }
	key, cert := read(t, n.cert(".key")), read(t, n.cert(".crt"))
	for _, file := range []string{n.cert(".key"), n.cert(".crt")} {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	n.Keys.InTPM = false
	n.mustEnsure(t)
	n.write(t, n.cert(".key"), []byte(key))
	n.write(t, n.cert(".crt"), []byte(cert))
	id.Hardware = "moved"
	if _, err := n.Ensure(t.Context()); !errors.Is(err, enroll.ErrClone) {
		t.Fatal(err)
	}
	for range 2 {
		if err := n.AcceptMachine(t.Context(), ""); err != nil {
			t.Error(err)
		}
	}
	s, err := enroll.ReadStatus(n.StateDir)
	if err != nil || s.LastError == nil || s.LastError.Kind != enroll.KindTemporary || s.Certificate == nil || s.Certificate.Unusable == "" {
		t.Errorf("the status still speaks of a copy: %+v, %v", s, err)
	}
}

// A device may be there a while after the boot, an emulator's socket before it, and no
// server is asked until then.
func TestATPMThatIsNotThereYetIsAwaited(t *testing.T) {
	dir, err := os.MkdirTemp("", "tpm") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	dead := filepath.Join(dir, "socket")
	if err := syscall.Mknod(dead, syscall.S_IFSOCK|0o600, 0); err != nil {
		t.Fatal(err)
	}
	for what, ensure := range map[string]func(*node) error{
		"once":      func(n *node) error { _, err := n.Ensure(t.Context()); return err },
		"--dry-run": func(n *node) error { _, err := n.Plan(t.Context()); return err },
	} {
		for _, device := range []string{filepath.Join(dir, "late"), dead} {
			n := newNode(t)
			asClient(n, nil)
			n.Keys = pki.Keys{InTPM: true, TPM: &pki.TPM{Device: device}}
			if err := ensure(n); !errors.Is(err, pki.ErrTPM) || !enroll.IsTemporary(err) || !enroll.IsLocal(err) {
				t.Errorf("%s, %s: %v", what, device, err)
			}
			if len(n.authority.asked)+n.authority.probed > 0 {
				t.Errorf("%s, %s: a server was asked", what, device)
			}
		}
	}
}

// What a run had begun to put in place needs no TPM to be completed.
func TestASwitchToAKeyInATPMIsCompleted(t *testing.T) {
	n := newTPMClient(t)
	key, journal := read(t, n.cert(".key")), ""
	for _, file := range []string{n.cert(".key"), n.cert(".crt"), filepath.Join(n.CertsDir, "ca.crt")} {
		journal += read(t, file)
	}
	err := errors.Join(os.Remove(n.cert(".key")), os.Mkdir(n.StateDir, 0o700), os.WriteFile(n.state("switch.pem"), []byte(journal), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Ensure(t.Context()); !errors.Is(err, pki.ErrTPM) {
		t.Errorf("got %v", err)
	}
	if read(t, n.cert(".key")) != key || exists(n.state("switch.pem")) {
		t.Error("the key is not in place, or the journal is still there")
	}
}

// The Icinga agent reads files only.
func TestAnAgentsKeyIsInNoTPM(t *testing.T) {
	n := newTPMClient(t)
	n.APIClient, n.Enroller.Director, n.Tickets, n.Keys = false, n.director, nil, pki.Keys{}
	r := n.mustEnsure(t)
	if text := read(t, n.cert(".key")); strings.Contains(text, "TSS2") || !said(r, "the Icinga agent can't use") {
		t.Errorf("got %+v, and the key is\n%s", r, text)
	}
}

// One that was made before key.store was changed is used until it is replaced.
func TestTheKeysStoreIsTold(t *testing.T) {
	n := newNode(t)
	asClient(n, nil)
	n.authority.request = func(string, pki.Request) (pki.Issued, error) { return pki.Issued{}, &pki.PendingError{} }
	if _, err := n.Ensure(t.Context()); !errors.Is(err, pki.ErrPending) {
		t.Fatal(err)
	}
	n.Keys = pki.Keys{InTPM: true, TPM: &pki.TPM{}}
	n.authority.request = nil
	if r := n.mustEnsure(t); !said(r, "this key is still in a file: icinga-enroll discard-request") {
		t.Errorf("the request's: %+v", r)
	}
	const inFile = "key.store is tpm, and this key is still in a file"
	r := n.mustEnsure(t)
	if r.Changed || r.Certificate.KeyStore != enroll.InFile || !said(r, inFile) {
		t.Errorf("got %+v", r)
	}
	if r, err := n.Plan(t.Context()); err != nil || !said(r, inFile) {
		t.Errorf("a dry run: %+v, %v", r, err)
	}
	h := handOver(t, n.authority.ca, nodeName, 0, 300*day)
	for range 2 { // the second time it is in place already
		r, err := n.Import(t.Context(), enroll.Files{Certificate: [][]byte{pemOf(h.cert, h.ca), h.keyPEM(t)}})
		if err != nil || !said(r, inFile) {
			t.Errorf("an import: %+v, %v", r, err)
		}
	}
}

func said(r enroll.Report, text string) bool {
	for _, s := range r.Steps {
		if s.Warning && strings.Contains(s.Text, text) {
			return true
		}
	}
	return false
}
