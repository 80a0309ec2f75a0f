//go:build linux

package attacks

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"unicode"
	"unicode/utf8"

	"icinga-enroll/enroll/sandbox"
	"icinga-enroll/selfservice/selfservicetest"
	"icinga-enroll/testdata/campaign"
)

// names are what a Director may call a zone, an endpoint or an address that
// wants more than to be a name.
var names = map[string]string{
	"a way up":              "../../../outside/victim",
	"a way from the root":   "/etc/cron.d/evil",
	"a quote":               `x" { } object ApiUser "evil" { password = "evil`,
	"a quote, escaped":      `x\" { } object ApiUser \"evil`,
	"a backslash":           `x\`,
	"a closing brace":       "x\" }\n}\nobject ApiUser \"evil\" {",
	"a line":                "x\nobject ApiUser \"evil\" { }",
	"a carriage return":     "x\r+ certificate enrolled",
	"a comment":             "*/ object ApiUser \"evil\" { } /*",
	"an expression":         "{{{ system(\"touch evil\") }}}",
	"a macro":               "$(touch evil)`touch evil`$HOME$",
	"a template":            "{{.Name}}{{printf \"%s\" .}}",
	"a format":              "%s%n%!s(MISSING)%[1]*d",
	"NUL":                   "x\x00y",
	"a terminal's escape":   "\x1b]0;evil\x07\x1b[2J\x1b[31mred",
	"an escape of 8 bits":   "\u009b2Jx",
	"writing to the left":   "x\u202egpj.exe",
	"another line":          "x\u2028+ certificate enrolled\u0085y",
	"64 KiB":                strings.Repeat("a", 64<<10),
	"half a megabyte of <":  strings.Repeat("<", 512<<10),
	"what is no UTF-8":      "x\xff\xfe\x9b2J",
	"metrics":               "x\"} 1\nicinga_enroll_state{cn=\"evil",
	"JSON":                  `x","level":"error","@message":"evil`,
	"a flag":                "--config=/etc/passwd",
	"no name":               "",
	"the node's own folder": ".",
}

// fields are where one may stand in the answer to powershell-parameters.
var fields = map[string]func(answer map[string]any, name string){
	"parent_zone": func(a map[string]any, n string) { a["parent_zone"] = n },
	"ca_server":   func(a map[string]any, n string) { a["ca_server"] = n },
	"parent_endpoints": func(a map[string]any, n string) {
		a["parent_endpoints"] = []string{sandbox.MasterName, n}
		add(a, ";5665")
	},
	"endpoints_config": func(a map[string]any, n string) {
		a["parent_endpoints"] = []string{sandbox.MasterName, "other"}
		add(a, n+";5665")
	},
	"global_zones": func(a map[string]any, n string) { a["global_zones"] = []string{n, "z"} },
	"director_host_object": func(a map[string]any, n string) {
		a["director_host_object"] = map[string]string{"display_name": n, n: "x"}
	},
	"transform_hostname": func(a map[string]any, n string) { a["transform_hostname"] = n },
	"agent_listen_port":  func(a map[string]any, n string) { a["agent_listen_port"] = n },
}

func add(a map[string]any, address string) {
	a["endpoints_config"] = append(slices.Clone(a["endpoints_config"].([]string)), address)
}

// A Director that was taken over names things so that a path, a configuration, a
// line of output, the status or the metrics would have something else in it.
func TestNamesFromTheDirector(t *testing.T) {
	for field, put := range fields {
		a := attack("a Director names evil: " + field)
		for what, name := range names {
			a.try(t, field+", "+what, func(t *testing.T) {
				var good atomic.Bool
				s := servers(t, func(s *sandbox.Sandbox) {
					s.Director.Fault = func(w http.ResponseWriter, r *http.Request) bool {
						if good.Load() || !strings.HasSuffix(r.URL.Path, "powershell-parameters") {
							return false
						}
						answer := map[string]any{
							"fetch_agent_fqdn": true, "transform_hostname": "1", "parent_zone": "master", "ca_server": sandbox.MasterName,
							"parent_endpoints": []string{sandbox.MasterName}, "endpoints_config": []string{strings.Replace(s.Master.Addr(), ":", ";", 1)},
							"global_zones": []string{"director-global"}, "accept_config": true,
						}
						put(answer, name)
						writeRaw(w, answer, name)
						return true
					}
				})
				m := newMachine(t, s)
				m.fill(t)
				f := m.fenceIn(t)
				m.Env = append(m.Env, "ICINGA_ENROLL_METRICS_TEXTFILE="+m.Path("enroll.prom"))
				r := m.Run(t, "once")
				f.untouched(t, r)
				f.unknown(t)
				bounded(t, r)
				m.noTrace(t, r)
				if again := m.Run(t, "once", "--json"); !json.Valid([]byte(again.Stdout)) {
					t.Errorf("the next run: %s", again)
				}
				for _, args := range [][]string{{"status"}, {"check"}, {"agent", "plan"}, {"verify"}} {
					m.noTrace(t, m.Run(t, args...))
				}
				good.Store(true)
				if r := m.Run(t, "agent", "apply"); r.Code != 0 {
					t.Errorf("with a good Director again: %s", r)
				}
				m.enrolled(t)
			})
		}
	}
}

// writeRaw writes JSON, with bytes in it that are no UTF-8 where there are some.
func writeRaw(w http.ResponseWriter, answer map[string]any, name string) {
	w.Header().Set("Content-Type", "application/json")
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // as PHP does
	_ = encoder.Encode(answer)
	text := b.Bytes()
	if !utf8.ValidString(name) {
		text = bytes.ReplaceAll(text, []byte(`\ufffd`), []byte("\xff\x9b"))
	}
	_, _ = w.Write(text)
}

// noTrace fails if something evil has come of a name.
func (m *machine) noTrace(t *testing.T, r campaign.Result) {
	t.Helper()
	plainText(t, r)
	m.onlyOurs(t)
	for _, name := range []string{"zones.conf", "constants.conf", "features-available/api.conf"} {
		text, err := os.ReadFile(m.agentPath("etc", name))
		must(t, err)
		soundConfiguration(t, name, string(text))
	}
	for _, name := range []string{"state.json", "status.json"} {
		if text, err := os.ReadFile(m.Path("state", name)); err == nil && !json.Valid(text) {
			t.Errorf("%s is no JSON", name)
		}
	}
}

// plainText fails if what is printed does more than to be read, or has lines that
// this program has not begun.
func plainText(t *testing.T, r campaign.Result) {
	t.Helper()
	for _, r := range r.Stdout + r.Stderr {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
			t.Errorf("%U is printed", r)
			break
		}
	}
	for line := range strings.Lines(r.Stderr) {
		if !strings.HasPrefix(line, "icinga-enroll: ") && !strings.HasPrefix(line, "  ") {
			t.Errorf("a line of its own: %.200q", line)
		}
	}
	for line := range strings.Lines(r.Stdout) {
		if strings.HasPrefix(line, "+ certificate") && !strings.HasPrefix(line, "+ certificate enrolled, valid until ") {
			t.Errorf("a line is made up: %.200q", line)
		}
	}
}

// ours are the files that there may be.
var ours = regexp.MustCompile(`^(config\.yml|template-key|director-ca\.pem|enroll\.prom|keylog|told|` +
	`state(/(state\.json|status\.json|lock|daemon|running|request\.(key|crt|csr)|left\.json))?|outside(/.*)?|agent(/data|/data/certs|/data/certs/(CN\.(key|crt)|ca\.crt))?|` +
	`agent/etc(/conf\.d|/conf\.d/hosts\.conf|/features-(available|enabled)|/features-(available|enabled)/(api|checker|notification)\.conf(\.orig)?|/(icinga2|zones|constants)\.conf(\.orig)?)?)$`)

func (m *machine) onlyOurs(t *testing.T) {
	t.Helper()
	must(t, filepath.WalkDir(m.Dir, func(path string, _ fs.DirEntry, err error) error {
		name, errRel := filepath.Rel(m.Dir, path)
		if name = strings.ReplaceAll(name, m.Name, "CN"); name != "." && !ours.MatchString(name) {
			t.Errorf("there is a file %q", name)
		}
		return errors.Join(err, errRel)
	}))
}

// strings of Icinga's configuration language, and its comments.
var (
	quoted   = regexp.MustCompile(`"(?:[^"\\\n]|\\["\\nrtbf])*"`)
	comment  = regexp.MustCompile(`(?s)/\*.*?\*/|(?m)(?://|#).*$`)
	expected = regexp.MustCompile(`^\s*(object (Endpoint|Zone|ApiListener|ApiUser|CheckerComponent|NotificationComponent|Host) S? *\{|\}|object (Endpoint|Zone|Host) (NodeName|ZoneName) *\{ ?\}?` +
		`|(host|port|parent|bind_host|client_cn) = (S|NodeName)|endpoints = \[ [S, NodeName]* \]|global = true|permissions = \[ S, S \]|bind_port = \d+|accept_(config|commands) = (true|false)` +
		`|const \w+ = (S|NodeName)|ticket_salt = TicketSalt|)\s*$`)
)

// soundConfiguration fails if there is a line in it that is not of the templates:
// each string is one for Icinga, too.
func soundConfiguration(t *testing.T, file, text string) {
	t.Helper()
	text = quoted.ReplaceAllString(text, "S")
	text = comment.ReplaceAllString(text, "")
	for line := range strings.Lines(text) {
		if !expected.MatchString(strings.TrimRight(line, "\n")) {
			t.Errorf("%s: %.200q is none of ours", file, line)
		}
	}
}

// A Director gives this node the key of another host. With that it would get the
// other's ticket, which no CA takes for this name: it doesn't become the other.
func TestKeyOfAnotherHost(t *testing.T) {
	a := attack("a Director hands out another node's host key, or what is none")
	for what, key := range map[string]string{
		"another node's":   "OTHER",
		"the template's":   "TEMPLATE",
		"a way up":         "../../../etc/passwd",
		"too long":         strings.Repeat("a", 41),
		"in upper case":    strings.Repeat("A", 40),
		"with a line":      strings.Repeat("a", 39) + "\n",
		"with an escape":   "\x1b[2J" + strings.Repeat("a", 36),
		"none":             "",
		"of another kind":  "NUMBER",
		"a megabyte":       strings.Repeat("a", 1<<20),
		"with a parameter": strings.Repeat("a", 30) + "&name=evil",
	} {
		a.try(t, what, func(t *testing.T) {
			other := selfservicetest.Host{Name: "victim.example.com", Template: "Linux agent", Key: strings.Repeat("0b", 20)}

			s := servers(t, func(s *sandbox.Sandbox) {
				s.Director.SetHost(other)
				s.Director.Fault = func(w http.ResponseWriter, r *http.Request) bool {
					if !strings.HasSuffix(r.URL.Path, "register-host") {
						return false
					}
					w.Header().Set("Content-Type", "application/json")
					answer := any(strings.NewReplacer("OTHER", other.Key, "TEMPLATE", s.TemplateKey).Replace(key))
					if key == "NUMBER" {
						answer = map[string]string{"key": other.Key}
					}
					_ = json.NewEncoder(w).Encode(answer)
					return true
				}
			})
			m := newMachine(t, s)
			m.fill(t)
			f := m.fenceIn(t)
			r := m.refused(t, "once")
			f.untouched(t, r)
			f.unknown(t)
			m.noTrace(t, r)
			if found, _ := filepath.Glob(m.agentPath("data", "certs", "*")); len(found) > 0 {
				t.Errorf("there are certificates: %q", found)
			}
			noSecret(t, "what is printed", []byte(r.String()), map[string]string{"other's key": other.Key, "other's ticket": s.CA.Ticket(other.Name), "ticket": s.CA.Ticket(m.Name)})
			if host, _ := s.Director.Host(other.Name); host.Key != other.Key || host.DisplayName != "" {
				t.Errorf("the other host was changed: %+v", host)
			}
		})
	}
}
