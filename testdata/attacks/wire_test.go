//go:build linux

package attacks

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"icinga-enroll/enroll/sandbox"
	"icinga-enroll/pki/pkitest"
	"icinga-enroll/selfservice/selfservicetest"
	"icinga-enroll/testdata/campaign"
)

// tap passes on all that comes, and keeps it: a switch that is listened to, or,
// asked by CONNECT, a proxy.
type tap struct {
	listener net.Listener
	to       string // "": a proxy, it is asked where to
	asked    int    // how often

	mu   sync.Mutex
	seen bytes.Buffer
}

func newTap(t *testing.T, to string) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	tap := &tap{listener: l, to: to}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go tap.serve(conn)
		}
	}()
	return tap
}

func (p *tap) addr() string { return p.listener.Addr().String() }

func (p *tap) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen.Write(b)
}

func (p *tap) serve(client net.Conn) {
	defer client.Close()
	r := bufio.NewReader(io.TeeReader(client, p))
	to := p.to
	if to == "" {
		request, err := http.ReadRequest(r)
		if err != nil || request.Method != http.MethodConnect {
			return
		}
		to = request.Host
		_, _ = io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
	}
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer server.Close()
	p.mu.Lock()
	p.asked++
	p.mu.Unlock()
	go func() { _, _ = io.Copy(io.MultiWriter(client, p), server); _ = client.Close() }()
	_, _ = io.Copy(server, r)
}

// saw returns what has passed, and how many connections there were.
func (p *tap) saw() ([]byte, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Clone(p.seen.Bytes()), p.asked
}

// parents has the Director name these addresses as the master's.
func parents(s *sandbox.Sandbox, addresses ...string) {
	template := selfservicetest.Template{Name: "Linux agent", Key: s.TemplateKey, Zone: "master", AcceptConfig: true}
	for _, address := range addresses {
		host, port, _ := net.SplitHostPort(address)
		template.Parents = append(template.Parents, selfservicetest.Parent{Name: sandbox.MasterName, Host: host, Port: port})
	}
	s.Director.SetTemplate(template)
}

// secretsOf are those that the machine has, or had: each in every form in which
// one may be written.
func (m *machine) secretsOf(t *testing.T, s *sandbox.Sandbox) map[string]string {
	t.Helper()
	host, _ := s.Director.Host(m.Name)
	all := map[string]string{"template key": s.TemplateKey, "host key": host.Key, "ticket": s.CA.Ticket(m.Name), "password": password}
	if text, err := os.ReadFile(m.certs("CN.key")); err == nil {
		block, _ := pem.Decode(text)
		all["private key"] = string(block.Bytes[:40])
		all["private key in PEM"] = base64.StdEncoding.EncodeToString(block.Bytes)[:60]
	}
	for name, secret := range all {
		if secret != "" {
			all[name+" in base64"] = strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(secret)), "=")
		}
	}
	return all
}

// password is that of the Icinga Web user and of the ApiUser.
const password = "a-password-of-the-tests"

// noSecret fails if one of them is in data.
func noSecret(t *testing.T, where string, data []byte, secrets map[string]string) {
	t.Helper()
	for name, secret := range secrets {
		if secret != "" && bytes.Contains(data, []byte(secret)) {
			t.Errorf("%s: the %s is there to read", where, name)
		}
	}
}

// ways to a certificate, all with secrets on the wire.
var ways = map[string]struct {
	env  []string
	runs [][]string
}{
	"self-service":            {nil, [][]string{{"once"}, {"renew", "--rekey"}, {"agent", "apply"}, {"verify"}}},
	"an Icinga Web user":      {[]string{"ICINGA_ENROLL_DIRECTOR_USER=web", "ICINGA_ENROLL_DIRECTOR_PASSWORD=" + password, "ICINGA_ENROLL_CA_TICKET=director", "ICINGA_ENROLL_DIRECTOR_DEPLOY=true"}, [][]string{{"once"}, {"renew", "--rekey"}, {"leave", "--yes"}}},
	"an ApiUser's password":   {[]string{"ICINGA_ENROLL_API_USER=api", "ICINGA_ENROLL_API_PASSWORD=" + password, "ICINGA_ENROLL_CA_TICKET=icinga-api"}, [][]string{{"once"}, {"renew", "--rekey"}}},
	"a renewal without a key": {nil, [][]string{{"once"}, {"renew"}}},
}

