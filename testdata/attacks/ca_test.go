//go:build linux

package attacks

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"icinga-enroll/enroll/sandbox"
	"icinga-enroll/pki"
)

// answers are what a CA, or who has taken over a master of it, may send instead
// of this node's certificate. cert is the one that would be right.
var answers = map[string]func(t *testing.T, ca *authority, asked *x509.Certificate) (cert, chain []byte){
	"for another name": func(t *testing.T, ca *authority, asked *x509.Certificate) ([]byte, []byte) {
		return ca.issue(t, asked, &x509.Certificate{Subject: cn("web2.example.com")})
	},
	"for the master's name": func(t *testing.T, ca *authority, asked *x509.Certificate) ([]byte, []byte) {
		return ca.issue(t, asked, &x509.Certificate{Subject: cn(sandbox.MasterName)})
	},
	"for two names": func(t *testing.T, ca *authority, asked *x509.Certificate) ([]byte, []byte) {
		both := pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{
			{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: sandbox.MasterName}, {Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: asked.Subject.CommonName},
		}}
		return ca.issue(t, asked, &x509.Certificate{Subject: both})
	},
	"for no name": func(t *testing.T, ca *authority, asked *x509.Certificate) ([]byte, []byte) {
		return ca.issue(t, asked, &x509.Certificate{DNSNames: []string{asked.Subject.CommonName}})
	},
	"for another key": func(t *testing.T, ca *authority, asked *x509.Certificate) ([]byte, []byte) {
		made := ca.sign(t, &x509.Certificate{Subject: asked.Subject}, newKey(t).Public(), ca.certificate)
		return pemOf(made.Raw), pemOf(ca.certificate.Raw)
	},
	"that is a CA": func(t *testing.T, ca *authority, asked *x509.Certificate) ([]byte, []byte) {
		return ca.issue(t, asked, &x509.Certificate{Subject: asked.Subject, IsCA: true, BasicConstraintsValid: true})
	},
	"that has expired": func(t *testing.T, ca *authority, asked *x509.Certificate) ([]byte, []byte) {
		return ca.issue(t, asked, &x509.Certificate{Subject: asked.Subject, NotAfter: now().Add(-day)})
	},
	"that is not valid yet": func(t *testing.T, ca *authority, asked *x509.Certificate) ([]byte, []byte) {
		return ca.issue(t, asked, &x509.Certificate{Subject: asked.Subject, NotBefore: now().Add(day)})
	},
	"of another CA": func(t *testing.T, _ *authority, asked *x509.Certificate) ([]byte, []byte) {
		return newAuthority(t).issue(t, asked, &x509.Certificate{Subject: asked.Subject})
	},
	"of another CA, with the pinned one behind it": func(t *testing.T, ca *authority, asked *x509.Certificate) ([]byte, []byte) {
		cert, other := newAuthority(t).issue(t, asked, &x509.Certificate{Subject: asked.Subject})
		return cert, append(pemOf(ca.certificate.Raw), other...)
	},
	"of a node of the same CA": func(t *testing.T, ca *authority, asked *x509.Certificate) ([]byte, []byte) {
		node := ca.own(t, &x509.Certificate{Subject: cn("web2.example.com")}, ca.certificate)
		made := (&authority{node.PrivateKey, node.Leaf}).sign(t, &x509.Certificate{Subject: asked.Subject}, asked.PublicKey, node.Leaf)
		return pemOf(made.Raw), pemOf(node.Leaf.Raw, ca.certificate.Raw)
	},
	"that it was shown": func(_ *testing.T, ca *authority, asked *x509.Certificate) ([]byte, []byte) {
		return pemOf(asked.Raw), pemOf(ca.certificate.Raw)
	},
	"that is the CA's": func(_ *testing.T, ca *authority, _ *x509.Certificate) ([]byte, []byte) {
		return pemOf(ca.certificate.Raw), pemOf(ca.certificate.Raw)
	},
	"that is no certificate": func(_ *testing.T, ca *authority, _ *x509.Certificate) ([]byte, []byte) {
		return []byte("-----BEGIN CERTIFICATE-----\n" + strings.Repeat("A", 1000) + "\n-----END CERTIFICATE-----\n"), pemOf(ca.certificate.Raw)
	},
	"cut off": func(t *testing.T, ca *authority, asked *x509.Certificate) ([]byte, []byte) {
		cert, chain := ca.issue(t, asked, &x509.Certificate{Subject: asked.Subject})
		return cert[:len(cert)/2], chain
	},
	"with a changed byte": func(t *testing.T, ca *authority, asked *x509.Certificate) ([]byte, []byte) {
		made := ca.sign(t, &x509.Certificate{Subject: asked.Subject}, asked.PublicKey, ca.certificate)
		raw := bytes.Clone(made.Raw)
		raw[len(raw)-3] ^= 1
		return pemOf(raw), pemOf(ca.certificate.Raw)
	},
	"for another kind of name": func(t *testing.T, ca *authority, asked *x509.Certificate) ([]byte, []byte) {
		return ca.issue(t, asked, &x509.Certificate{Subject: cn(strings.ToUpper(asked.Subject.CommonName)), DNSNames: []string{asked.Subject.CommonName}})
	},
}

