package faults

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
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
	c.checkMet(t, gate.mend())
	after := n.look()
	c.checkSaid(t, n, r, gate, other)
	c.checkKept(t, before, after)
	c.finish(n, after)
	if t.Failed() {
		t.Logf("%s: %s", strings.Join(c.phase.verb, " "), r)
	}
}

// checkMet wants what failed at the Director asked once, and no redirect followed.
func (c *cell) checkMet(t *testing.T, hits int) {
	if hits == 0 {
		t.Error("the fault was not met")
	}
	if !c.phase.atMaster && c.verdict().exit != works && hits > 1 {
		t.Errorf("the Director was asked %d times", hits)
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

// checkSaid looks at the exit code and at what a person reads.
func (c *cell) checkSaid(t *testing.T, n *site, r campaign.Result, gate, other *gate) {
	if r.Code != c.exit() {
		t.Errorf("exit %d, want %d", r.Code, c.exit())
	}
	status := n.files("state")["status.json"]
	for what, secret := range n.secrets() {
		if strings.Contains(r.Stdout+r.Stderr+status, secret) {
			t.Errorf("%s was told", what)
		}
	}
	said := complaint(r)
	if c.verdict().exit == works || c.phase.second {
		if said != "" {
			t.Errorf("complained though nothing was wrong: %s", said)
		}
		return
	}
	if !regexp.MustCompile("(?s)" + c.says()).MatchString(said) {
		t.Errorf("said %q, want %q", said, c.says())
	}
	if !strings.Contains(said, c.blames(n, gate)) || strings.Contains(said, other.addr) {
		t.Errorf("said %q: want %q blamed, and nobody else", said, c.blames(n, gate))
	}
	want := gate.addr
	if r.Code == waits {
		want = "icinga2 ca sign"
	}
	if !strings.Contains(status, want) {
		t.Errorf("the status says nothing of %s: %s", want, status)
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