// Who listens between the node and its servers sees no secret.
func TestListeners(t *testing.T) {
	a := attack("someone listens on all wires, and the proxy, too")
	for name, way := range ways {
		for version, most := range map[string]uint16{"TLS 1.3": tls.VersionTLS13, "TLS 1.2": tls.VersionTLS12} {
			a.try(t, name+", "+version, func(t *testing.T) {
				s := servers(t, nil, func(m *pkitest.Server) { m.MaxVersion = most })
				s.Director.SetUser(selfservicetest.User{Name: "web", Password: password})
				s.Master.AddAPIUser(pkitest.APIUser{Name: "api", Password: password, Permissions: []string{"actions/generate-ticket"}})
				master, proxy := newTap(t, s.Master.Addr()), newTap(t, "")
				parents(s, master.addr())
				m := newMachine(t, s)
				m.Env = append(append(m.Env, "ICINGA_ENROLL_DIRECTOR_PROXY=http://"+proxy.addr()), way.env...)
				secrets := map[string]string{}
				for _, args := range way.runs {
					if r := m.Run(t, args...); r.Code != 0 && args[0] != "verify" && args[0] != "renew" {
						t.Errorf("%v: %s", args, r)
					}
					for name, secret := range m.secretsOf(t, s) {
						secrets[name+" after "+args[0]] = secret
					}
				}
				for where, p := range map[string]*tap{"the master's wire": master, "the Director's proxy": proxy} {
					seen, connections := p.saw()
					if connections == 0 || len(seen) < 1000 {
						t.Errorf("%s: %d bytes in %d connections aren't all", where, len(seen), connections)
					}
					noSecret(t, where, seen, secrets)
				}
			})
		}
	}
}

// impostors are certificates that somebody has who is not the master.
var impostors = map[string]func(t *testing.T, ours *pkitest.CA) tls.Certificate{
	"another CA, the master's name": func(t *testing.T, _ *pkitest.CA) tls.Certificate {
		return identity(t, newCA(t), sandbox.MasterName, -day, day)
	},
	"our CA, another node's name": func(t *testing.T, ours *pkitest.CA) tls.Certificate {
		return identity(t, ours, "web2.example.com", -day, day)
	},
	"our CA, the name in other letters": func(t *testing.T, ours *pkitest.CA) tls.Certificate {
		return identity(t, ours, strings.ToUpper(sandbox.MasterName), -day, day)
	},
	"our CA, the name and more": func(t *testing.T, ours *pkitest.CA) tls.Certificate {
		return identity(t, ours, sandbox.MasterName+".example.com", -day, day)
	},
	"our CA, the name behind a blank": func(t *testing.T, ours *pkitest.CA) tls.Certificate {
		return identity(t, ours, " "+sandbox.MasterName, -day, day)
	},
	"our CA, expired": func(t *testing.T, ours *pkitest.CA) tls.Certificate {
		return identity(t, ours, sandbox.MasterName, -2*day, -day)
	},
	"our CA, not valid yet": func(t *testing.T, ours *pkitest.CA) tls.Certificate {
		return identity(t, ours, sandbox.MasterName, day, 2*day)
	},
	"signed by itself": func(t *testing.T, _ *pkitest.CA) tls.Certificate {
		return newAuthority(t).own(t, &x509.Certificate{Subject: cn(sandbox.MasterName)}, nil)
	},
	"signed by a node, behind it our CA": func(t *testing.T, ours *pkitest.CA) tls.Certificate {
		node := identity(t, ours, "web2.example.com", -day, day)
		made := (&authority{node.PrivateKey, node.Leaf}).own(t, &x509.Certificate{Subject: cn(sandbox.MasterName)}, node.Leaf)
		made.Certificate = append(made.Certificate, ours.Certificate().Raw)
		return made
	},
	"another CA of the same name, behind it our CA": func(t *testing.T, ours *pkitest.CA) tls.Certificate {
		made := identity(t, newCA(t), sandbox.MasterName, -day, day)
		made.Certificate = append(made.Certificate, ours.Certificate().Raw)
		return made
	},
	"another's, behind it the master's true one": func(t *testing.T, ours *pkitest.CA) tls.Certificate {
		made := identity(t, newCA(t), sandbox.MasterName, -day, day)
		made.Certificate = append(made.Certificate, identity(t, ours, sandbox.MasterName, -day, day).Certificate...)
		return made
	},
}

