//go:build linux

package attacks

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"icinga-enroll/enroll/sandbox"
	"icinga-enroll/testdata/campaign"
)

// refused runs the program, which must fail and say no secret.
func (m *machine) refused(t *testing.T, args ...string) campaign.Result {
	t.Helper()
	r := m.Run(t, args...)
	if r.Code != 1 && r.Code != 75 {
		t.Errorf("not refused: %s", r)
	}
	return r
}

// standIns are who answers for the Director; got is how many requests he has got.
var standIns = map[string]func(t *testing.T, s *sandbox.Sandbox, m *machine) (got func() int32){
	"with a certificate of another CA": func(t *testing.T, _ *sandbox.Sandbox, m *machine) func() int32 {
		return m.directedTo(t, nil, "https")
	},
	"with a certificate of the Icinga CA": func(t *testing.T, s *sandbox.Sandbox, m *machine) func() int32 {
		certificate := identity(t, s.CA, "127.0.0.1", -day, day)
		return m.directedTo(t, &certificate, "https")
	},
	"with a certificate for another name": func(t *testing.T, _ *sandbox.Sandbox, m *machine) func() int32 {
		return m.trusting(t, &x509.Certificate{Subject: cn("other"), DNSNames: []string{"other.example.com"}})
	},
	"with one that has expired": func(t *testing.T, _ *sandbox.Sandbox, m *machine) func() int32 {
		return m.trusting(t, &x509.Certificate{Subject: cn("old"), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: now().Add(-day)})
	},
	"without TLS": func(t *testing.T, _ *sandbox.Sandbox, m *machine) func() int32 {
		return m.directedTo(t, nil, "http")
	},
	"as the proxy, with TLS of its own": func(t *testing.T, s *sandbox.Sandbox, m *machine) func() int32 {
		got := m.directedTo(t, nil, "https")
		man := strings.TrimPrefix(m.value("ICINGA_ENROLL_DIRECTOR_URL"), "https://")
		diverted := newDiversion(t, man)
		m.Env = append(m.Env, "ICINGA_ENROLL_DIRECTOR_URL="+s.Director.URL(), "ICINGA_ENROLL_DIRECTOR_PROXY=http://"+diverted)
		return got
	},
}

// Somebody else answers as the Director. He gets no request, and so no key.
func TestManBeforeTheDirector(t *testing.T) {
	a := attack("somebody else answers for the Director")
	for name, stand := range standIns {
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
			var got, redirected atomic.Int32
			other := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { got.Add(1) })}
			l, err := net.Listen("tcp", "127.0.0.1:0")
			must(t, err)
			go func() { _ = other.Serve(l) }()
			t.Cleanup(func() { _ = other.Close() })
			s := servers(t, func(s *sandbox.Sandbox) {
				s.Director.Fault = func(w http.ResponseWriter, r *http.Request) bool {
					redirected.Add(1)
					http.Redirect(w, r, "http://"+l.Addr().String()+r.URL.RequestURI(), status)
					return true
				}
			})
			m := newMachine(t, s)
			r := m.refused(t, "once")
			if got.Load() > 0 || redirected.Load() == 0 {
				t.Errorf("%d redirected, and %d requests were sent on: %s", redirected.Load(), got.Load(), r)
			}
			noSecret(t, "what is printed", []byte(r.String()), m.secretsOf(t, s))
		})
	}
}

// newDiversion is a proxy that connects to another place than it is asked for.
func newDiversion(t *testing.T, to string) string {
	t.Helper()
	return listen(t, func(conn net.Conn) {
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
	})
}

// directedTo has the Director's address lead to another server, which counts the
// requests that it gets.
func (m *machine) directedTo(t *testing.T, certificate *tls.Certificate, scheme string) (got func() int32) {
	t.Helper()
	var requests atomic.Int32
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
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
	return requests.Load
}

// trusting has the machine trust the CA of who answers for the Director.
func (m *machine) trusting(t *testing.T, template *x509.Certificate) (got func() int32) {
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
