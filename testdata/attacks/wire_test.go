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
)

// tap passes on all that comes, and keeps it: a switch that is listened to, or,
// asked by CONNECT, a proxy.
type tap struct {
	addr  string
	to    string // "": a proxy, it is asked where to
	asked int    // how often

	mu   sync.Mutex
	seen bytes.Buffer
}

func newTap(t *testing.T, to string) *tap {
	t.Helper()
	tap := &tap{to: to}
	tap.addr = listen(t, tap.serve)
	return tap
}

func (p *tap) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen.Write(b)
}

func (p *tap) serve(client net.Conn) {
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
				parents(s, master.addr)
				m := newMachine(t, s)
				m.Env = append(append(m.Env, "ICINGA_ENROLL_DIRECTOR_PROXY=http://"+proxy.addr), way.env...)
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