// issue is what the CA sends of a template for the key that has asked.
func (a *authority) issue(t testing.TB, asked, template *x509.Certificate) (cert, chain []byte) {
	t.Helper()
	return pemOf(a.sign(t, template, asked.PublicKey, a.certificate).Raw), pemOf(a.certificate.Raw)
}

// The CA answers with something else than this node's certificate: what is in
// force stays, to the byte.
func TestAnswersOfTheCA(t *testing.T) {
	a := attack("the CA, or a parent, sends another certificate")
	for name, answer := range answers {
		for _, verb := range [][]string{{"once"}, {"renew", "--rekey"}, {"renew"}} {
			a.try(t, name+", "+strings.Join(verb, " "), func(t *testing.T) {
				ca := newAuthority(t)
				m, evil := takenOver(t, ca, func(conn net.Conn, asked *x509.Certificate) {
					_, _ = io.WriteString(conn, issued(answer(t, ca, asked)))
				})
				if verb[0] == "renew" {
					m.enrol(t)
				}
				before := m.inPlace()
				evil(true)
				r := m.Run(t, verb...)
				if r.Code == 0 || !strings.Contains(r.Stderr+r.Stdout, "sent isn't used") && !strings.Contains(r.Stderr, "can't be read") && !strings.Contains(r.Stderr, "no PEM") {
					t.Errorf("not refused: %s", r)
				}
				if after := m.inPlace(); before != after {
					t.Errorf("the pair was changed: %s", r)
				}
				plainText(t, r)
				evil(false)
				m.enrol(t)
			})
		}
	}
	for _, what := range []string{"another CA", "a node of the same CA", "another CA of the same name and key identifier"} {
		a.try(t, "the right one, and beside its CA "+what, func(t *testing.T) {
			ca, other := newAuthority(t), newAuthority(t)
			extra := other.certificate
			if what == "a node of the same CA" {
				extra = ca.own(t, &x509.Certificate{Subject: cn("web2.example.com")}, ca.certificate).Leaf
			}
			m, evil := takenOver(t, ca, func(conn net.Conn, asked *x509.Certificate) {
				cert, chain := ca.issue(t, asked, &x509.Certificate{Subject: asked.Subject})
				_, _ = io.WriteString(conn, issued(cert, append(chain, pemOf(extra.Raw)...)))
			})
			evil(true)
			m.enrol(t)
			text, err := os.ReadFile(m.certs("ca.crt"))
			must(t, err)
			state, err := os.ReadFile(m.Path("state", "state.json"))
			must(t, err)
			if mark := strings.Split(string(pemOf(extra.Raw)), "\n")[3]; strings.Contains(string(text), mark) || strings.Contains(string(state), mark) {
				t.Error("it is believed from now on")
			}
		})
	}
}

// inPlace is all that the agent reads.
func (m *machine) inPlace() string {
	var all []string
	for _, name := range []string{"CN.key", "CN.crt", "ca.crt"} {
		text, _ := os.ReadFile(m.certs(name))
		all = append(all, string(text))
	}
	return strings.Join(all, "--\n")
}

// takenOver is a machine whose master is good until it is said to be evil.
func takenOver(t *testing.T, ca *authority, answer func(net.Conn, *x509.Certificate)) (m *machine, evil func(bool)) {
	t.Helper()
	s := servers(t, nil)
	is := make(chan bool, 1)
	is <- false
	master := ca.own(t, &x509.Certificate{Subject: cn(sandbox.MasterName)}, ca.certificate)
	parents(s, rogue(t, master, func(conn net.Conn, asked *x509.Certificate) {
		now := <-is
		is <- now
		if now {
			answer(conn, asked)
			return
		}
		_, _ = io.WriteString(conn, issued(ca.issue(t, asked, &x509.Certificate{Subject: asked.Subject})))
	}))
	m = newMachine(t, s)
	m.Env = append(m.Env, "ICINGA_ENROLL_CA_FINGERPRINT="+pki.PublicKeyPin(ca.certificate).String())
	return m, func(now bool) { <-is; is <- now }
}
