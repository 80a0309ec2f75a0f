//go:build linux

package attacks

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"icinga-enroll/enroll/sandbox"
	"icinga-enroll/pki/pkitest"
	"icinga-enroll/testdata/campaign"
)

// agentID is the number of the account, and of the group, that the Icinga agent
// has here. No account needs to have it.
const agentID = 64911

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// listen serves each connection to a port of this machine, closes it then, and
// returns the port's address.
func listen(t testing.TB, serve func(conn net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	return l.Addr().String()
}

// servers are a Director and a master on loopback.
func servers(t testing.TB, configure func(*sandbox.Sandbox), master ...func(*pkitest.Server)) *sandbox.Sandbox {
	t.Helper()
	s, err := sandbox.Start(configure, master...)
	must(t, err)
	t.Cleanup(s.Close)
	return s
}

// machine is a node that has an Icinga agent, whose folders are the agent's
// account's. The agent doesn't run, and takes whatever it is given.
type machine struct {
	*campaign.Node
	agent   string // in it are the agent's folders
	config  string // the configuration, if not config.yml in Dir
	outside string // root's, and nobody else's business
}

// newMachine is not enrolled yet.
func newMachine(t testing.TB, s *sandbox.Sandbox) *machine {
	t.Helper()
	m := &machine{Node: campaign.NewNode(t, program, campaign.NewName("web"))}
	m.agent, m.outside = m.Path("agent"), m.Path("outside")
	must(t, os.Chmod(filepath.Dir(m.Dir), 0o755), os.Chmod(m.Dir, 0o755), os.MkdirAll(m.agentPath("data", "certs"), 0o750), os.Mkdir(m.outside, 0o700))
	_, err := s.WriteConfig(m.Dir, m.Name)
	must(t, err)
	m.installAgent(t)
	m.Env = []string{
		"ICINGA_ENROLL_PATHS_CERTS=" + m.agentPath("data", "certs"),
		"ICINGA_ENROLL_AGENT_DATA_DIR=" + m.agentPath("data"),
		"ICINGA_ENROLL_AGENT_CONFIG_DIR=" + m.agentPath("etc"),
		"ICINGA_ENROLL_AGENT_VALIDATE=true",
		"ICINGA_ENROLL_AGENT_RELOAD=true",
		"ICINGA_ENROLL_AGENT_LISTEN=127.0.0.1:1",
		"ICINGA_ENROLL_AGENT_MANAGE=always",
	}
	return m
}

// installAgent writes what a package of Icinga 2 ships.
func (m *machine) installAgent(t testing.TB) {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.Join("..", "..", "platform", "agent", "testdata", "debian.stock"))
	must(t, err)
	for _, f := range archive.Files {
		path := m.agentPath("etc", f.Name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o750))
		if target, isLink := strings.CutPrefix(string(f.Data), "-> "); isLink {
			must(t, os.Symlink(strings.TrimSpace(target), path))
			continue
		}
		must(t, os.WriteFile(path, f.Data, 0o640))
	}
	give(t, m.agent)
}

// Run runs the program to its end, on the machine's configuration.
func (m *machine) Run(t testing.TB, args ...string) campaign.Result {
	t.Helper()
	if m.config != "" {
		args = append(args, "--config", m.config)
	}
	return m.Node.Run(t, args...)
}

func (m *machine) agentPath(elem ...string) string {
	return filepath.Join(append([]string{m.agent}, elem...)...)
}

// certs is a file that the agent looks for, by its name for any node.
func (m *machine) certs(name string) string {
	return m.agentPath("data", "certs", strings.ReplaceAll(name, "CN", m.Name))
}

// give makes all below path the agent's, links themselves and not where they lead.
func give(t testing.TB, path string) {
	t.Helper()
	must(t, filepath.WalkDir(path, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, agentID, agentID))
	}))
}

// enrolled fails unless the machine has a pair that is in order.
func (m *machine) enrolled(t testing.TB) {
	t.Helper()
	if _, err := (&campaign.Node{Dir: m.agentPath("data"), Name: m.Name}).Pair(); err != nil {
		t.Errorf("not enrolled: %v", err)
	}
}

// enrol brings it to an end that must be good.
func (m *machine) enrol(t testing.TB, args ...string) campaign.Result {
	t.Helper()
	r := m.Run(t, append([]string{"once"}, args...)...)
	if r.Code != 0 {
		t.Fatalf("%v: %s", args, r)
	}
	m.enrolled(t)
	return r
}