// A man in the middle poses as the master. He gets no request: neither a ticket
// nor a password, a key or a certificate of the node.
func TestManInTheMiddle(t *testing.T) {
	a := attack("a man in the middle poses as the master")
	for name, certificate := range impostors {
		for source, env := range map[string][]string{
			"self-service":            nil,
			"an ApiUser's password":   {"ICINGA_ENROLL_API_USER=api", "ICINGA_ENROLL_API_PASSWORD=" + password, "ICINGA_ENROLL_CA_TICKET=icinga-api"},
			"a static ticket":         {"ICINGA_ENROLL_CA_STATIC_TICKET=" + strings.Repeat("5a", 20), "ICINGA_ENROLL_CA_TICKET=static"},
			"approval":                {"ICINGA_ENROLL_CA_TICKET=none"},
			"an endpoint that is set": {"endpoint"},
		} {
			a.try(t, name+", with "+source, func(t *testing.T) {
				s := servers(t, nil)
				man, err := pkitest.NewServer(s.CA, "man", func(m *pkitest.Server) { m.Certificate = certificate(t, s.CA) })
				must(t, err)
				man.AddAPIUser(pkitest.APIUser{Name: "api", Password: password, Permissions: []string{"*"}})
				parents(s, man.Addr())
				m := newMachine(t, s)
				m.Env = append(m.Env, env...)
				if source == "an endpoint that is set" {
					m.Env[len(m.Env)-1] = "ICINGA_ENROLL_CA_ENDPOINTS=" + sandbox.MasterName + "@" + man.Addr()
				}
				m.refused(t, "once")
				man.Close()
				if got := man.Received(); len(got) > 0 {
					t.Errorf("the man in the middle got %d bytes: %q", len(got), got)
				}
				if _, err := os.Stat(m.certs("CN.crt")); err == nil {
					t.Error("there is a certificate")
				}
			})
		}
		a.try(t, name+", when the key is replaced", func(t *testing.T) {
			s := servers(t, nil)
			m := newMachine(t, s)
			m.enrol(t)
			before, err := os.ReadFile(m.certs("CN.key"))
			must(t, err)
			man, err := pkitest.NewServer(s.CA, "man", func(m *pkitest.Server) { m.Certificate = certificate(t, s.CA) })
			must(t, err)
			m.Env = append(m.Env, "ICINGA_ENROLL_CA_ENDPOINTS="+sandbox.MasterName+"@"+man.Addr())
			r := m.Run(t, "renew", "--rekey")
			m.Run(t, "verify")
			man.Close()
			after, err := os.ReadFile(m.certs("CN.key"))
			must(t, err)
			if got := man.Received(); len(got) > 0 || !bytes.Equal(before, after) || r.Code == 0 {
				t.Errorf("the man in the middle got %q, or the pair was replaced: %s", got, r)
			}
			m.enrolled(t)
		})
	}
}

// refused runs the program, which must fail and say no secret.
func (m *machine) refused(t *testing.T, args ...string) campaign.Result {
	t.Helper()
	r := m.Run(t, args...)
	if r.Code != 1 && r.Code != 75 {
		t.Errorf("not refused: %s", r)
	}
	return r
}

