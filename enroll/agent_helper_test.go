package enroll_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"icinga-enroll/enroll"
	"icinga-enroll/pki"
	"icinga-enroll/platform/agent"
)

// agentNode is a node with an Icinga agent, which runs in this process: what it
// has read last is what it shows.
type agentNode struct {
	*node
	shows     *x509.Certificate // nil: it doesn't run
	reloads   int
	validated int
	validate  func() (string, error)
	reload    func() error
	version   func() (string, error)
	away      map[string]bool // parents that don't answer
	started   time.Time
	connected []string // parents, as the agent says
	last      enroll.Report
}

var stockFiles = map[string]string{
	"icinga2.conf":                         "include \"constants.conf\"\ninclude \"zones.conf\"\ninclude <itl>\ninclude \"features-enabled/*.conf\"\ninclude_recursive \"conf.d\"\n",
	"constants.conf":                       "//const NodeName = \"localhost\"\nconst ZoneName = NodeName\n",
	"zones.conf":                           "object Endpoint NodeName { host = NodeName }\nobject Zone ZoneName { endpoints = [ NodeName ] }\n",
	"features-available/api.conf":          "object ApiListener \"api\" { }\n",
	"features-available/notification.conf": "object NotificationComponent \"notification\" { }\n",
}

func newAgentNode(t *testing.T) *agentNode {
	t.Helper()
	n := &agentNode{node: newNode(t), away: map[string]bool{}}
	base := filepath.Dir(n.StateDir)
	n.CertsDir = filepath.Join(base, "data", "certs")
	n.Agent = enroll.AgentSettings{
		Manage: enroll.ManageAuto, ConfigDir: filepath.Join(base, "etc"), DataDir: filepath.Join(base, "data"), Listen: "[::]:5665",
		Validate: []string{"validate"}, Reload: []string{"reload"}, Run: n.run, AcceptCommands: true,
	}
	inner := n.Authority
	n.Authority = func(trust pki.Trust) enroll.Authority { return agentAuthority{inner(trust), n} }
	n.Local = func(pki.Endpoint, pki.Trust, tls.Certificate) enroll.LocalAgent { return localAgent{n} }
	n.Machine.Resolve = func(_ context.Context, host string) (string, error) { return "192.0.2.99", nil }
	for name, text := range stockFiles {
		n.put(t, name, text)
	}
	if err := os.Mkdir(n.file("features-enabled"), 0o750); err != nil {
		t.Fatal(err)
	}
	enableNotification(t, n.file("features-enabled/notification.conf"))
	return n
}

func (n *agentNode) file(name string) string { return filepath.Join(n.Agent.ConfigDir, name) }

func (n *agentNode) put(t *testing.T, name, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(n.file(name)), 0o750), os.WriteFile(n.file(name), []byte(text), 0o640)); err != nil {
		t.Fatal(err)
	}
}

func (n *agentNode) run(_ context.Context, argv, _ []string) (string, error) {
	switch {
	case argv[0] == "validate":
		n.validated++
		if n.validate != nil {
			return n.validate()
		}
	case argv[0] == "reload":
		n.reloads++
		if n.reload != nil {
			if err := n.reload(); err != nil {
				return "reload's words", err
			}
		}
		data, err := os.ReadFile(n.cert(".crt"))
		if err != nil {
			return "", err
		}
		certs, err := pki.ParseCertificates(data)
		n.shows = certs[0]
		return "", err
	case argv[len(argv)-1] == "--version" && n.version != nil:
		return n.version()
	case argv[len(argv)-1] == "--version":
		return "", agent.ErrNone
	}
	return "", nil
}

// localAgent says which parents the agent is connected to.
type localAgent struct{ n *agentNode }

func (l localAgent) Endpoints(context.Context) ([]pki.EndpointState, error) {
	all := []pki.EndpointState{{Name: nodeName}}
	for _, name := range l.n.connected {
		all = append(all, pki.EndpointState{Name: name, Connected: true})
	}
	return all, nil
}

// Started is when the agent was last made to read its configuration.
func (l localAgent) Started(context.Context) (time.Time, error) { return l.n.started, nil }

