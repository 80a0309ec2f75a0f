package faults

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"icinga-enroll/testdata/campaign"
)

// A cell is one fault in one phase.
type cell struct {
	phase  *phase
	fault  *fault
	passed atomic.Bool
}

// slowness is how long the program waits, for an order.
func (c *cell) slowness() int {
	switch {
	case !c.fault.slow:
		return 0
	case c.phase.call == "register-host":
		return 2
	}
	return 1
}

// run brings a node to where the fault begins, lets it meet the fault, and looks
// what it said and what it has; then it is to be enrolled without.
func (c *cell) run(t *testing.T, s *servers, program string, ip net.IP) {
	busy <- struct{}{}
	defer func() { <-busy }()
	n := newSite(t, s, program, ip, c.phase)
	n.begin(c.phase.begin)
	before := n.look()
	gate, other := n.director.gate, n.master.gate
	if c.phase.atMaster {
		gate, other = other, gate
	}
	gate.arm(c.fault, c.phase.from)
	r := n.runSlowly(c.fault.slow, c.phase.verb)
	if !gate.mend() {
		t.Error("the fault was not met")
	}
	after := n.look()
	c.checkSaid(t, n, r, gate, other)
	c.checkKept(t, before, after)
	n.recover(c.loses(), after)
	if t.Failed() {
		t.Logf("%s: %s", strings.Join(c.phase.verb, " "), r)
	}
}

// A site is a node with its two gates.
type site struct {
	*campaign.Node
	*servers
	t        *testing.T
	director *director
	master   *master
}

func newSite(t *testing.T, s *servers, program string, ip net.IP, p *phase) *site {
	n := &site{
		Node: campaign.NewNode(t, program, campaign.NewName("fault")), servers: s, t: t,
		director: openDirector(t, s, ip), master: openMaster(t, s, ip),
	}
	n.Configure(t, s.Config(t, n.Dir, n.Name))
	endpoints := s.Values["LAB_MASTER_NAME"] + "@" + n.master.addr
	if p.second {
		endpoints += "," + s.Values["LAB_MASTER_NAME"] + "@" + s.Values["LAB_MASTER_ADDRESS"]
	}
	n.Env = []string{
		"ICINGA_ENROLL_DIRECTOR_URL=https://" + n.director.addr + "/icingaweb2/director",
		"ICINGA_ENROLL_DIRECTOR_CA_FILE=" + n.write("web-ca.crt", asPEM(s.web.cert)),
		"ICINGA_ENROLL_CA_ENDPOINTS=" + endpoints,
	}
	if p.user {
		n.Env = append(n.Env, "ICINGA_ENROLL_DIRECTOR_USER="+s.Values["LAB_CONTROLLER_USER"],
			"ICINGA_ENROLL_DIRECTOR_PASSWORD_FILE="+n.write("password", s.Values["LAB_CONTROLLER_PASSWORD"]),
			"ICINGA_ENROLL_HOST_IMPORTS="+s.Values["LAB_TEMPLATE"])
	}
	return n
}

