package crash_test

import (
	"crypto/tls"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// stock is what a package leaves.
var stock = map[string]string{
	"icinga2.conf":                         "include \"constants.conf\"\ninclude \"zones.conf\"\ninclude <itl>\ninclude \"features-enabled/*.conf\"\ninclude_recursive \"conf.d\"\n",
	"constants.conf":                       "//const NodeName = \"localhost\"\nconst ZoneName = NodeName\n",
	"zones.conf":                           "object Endpoint NodeName { host = NodeName }\nobject Zone ZoneName { endpoints = [ NodeName ] }\n",
	"features-available/api.conf":          "object ApiListener \"api\" { }\n",
	"features-available/notification.conf": "object NotificationComponent \"notification\" { }\n",
	"features-enabled/checker.conf":        "object CheckerComponent \"checker\" { }\n",
}

// stub is an Icinga agent that runs: it shows the pair that it has read when it
// was last reloaded, and no other.
type stub struct{ listener net.Listener }

// addAgent installs an agent on w that runs, and has the program manage it.
func (w *world) addAgent(t *testing.T) {
	t.Helper()
	for name, text := range stock {
		must(t, os.MkdirAll(filepath.Dir(w.Path("etc", name)), 0o750))
		must(t, os.WriteFile(w.Path("etc", name), []byte(text), 0o640))
	}
	must(t, os.Symlink("../features-available/notification.conf", w.Path("etc", "features-enabled", "notification.conf")))
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		pair, err := os.ReadFile(w.Path("shown.pem"))
		if err != nil {
			return nil, err
		}
		shown, err := tls.X509KeyPair(pair, pair)
		return &shown, err
	}})
	must(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	w.agent = &stub{listener}
	go w.agent.serve()

	w.script(t, "icinga2", `case $1 in --version) printf 'icinga2 (version: r2.13.6-1)\n  Config directory: /nowhere/etc\n  Data directory: /nowhere/data\n';; esac`)
	w.script(t, "reload", fmt.Sprintf(`cat certs/%[1]s.key certs/%[1]s.crt >shown.$$ && mv shown.$$ shown.pem`, w.Name))
	config, err := os.ReadFile(w.Path("config.yml"))
	must(t, err)
	w.Configure(t, string(config)+fmt.Sprintf(`agent:
  manage: auto
  config_dir: %[1]s/etc
  data_dir: %[1]s
  listen: %[2]s
  validate: ["%[1]s/icinga2", "daemon", "-C"]
  reload: ["%[1]s/reload"]
metrics:
  textfile: %[1]s/metrics.prom
`, w.Dir, listener.Addr()))
}

func (w *world) script(t *testing.T, name, text string) {
	t.Helper()
	must(t, os.WriteFile(w.Path(name), []byte("#!/bin/sh\ncd "+w.Dir+"\n"+text+"\n"), 0o700))
}

// serve does the handshake and ends the connection.
func (s *stub) serve() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		go func() {
			_ = conn.(*tls.Conn).Handshake()
			_ = conn.Close()
		}()
	}
}

// wantAgent asserts that the agent is what it is after a run without a crash.
func (w *world) wantAgent(t *testing.T) {
	t.Helper()
	if got := w.agentTree(t); got != w.tree {
		t.Errorf("the agent's files are\n%s\nwant\n%s", got, w.tree)
	}
	leaf, err := w.Pair()
	must(t, err)
	conn, err := tls.Dial("tcp", w.agent.listener.Addr().String(), &tls.Config{InsecureSkipVerify: true}) // only looked at
	if err != nil {
		t.Fatalf("the agent doesn't run: %v", err)
	}
	defer func() { _ = conn.Close() }()
	if shown := conn.ConnectionState().PeerCertificates[0]; !shown.Equal(leaf) {
		t.Errorf("the agent shows the certificate %s, and %s is in force", shown.SerialNumber, leaf.SerialNumber)
	}
}

// agentTree is all that is in the agent's folder, with modes.
func (w *world) agentTree(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	must(t, filepath.WalkDir(w.Path("etc"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text, _ := os.Readlink(path)
		if text == "" {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text = string(data)
		}
		fmt.Fprintf(&b, "%s %s %q\n", strings.TrimPrefix(path, w.Dir), info.Mode(), text)
		return nil
	}))
	return b.String()
}
