package crash_test

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"icinga-enroll/pki"
)

// phase is something that a node does, and is killed at.
type phase struct {
	name    string
	prepare func(*testing.T, *world) // makes the node what it is before; it has its configuration
	run     []string
	next    []string                 // what is run after the kill
	want    func(*testing.T, *world) // besides what nobody may have lost
	leaves  bool                     // it ends the enrolment
}

func phases() []phase {
	once, run := []string{"once"}, []string{"run"}
	nothing := func(*testing.T, *world) {}
	return []phase{
		{name: "enrol", prepare: nothing, run: once, next: once, want: nothing},
		{name: "enrol as a user", prepare: func(t *testing.T, w *world) { w.addUser(t) }, run: once, next: once, want: nothing},
		{name: "enrol & forget", prepare: forgetful, run: once, next: once, want: wantForgotten},
		{name: "renew", prepare: enrolledLongAgo, run: []string{"renew"}, next: once, want: wantRenewed},
		{name: "rekey", prepare: enrolled, run: []string{"renew", "--rekey"}, next: once, want: nothing},
		{name: "import", prepare: handedOver, run: importing, next: importing, want: wantImported},
		{name: "agent", prepare: managedFromNow, run: once, next: once, want: wantManaged},
		{name: "leave", prepare: enrolledByUser, run: []string{"leave", "--yes"}, next: []string{"leave", "--yes"}, want: nothing, leaves: true},
		{name: "run", prepare: installed, run: run, next: run, want: wantManaged},
		{name: "run as a user", prepare: func(t *testing.T, w *world) { w.addUser(t); installed(t, w) }, run: run, next: run, want: wantManaged},
	}
}

// forgetful is to forget the template key once it is enrolled.
func forgetful(t *testing.T, w *world) {
	t.Helper()
	w.edit(t, "director:\n", "director:\n  forget_template_key: true\n")
}

func wantForgotten(t *testing.T, w *world) {
	t.Helper()
	for _, path := range w.files(t) {
		if data, err := os.ReadFile(path); err == nil && strings.Contains(string(data), w.TemplateKey) {
			t.Errorf("the template key is still in %s", path)
		}
	}
}

func enrolled(t *testing.T, w *world) {
	t.Helper()
	w.mustRun(t, "once")
}

func enrolledByUser(t *testing.T, w *world) {
	t.Helper()
	w.addUser(t)
	enrolled(t, w)
}

// enrolledLongAgo has a certificate with ten days to go.
func enrolledLongAgo(t *testing.T, w *world) {
	t.Helper()
	enrolled(t, w)
	leaf, err := w.Pair()
	must(t, err)
	old, err := w.CA.Sign(leaf.PublicKey, w.Name, time.Now().Add(-387*24*time.Hour), time.Now().Add(10*24*time.Hour))
	must(t, err)
	must(t, os.WriteFile(w.Path("certs", w.Name+".crt"), pki.EncodeCertificates(old), 0o644))
	must(t, os.Chmod(w.Path("certs", w.Name+".crt"), 0o644))
}

func wantRenewed(t *testing.T, w *world) {
	t.Helper()
	leaf, err := w.Pair()
	if err == nil && time.Until(leaf.NotAfter) < 300*24*time.Hour {
		t.Errorf("the certificate was not renewed: it ends on %s", leaf.NotAfter)
	}
}

var importing = []string{"import", "handed/new.crt", "--key", "handed/new.key", "--ca", "handed/ca.crt"}

// handedOver has a new pair in files.
func handedOver(t *testing.T, w *world) {
	t.Helper()
	enrolled(t, w)
	pair, err := w.CA.Identity(w.Name, time.Now(), time.Now().Add(300*24*time.Hour))
	must(t, err)
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	must(t, err)
	must(t, os.Mkdir(w.Path("handed"), 0o700))
	for name, data := range map[string][]byte{
		"new.crt": pki.EncodeCertificates(pair.Leaf), "ca.crt": pki.EncodeCertificates(w.CA.Certificate()),
		"new.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
	} {
		must(t, os.WriteFile(w.Path("handed", name), data, 0o600))
	}
}

// wantImported asserts that the key before isn't lost: nobody could get it again.
func wantImported(t *testing.T, w *world) {
	t.Helper()
	handed, err := os.ReadFile(w.Path("handed", "new.crt"))
	must(t, err)
	if got, err := os.ReadFile(w.Path("certs", w.Name+".crt")); err != nil || string(got) != string(handed) {
		t.Errorf("the certificate that was handed over is not in place (%v)", err)
	}
	before, err := os.ReadFile(filepath.Join(w.snapshot, "certs", w.Name+".key"))
	must(t, err)
	kept, err := filepath.Glob(w.Path("certs", w.Name+".key.*"))
	must(t, err)
	if len(kept) != 1 {
		t.Fatalf("the key before is kept as %v", kept)
	}
	if got, err := os.ReadFile(kept[0]); err != nil || string(got) != string(before) {
		t.Errorf("the key before was not kept (%v)", err)
	}
}

// installed has an agent that doesn't run yet.
func installed(t *testing.T, w *world) {
	t.Helper()
	w.addAgent(t)
}

// managedFromNow is enrolled, and has an agent that runs with the certificate and
// is to be managed.
func managedFromNow(t *testing.T, w *world) {
	t.Helper()
	enrolled(t, w)
	w.addAgent(t)
	if out, err := exec.Command(w.Path("reload")).CombinedOutput(); err != nil {
		t.Fatalf("reload: %v: %s", err, out)
	}
}

func wantManaged(t *testing.T, w *world) {
	t.Helper()
	w.wantAgent(t)
}