func (n *site) write(name, text string) (path string) {
	path = n.Path(name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
	return path
}

// begin enrols the node, and makes its certificate an old one, where it is to
// begin so.
func (n *site) begin(b beginning) {
	if b == fresh {
		return
	}
	n.mustRun("once")
	if b == due {
		old := fromPEM(n.look().certs[n.Name+".crt"])
		n.write(filepath.Join("certs", n.Name+".crt"), asPEM(n.icinga.issue(n.Name, old.PublicKey, 387*day, 10*day)))
	}
}

func (n *site) mustRun(args ...string) {
	n.t.Helper()
	if r := n.Run(n.t, args...); r.Code != 0 {
		n.t.Errorf("without a fault: %v: %s", args, r)
	}
}

// runSlowly runs the program, and doesn't keep others waiting while it waits.
func (n *site) runSlowly(slow bool, verb []string) campaign.Result {
	if verb == nil {
		verb = []string{"once"}
	}
	if slow {
		<-busy
		defer func() { busy <- struct{}{} }()
	}
	return n.Run(n.t, verb...)
}

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

const dropKey = `press "Drop Self Service API key"`

// checkSaid looks at the exit code and at what a person reads.
func (c *cell) checkSaid(t *testing.T, n *site, r campaign.Result, gate, other *gate) {
	if r.Code != c.exit() {
		t.Errorf("exit %d, want %d", r.Code, c.exit())
	}
	said := complaint(r)
	for what, secret := range n.secrets() {
		if strings.Contains(r.Stdout+r.Stderr, secret) {
			t.Errorf("%s was printed", what)
		}
	}
	v := c.verdict()
	if v.exit == works || c.phase.second {
		if said != "" {
			t.Errorf("complained though nothing was wrong: %s", said)
		}
		return
	}
	want := v.says
	if c.loses() {
		want = "The Director may have registered the host all the same.*" + dropKey
	}
	if !regexp.MustCompile("(?s)" + want).MatchString(said) {
		t.Errorf("said %q, want %q", said, want)
	}
	blamed := gate.addr
	switch {
	case c.phase.user:
		blamed = fmt.Sprintf("%s %q at %s failed: ", c.phase.call, n.Name, gate.addr)
	case !c.phase.atMaster:
		blamed = fmt.Sprintf("%s at %s failed: ", c.phase.call, gate.addr)
	}
	if !strings.Contains(said, blamed) || strings.Contains(said, other.addr) {
		t.Errorf("said %q: want %q blamed, and nobody else", said, blamed)
	}
	remembered := gate.addr
	if r.Code == waits {
		remembered = "icinga2 ca sign"
	}
	if status := n.files("state")["status.json"]; !strings.Contains(status, remembered) {
		t.Errorf("the status doesn't say so: %s", status)
	}
}

// complaint is what was said of errors.
func complaint(r campaign.Result) string {
	text := r.Stderr
	for line := range strings.Lines(r.Stdout) {
		if strings.HasPrefix(line, "! ") {
			text += line
		}
	}
	return text
}

// secrets are all that this node and its servers have told each other.
func (n *site) secrets() map[string]string {
	secrets := map[string]string{"the template key": n.Values["LAB_TEMPLATE_KEY"], "the password": n.Values["LAB_CONTROLLER_PASSWORD"]}
	if key := n.HostKey(); key != "" {
		secrets["the host key"] = key
	}
	for _, s := range n.director.told() {
		secrets["an answer of the Director"] = s
	}
	return secrets
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
	if has := after.hostKey != ""; has != c.phase.registered {
		t.Errorf("the host key is there: %v, want %v", has, c.phase.registered)
	}
	if before.hostKey != "" && before.hostKey != after.hostKey {
		t.Error("the host key is another")
	}
	if sent := strings.Contains(after.state["state.json"], `"register_sent"`); sent != c.loses() {
		t.Errorf("a lost registration is remembered: %v, want %v", sent, c.loses())
	}
	if _, err := tls.X509KeyPair([]byte(after.state["request.crt"]), []byte(after.state["request.key"])); (err == nil) != c.phase.requested {
		t.Errorf("the request: %v, want it there: %v", err, c.phase.requested)
	}
}

// recover has the node enrolled without the fault, with what it has kept. Where
// the answer to a registration was lost on the way back an admin has to act first.
func (n *site) recover(lost bool, kept view) {
	if lost && slices.Contains(n.director.called(), "register-host") {
		r := n.Run(n.t, "once")
		if r.Code != fails || !regexp.MustCompile(`(?s)has already been registered.*`+dropKey+`.*this node sent a registration at .*its own`).MatchString(r.Stderr) {
			n.t.Errorf("after a lost registration: %s", r)
		}
		n.Do(n.t, "host-drop-key", n.Name)
	}
	n.mustRun("once")
	if request := kept.state["request.crt"]; request != "" && n.files("state")["request.crt"] == request {
		n.mustRun(rekey...)
	}
	now := n.look()
	if now.valid != nil {
		n.t.Fatalf("not enrolled without the fault: %v", now.valid)
	}
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
