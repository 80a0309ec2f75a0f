package faults

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A view is what a node has on disk.
type view struct {
	state, certs map[string]string
	hostKey      string
	valid        error // of the pair in force
}

func (n *site) look() view {
	v := view{state: n.files("state"), certs: n.files("certs"), hostKey: n.HostKey()}
	_, v.valid = n.Pair()
	return v
}

// files are what is in a folder of the node's, by their names.
func (n *site) files(folder string) map[string]string {
	files := map[string]string{}
	entries, _ := os.ReadDir(n.Path(folder)) // it may not be there yet
	for _, e := range entries {
		files[e.Name()] = string(must(os.ReadFile(n.Path(folder, e.Name()))))
	}
	return files
}

// ours are the files that may be in the state folder.
var ours = []string{"lock", "request.crt", "request.csr", "request.key", "state.json", "status.json"}

// checkKept looks at what the fault has left on disk.
func (c *cell) checkKept(t *testing.T, before, after view) {
	for name := range after.state {
		if !slices.Contains(ours, name) {
			t.Errorf("%s was left in the state folder", name)
		}
	}
	if c.replaced() {
		if after.valid != nil || maps.Equal(before.certs, after.certs) {
			t.Errorf("there is no new certificate: %v", after.valid)
		}
		return
	}
	if !maps.Equal(before.certs, after.certs) {
		t.Errorf("the certs folder has changed: %v", slices.Sorted(maps.Keys(after.certs)))
	}
	if c.phase.begin != fresh && after.valid != nil {
		t.Errorf("the old certificate is of no use any more: %v", after.valid)
	}
	c.checkState(t, before, after)
}

// checkState looks at what a node without a new certificate remembers.
func (c *cell) checkState(t *testing.T, before, after view) {
	if has := after.hostKey != ""; has != c.phase.registered {
		t.Errorf("the host key is there: %v, want %v", has, c.phase.registered)
	}
	if before.hostKey != "" && before.hostKey != after.hostKey {
		t.Error("the host key is another")
	}
	if sent := strings.Contains(after.state["state.json"], `"register_sent"`); sent != c.loses() {
		t.Errorf("a lost registration is remembered: %v, want %v", sent, c.loses())
	}
	_, err := tls.X509KeyPair([]byte(after.state["request.crt"]), []byte(after.state["request.key"]))
	if (err == nil) != c.phase.requested {
		t.Errorf("the request: %v, want it there: %v", err, c.phase.requested)
	}
}

// finish has the node enrolled without the fault, with what it has kept.
func (c *cell) finish(n *site, kept view) {
	registrations := 1
	switch {
	case c.phase.user:
		registrations = 0
	case c.loses() && n.director.answered("register-host") > 0:
		n.admitLoss()
		registrations = 3 // the lost one, one that is refused, one with the key dropped
	}
	n.mustRun("once")
	if request := kept.state["request.crt"]; request != "" && n.files("state")["request.crt"] == request {
		n.mustRun(rekey...)
	}
	if got := n.director.answered("register-host"); got != registrations {
		n.t.Errorf("registered %d times, want %d", got, registrations)
	}
	now := n.look()
	if now.valid != nil {
		n.t.Fatalf("not enrolled without the fault: %v", now.valid)
	}
	n.checkUsed(kept, now)
}

// admitLoss does what an admin has to where a registration reached the Director
// and its answer didn't reach the node.
func (n *site) admitLoss() {
	r := n.Run(n.t, "once")
	if r.Code != fails || !regexp.MustCompile(`(?s)has already been registered.*`+dropKey+`.*this node sent a registration at .*its own`).MatchString(r.Stderr) {
		n.t.Errorf("after a lost registration: %s", r)
	}
	n.Do(n.t, "host-drop-key", n.Name)
}

// checkUsed wants the keys in use that were kept.
func (n *site) checkUsed(kept, now view) {
	if kept.hostKey != "" && kept.hostKey != now.hostKey {
		n.t.Error("the host key is another")
	}
	cert := fromPEM(now.certs[n.Name+".crt"])
	if request := kept.state["request.crt"]; request != "" && !samePublicKey(cert, fromPEM(request)) {
		n.t.Error("the certificate is for another key than the one that was asked for")
	}
	if old := kept.certs[n.Name+".crt"]; kept.state["request.crt"] == "" && old != "" && !samePublicKey(cert, fromPEM(old)) {
		n.t.Error("the renewed certificate is for another key")
	}
	if cert.NotAfter.Before(cert.NotBefore.Add(390 * day)) {
		n.t.Errorf("the certificate is the old one: until %s", cert.NotAfter)
	}
}

func samePublicKey(a, b *x509.Certificate) bool {
	return a.PublicKey.(*ecdsa.PublicKey).Equal(b.PublicKey)
}