// agentAuthority also answers for the agent, on its own address.
type agentAuthority struct {
	enroll.Authority
	n *agentNode
}

type awayError struct{ error }

func (awayError) Temporary() bool { return true }

func (a agentAuthority) Probe(ctx context.Context, ep pki.Endpoint) (pki.Peer, error) {
	if ep.Address == "127.0.0.1:5665" {
		if a.n.shows == nil {
			return pki.Peer{}, awayError{errors.New("connection refused")}
		}
		return pki.Peer{Name: nodeName, Chain: []*x509.Certificate{a.n.shows}}, nil
	}
	if a.n.away[ep.Address] {
		return pki.Peer{}, awayError{fmt.Errorf("%s doesn't answer", ep.Address)}
	}
	return a.Authority.Probe(ctx, ep)
}

// ensure is an Ensure of an enrolled node, whose report has what went wrong with
// the agent.
func (n *agentNode) ensure(t *testing.T) enroll.Report {
	t.Helper()
	n.last = n.mustEnsure(t)
	return n.last
}

func (n *agentNode) quiet(t *testing.T) enroll.Report {
	t.Helper()
	r := n.ensure(t)
	if r.Setback != nil {
		t.Fatal(r.Setback)
	}
	return r
}

// fails is an ensure with an agent that doesn't do.
func (n *agentNode) fails(t *testing.T, words ...string) {
	t.Helper()
	var failed *enroll.AgentError
	r := n.ensure(t)
	if !errors.As(r.Setback, &failed) {
		t.Fatalf("the setback is %v, want an AgentError", r.Setback)
	}
	for _, w := range words {
		if !strings.Contains(failed.Error(), w) {
			t.Errorf("%q doesn't say %q", failed, w)
		}
	}
}

func (n *agentNode) said(words string) bool {
	return slices.ContainsFunc(n.last.Steps, func(s enroll.Step) bool { return strings.Contains(s.Text, words) })
}

func (n *agentNode) warned(words string) bool {
	for _, s := range n.last.Steps {
		if s.Warning && strings.Contains(s.Text, words) {
			return true
		}
	}
	return false
}

// tree is all that is in the agent's folder but backups, with modes.
func (n *agentNode) tree(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(n.Agent.ConfigDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || strings.Contains(path, ".orig") || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text, _ := os.Readlink(path)
		if text == "" {
			text = read(t, path)
		}
		fmt.Fprintf(&b, "%s %s %q\n", path, info.Mode(), text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func (n *agentNode) wantTree(t *testing.T, want string) {
	t.Helper()
	if got := n.tree(t); got != want {
		t.Errorf("the agent's files are\n%s\nwant\n%s", got, want)
	}
}

func (n *agentNode) wantConfigured(t *testing.T) {
	t.Helper()
	zones, enabled := read(t, n.file("zones.conf")), read(t, n.file("features-available/api.conf"))
	if !strings.Contains(zones, `parent = "master"`) || !strings.Contains(enabled, "bind_port = 5665") || !exists(n.file("features-enabled/api.conf")) ||
		!strings.Contains(read(t, n.file("constants.conf")), nodeName) || exists(n.file("features-enabled/notification.conf")) {
		t.Errorf("the agent isn't one of its parents':\n%s", n.tree(t))
	}
	if strings.Contains(read(t, n.state("state.json")), `"undo"`) || exists(n.state("agent-stage")) {
		t.Error("something of the way there was left")
	}
}

// crash is an Ensure that ends in the middle.
func (n *agentNode) crash(t *testing.T) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Fatal("it didn't get there")
		}
	}()
	_, _ = n.Ensure(t.Context())
}

// enableNotification does what a package does: a link, on Windows a file.
func enableNotification(t *testing.T, file string) {
	t.Helper()
	const available = "../features-available/notification.conf"
	err := os.Symlink(available, file)
	if runtime.GOOS == "windows" {
		_ = os.Remove(file)
		err = os.WriteFile(file, []byte("include \""+available+"\"\n"), 0o640)
	}
	if err != nil {
		t.Fatal(err)
	}
}