// Somebody else answers as the Director. He gets no request, and so no key.
func TestManBeforeTheDirector(t *testing.T) {
	a := attack("somebody else answers for the Director")
	for name, stand := range map[string]func(t *testing.T, s *sandbox.Sandbox, m *machine) (got func() int){
		"with a certificate of another CA": func(t *testing.T, _ *sandbox.Sandbox, m *machine) func() int {
			return m.directedTo(t, nil, "https")
		},
		"with a certificate of the Icinga CA": func(t *testing.T, s *sandbox.Sandbox, m *machine) func() int {
			certificate := identity(t, s.CA, "127.0.0.1", -day, day)
			return m.directedTo(t, &certificate, "https")
		},
		"with a certificate for another name": func(t *testing.T, _ *sandbox.Sandbox, m *machine) func() int {
			return m.trusting(t, &x509.Certificate{Subject: cn("other"), DNSNames: []string{"other.example.com"}})
		},
		"with one that has expired": func(t *testing.T, _ *sandbox.Sandbox, m *machine) func() int {
			return m.trusting(t, &x509.Certificate{Subject: cn("old"), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: now().Add(-day)})
		},
		"without TLS": func(t *testing.T, _ *sandbox.Sandbox, m *machine) func() int {
			return m.directedTo(t, nil, "http")
		},
		"as the proxy, with TLS of its own": func(t *testing.T, s *sandbox.Sandbox, m *machine) func() int {
			got := m.directedTo(t, nil, "https")
			man := strings.TrimPrefix(m.value("ICINGA_ENROLL_DIRECTOR_URL"), "https://")
			diverted := newDiversion(t, man)
			m.Env = append(m.Env, "ICINGA_ENROLL_DIRECTOR_URL="+s.Director.URL(), "ICINGA_ENROLL_DIRECTOR_PROXY=http://"+diverted)
			return got
		},
	} {
		a.try(t, name, func(t *testing.T) {
			s := servers(t, nil)
			m := newMachine(t, s)
			got := stand(t, s, m)
			m.refused(t, "once")
			if got() > 0 {
				t.Errorf("he got %d requests", got())
			}
			if r := m.Run(t, "once", "--dry-run"); got() > 0 {
				t.Errorf("he got %d requests: %s", got(), r)
			}
		})
	}
	for _, status := range []int{301, 302, 303, 307, 308} {
		a.try(t, "he redirects with "+http.StatusText(status), func(t *testing.T) {
			var got, redirected int
			other := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { got++ })}
			l, err := net.Listen("tcp", "127.0.0.1:0")
			must(t, err)
			go func() { _ = other.Serve(l) }()
			t.Cleanup(func() { _ = other.Close() })
			s := servers(t, func(s *sandbox.Sandbox) {
				s.Director.Fault = func(w http.ResponseWriter, r *http.Request) bool {
					redirected++
					http.Redirect(w, r, "http://"+l.Addr().String()+r.URL.RequestURI(), status)
					return true
				}
			})
			m := newMachine(t, s)
			r := m.refused(t, "once")
			if got > 0 || redirected == 0 {
				t.Errorf("%d redirected, and %d requests were sent on: %s", redirected, got, r)
			}
			noSecret(t, "what is printed", []byte(r.String()), m.secretsOf(t, s))
		})
	}
}

// newDiversion is a proxy that connects to another place than it is asked for.
func newDiversion(t *testing.T, to string) string {
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
				r := bufio.NewReader(conn)
				if _, err := http.ReadRequest(r); err != nil {
					return
				}
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
				server, err := net.Dial("tcp", to)
				if err != nil {
					return
				}
				defer server.Close()
				go func() { _, _ = io.Copy(conn, server) }()
				_, _ = io.Copy(server, r)
			}()
		}
	}()
	return l.Addr().String()
}

// directedTo has the Director's address lead to another server, which counts the
// requests that it gets.
func (m *machine) directedTo(t *testing.T, certificate *tls.Certificate, scheme string) (got func() int) {
	t.Helper()
	var mu sync.Mutex
	requests := 0
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		requests++
		_, _ = io.WriteString(w, `"`+strings.Repeat("ab", 20)+`"`)
	}), ErrorLog: quiet}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	if scheme == "https" {
		if certificate == nil {
			own := newAuthority(t).own(t, &x509.Certificate{Subject: cn("127.0.0.1"), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}, nil)
			certificate = &own
		}
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS12})
	}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	m.Env = append(m.Env, "ICINGA_ENROLL_DIRECTOR_URL=https://"+l.Addr().String())
	return func() int { mu.Lock(); defer mu.Unlock(); return requests }
}

// trusting has the machine trust the CA of who answers for the Director.
func (m *machine) trusting(t *testing.T, template *x509.Certificate) (got func() int) {
	t.Helper()
	ca := newAuthority(t)
	certificate := ca.own(t, template, ca.certificate)
	must(t, os.WriteFile(m.Path("director-ca.pem"), pemOf(ca.certificate.Raw), 0o600))
	return m.directedTo(t, &certificate, "https")
}

// value is a variable's that the program gets.
func (m *machine) value(name string) (value string) {
	for _, entry := range m.Env {
		if after, is := strings.CutPrefix(entry, name+"="); is {
			value = after
		}
	}
	return value
}
