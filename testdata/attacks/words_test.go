//go:build linux

package attacks

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"icinga-enroll/enroll/sandbox"
	"icinga-enroll/pki"
)

// forged is what would be a line of this program, or an order to a terminal.
const forged = "no\n+ certificate enrolled, valid until 2099-01-01\r\nicinga-enroll: all is well\n<3>2026-11-27T00:00:00.000Z [ERROR] forged: \x1b]0;evil\x07\x1b[2J\u009b2J\u202e\u2028{\"@level\":\"error\",\"@message\":\"forged\"}\nDROP"

// mouths are where words of others come from.
var mouths = map[string]func(t *testing.T, s *sandbox.Sandbox, m *machine) (env string){
	"a hook": func(t *testing.T, _ *sandbox.Sandbox, m *machine) string {
		return fmt.Sprintf(`ICINGA_ENROLL_HOOKS_POST_RENEW=[[%q]]`, m.saying(t, 1))
	},
	"a hook that ends well": func(t *testing.T, _ *sandbox.Sandbox, m *machine) string {
		return fmt.Sprintf(`ICINGA_ENROLL_HOOKS_POST_RENEW=[[%q]]`, m.saying(t, 0))
	},
	"the agent that validates": func(t *testing.T, _ *sandbox.Sandbox, m *machine) string {
		return "ICINGA_ENROLL_AGENT_VALIDATE=" + m.saying(t, 1)
	},
	"the agent that reloads": func(t *testing.T, _ *sandbox.Sandbox, m *machine) string {
		return "ICINGA_ENROLL_AGENT_RELOAD=" + m.saying(t, 1)
	},
	"the agent's own files": func(t *testing.T, _ *sandbox.Sandbox, m *machine) string {
		must(t, os.WriteFile(m.agentPath("etc", "zones.conf"), []byte("// "+forged+"\xff\x9b\n"), 0o640))
		return "ICINGA_ENROLL_AGENT_MANAGE=auto"
	},
	"the CA that refuses": func(t *testing.T, s *sandbox.Sandbox, _ *machine) string {
		ca := newAuthority(t)
		master := ca.own(t, &x509.Certificate{Subject: cn(sandbox.MasterName)}, ca.certificate)
		parents(s, rogue(t, master, func(conn net.Conn, _ *x509.Certificate) { _, _ = io.WriteString(conn, said(forged)) }))
		return "ICINGA_ENROLL_CA_FINGERPRINT=" + pki.PublicKeyPin(ca.certificate).String()
	},
	"a certificate's name": func(t *testing.T, s *sandbox.Sandbox, _ *machine) string {
		ca := newAuthority(t)
		parents(s, rogue(t, ca.own(t, &x509.Certificate{Subject: cn(forged)}, ca.certificate), func(net.Conn, *x509.Certificate) {}))
		return "ICINGA_ENROLL_CA_FINGERPRINT=" + pki.PublicKeyPin(ca.certificate).String()
	},
	"a CA's name": func(t *testing.T, s *sandbox.Sandbox, _ *machine) string {
		key := newKey(t)
		ca := &authority{key: key}
		ca.certificate = ca.sign(t, &x509.Certificate{Subject: cn(forged), IsCA: true, BasicConstraintsValid: true}, key.Public(), nil)
		parents(s, rogue(t, ca.own(t, &x509.Certificate{Subject: cn(sandbox.MasterName)}, ca.certificate), func(net.Conn, *x509.Certificate) {}))
		return ""
	},
	"a server that is none of Icinga's": func(t *testing.T, s *sandbox.Sandbox, _ *machine) string {
		parents(s, rogue(t, func() tls.Certificate {
			a := newAuthority(t)
			return a.own(t, &x509.Certificate{Subject: cn("x")}, nil)
		}(),
			func(conn net.Conn, _ *x509.Certificate) { _, _ = io.WriteString(conn, forged) }))
		return ""
	},
}

// saying makes a program that prints what is forged.
func (m *machine) saying(t *testing.T, code int) string {
	t.Helper()
	path := m.Path("told")
	must(t, os.WriteFile(path+".txt", []byte(forged+"\xff\x9b2J"), 0o644), os.WriteFile(path, []byte(fmt.Sprintf("#!/bin/sh\ncat %s.txt; exit %d\n", path, code)), 0o755))
	return path
}

// Words of others are words, wherever they come from: on the terminal, in the
// log of the service, as text and as JSON, and in the status.
func TestForgedLines(t *testing.T) {
	a := attack("others' words: log injection, orders to the terminal")
	for mouth, say := range mouths {
		a.try(t, "of "+mouth, func(t *testing.T) {
			s := servers(t, nil)
			m := newMachine(t, s)
			m.Env = append(m.Env, say(t, s, m))
			for _, args := range [][]string{{"once"}, {"status"}, {"check"}, {"agent", "plan"}, {"verify"}, {"once", "--json"}} {
				r := m.Run(t, args...)
				if args[len(args)-1] == "--json" {
					sound(t, []byte(r.Stdout))
					continue
				}
				plainText(t, r)
			}
			for _, format := range []string{"text", "json"} {
				m.logsSoundly(t, format)
			}
			text, err := os.ReadFile(m.Path("state", "status.json"))
			must(t, err)
			sound(t, text)
		})
	}
	for _, status := range []int{200, 400, 404, 500, 503} {
		a.try(t, fmt.Sprintf("of a Director, with status %d", status), func(t *testing.T) {
			s := servers(t, func(s *sandbox.Sandbox) {
				s.Director.Fault = func(w http.ResponseWriter, _ *http.Request) bool {
					w.WriteHeader(status)
					_ = json.NewEncoder(w).Encode(map[string]string{"error": forged})
					return true
				}
			})
			m := newMachine(t, s)
			plainText(t, m.refused(t, "once"))
			plainText(t, m.Run(t, "status"))
			m.logsSoundly(t, "json")
			m.logsSoundly(t, "text")
		})
	}
}

// sound fails if text is no JSON.
func sound(t *testing.T, text []byte) {
	t.Helper()
	if !json.Valid(text) || bytes.ContainsAny(text, "\x1b\x07\r") {
		t.Errorf("no sound JSON: %q", text)
	}
}

var logLine = regexp.MustCompile(`^\d{4}-\d\d-\d\dT[\d:.]+Z \[(DEBUG|INFO|WARN|ERROR)\] +icinga-enroll: `)

// logsSoundly runs the service until it has written its status anew, and fails if
// a line of its log is not of this program's making.
func (m *machine) logsSoundly(t *testing.T, format string) {
	t.Helper()
	status := m.Path("state", "status.json")
	must(t, os.RemoveAll(status))
	r := m.serve(t, func() bool { _, err := os.Stat(status); return err == nil }, "--log-format", format)
	if r.Stderr == "" {
		t.Error("nothing was logged")
	}
	for line := range strings.Lines(r.Stdout + r.Stderr) {
		line = strings.TrimSuffix(line, "\n")
		if strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) && r != '\t' }) {
			t.Errorf("%q orders a terminal", line)
		}
		var entry struct {
			Module string `json:"@module"`
		}
		isOurs := logLine.MatchString(line)
		if format == "json" {
			isOurs = json.Unmarshal([]byte(line), &entry) == nil && entry.Module == "icinga-enroll"
		}
		if !isOurs && !strings.HasPrefix(line, "icinga-enroll: ") && !strings.HasPrefix(line, "  ") {
			t.Errorf("a line of somebody else's: %q", line)
		}
	}
}
