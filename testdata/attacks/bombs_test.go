//go:build linux

package attacks

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"icinga-enroll/enroll/sandbox"
	"icinga-enroll/pki"
)

// flood writes without an end, until nobody reads any more.
func flood(w io.Writer, text string) {
	block := strings.Repeat(text, max(1, 32<<10/len(text)))
	for {
		if _, err := io.WriteString(w, block); err != nil {
			return
		}
	}
}

// bodies are what a Director may send too much of.
var bodies = map[string]func(w http.ResponseWriter){
	"a gigabyte in gzip": func(w http.ResponseWriter) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb())
	},
	"a body without an end":  func(w http.ResponseWriter) { flood(w, `{"a":"b"} `) },
	"one long string":        func(w http.ResponseWriter) { _, _ = io.WriteString(w, `"`); flood(w, "x") },
	"folded a million times": func(w http.ResponseWriter) { _, _ = io.WriteString(w, strings.Repeat("[", 1<<20)) },
	"folded and closed":      func(w http.ResponseWriter) { _, _ = io.WriteString(w, nested(9000)) },
	"objects in objects":     func(w http.ResponseWriter) { _, _ = io.WriteString(w, strings.Repeat(`{"error":`, 100_000)) },
	"a million names": func(w http.ResponseWriter) {
		_, _ = io.WriteString(w, `{"global_zones":["z"`+strings.Repeat(`,"z"`, 250_000)+`]}`)
	},
	"9,000 parents": func(w http.ResponseWriter) {
		_, _ = io.WriteString(w, `{"parent_zone":"z","ca_server":"p","parent_endpoints":["p"`+strings.Repeat(`,"p"`, 9000)+`],"endpoints_config":["127.0.0.1;1"`+strings.Repeat(`,"127.0.0.1;1"`, 9000)+`]}`)
	},
	"an address of 900,000 letters": func(w http.ResponseWriter) {
		_, _ = io.WriteString(w, `{"parent_zone":"z","ca_server":"p","parent_endpoints":["p"],"endpoints_config":["`+strings.Repeat("h", 900_000)+`;5665"]}`)
	},
	"the same name each": func(w http.ResponseWriter) {
		_, _ = io.WriteString(w, `{"a":1`+strings.Repeat(`,"parent_zone":"x"`, 50_000)+`}`)
	},
	"a header without an end": func(w http.ResponseWriter) { w.Header().Set("X-Long", strings.Repeat("x", 16<<20)); w.WriteHeader(200) },
	"headers without number":  headers,
	"preliminary answers":     preliminary,
	"chunks with extensions":  chunked,
	"a length that is a lie":  func(w http.ResponseWriter) { w.Header().Set("Content-Length", "9223372036854775807"); flood(w, "x") },
	"an error of a megabyte": func(w http.ResponseWriter) {
		w.WriteHeader(400)
		_, _ = io.WriteString(w, `{"error":"`+strings.Repeat("x", 1<<20-20)+`"}`)
	},
	"a page without an end": func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(500)
		flood(w, "<p>")
	},
	"numbers of a megabyte": func(w http.ResponseWriter) {
		_, _ = io.WriteString(w, `{"agent_listen_port":`+strings.Repeat("9", 1<<20-100)+`}`)
	},
	"an hour to come back in": func(w http.ResponseWriter) {
		w.Header().Set("Retry-After", strings.Repeat("9", 1000))
		w.WriteHeader(503)
	},
	"trailers without an end": func(w http.ResponseWriter) {
		w.Header().Set("Trailer", "X")
		_, _ = io.WriteString(w, `"x"`)
		w.Header().Set("X", strings.Repeat("x", 8<<20))
	},
	"what is no HTTP any more": hijacked(func(w io.Writer) { flood(w, "\x00\xff") }),
}

func nested(deep int) string { return strings.Repeat("[", deep) + strings.Repeat("]", deep) }

// bomb is a gigabyte of blanks.
var bomb = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	for block := bytes.Repeat([]byte(" "), 1<<20); b.Len() < 4<<20; {
		_, _ = w.Write(block)
	}
	_ = w.Close()
	return b.Bytes()
})

// hijacked answers on the connection itself.
func hijacked(answer func(w io.Writer)) func(w http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		answer(conn)
	}
}

func headers(w http.ResponseWriter) {
	hijacked(func(w io.Writer) { _, _ = io.WriteString(w, "HTTP/1.1 200 OK\r\n"); flood(w, "X-More: yes\r\n") })(w)
}

func preliminary(w http.ResponseWriter) {
	hijacked(func(w io.Writer) { flood(w, "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n") })(w)
}

func chunked(w http.ResponseWriter) {
	hijacked(func(w io.Writer) {
		_, _ = io.WriteString(w, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		flood(w, "1;"+strings.Repeat("x", 1000)+"\r\n \r\n")
	})(w)
}

// A Director sends more than there is room for. The program takes what it needs
// and no more, of memory and of time, and goes on once the Director is good again.
func TestTooMuchFromTheDirector(t *testing.T) {
	a := attack("a Director sends bombs: compressed, folded, endless")
	for name, body := range bodies {
		for _, call := range []string{"powershell-parameters", "register-host", "ticket"} {
			a.try(t, name+" for "+call, func(t *testing.T) {
				s := servers(t, func(s *sandbox.Sandbox) {
					s.Director.Fault = func(w http.ResponseWriter, r *http.Request) bool {
						if !strings.HasSuffix(r.URL.Path, "/"+call) {
							return false
						}
						body(w)
						return true
					}
				})
				m := newMachine(t, s)
				r := m.Run(t, "once")
				bounded(t, r)
				plainText(t, r)
				noSecret(t, "what is printed", []byte(r.String()), m.secretsOf(t, s))
				if len(r.Stderr) > 8<<10 {
					t.Errorf("%d bytes of error", len(r.Stderr))
				}
			})
		}
	}
}

// A proxy answers CONNECT with more than there is room for.
func TestTooMuchFromTheProxy(t *testing.T) {
	a := attack("a proxy sends bombs")
	for name, answer := range map[string]func(w io.Writer){
		"headers without number": func(w io.Writer) { _, _ = io.WriteString(w, "HTTP/1.1 200 OK\r\n"); flood(w, "X-More: yes\r\n") },
		"a line without an end":  func(w io.Writer) { flood(w, "HTTP/1.1 200 OK ") },
		"a page without an end":  func(w io.Writer) { _, _ = io.WriteString(w, "HTTP/1.1 407 No\r\n\r\n"); flood(w, "<p>") },
		"no TLS, without an end": func(w io.Writer) { _, _ = io.WriteString(w, "HTTP/1.1 200 OK\r\n\r\n"); flood(w, "<p>") },
		"TLS without an end": func(w io.Writer) {
			_, _ = io.WriteString(w, "HTTP/1.1 200 OK\r\n\r\n")
			flood(w, "\x16\x03\x03\x40\x00"+strings.Repeat("\x02\x00\xff\xff", 4096))
		},
	} {
		a.try(t, name, func(t *testing.T) {
			s := servers(t, nil)
			proxy := listen(t, func(conn net.Conn) { _, _ = conn.Read(make([]byte, 4096)); answer(conn) })
			m := newMachine(t, s)
			m.Env = append(m.Env, "ICINGA_ENROLL_DIRECTOR_PROXY=http://"+proxy)
			r := m.refused(t, "once")
			bounded(t, r)
			plainText(t, r)
		})
	}
}

// messages are what a master may send too much of.
var messages = map[string]func(t *testing.T, ca *authority, asked *x509.Certificate, w io.Writer){
	"a length of nine digits": func(_ *testing.T, _ *authority, _ *x509.Certificate, w io.Writer) {
		_, _ = io.WriteString(w, "999999999:")
		flood(w, "x")
	},
	"a length of ten digits": func(_ *testing.T, _ *authority, _ *x509.Certificate, w io.Writer) { flood(w, "9") },
	"a megabyte, again and again": func(_ *testing.T, _ *authority, _ *x509.Certificate, w io.Writer) {
		flood(w, netstring(`{"method":"`+strings.Repeat("x", 1<<20-20)+`"}`))
	},
	"a hello without an end": func(_ *testing.T, _ *authority, _ *x509.Certificate, w io.Writer) {
		flood(w, netstring(`{"jsonrpc":"2.0","method":"icinga::Hello","params":{}}`))
	},
	"folded": func(_ *testing.T, _ *authority, _ *x509.Certificate, w io.Writer) {
		_, _ = io.WriteString(w, netstring(`{"id":"1","result":`+nested(500_000)+`}`))
	},
	"folded as deep as JSON goes": func(_ *testing.T, _ *authority, _ *x509.Certificate, w io.Writer) {
		_, _ = io.WriteString(w, netstring(`{"id":"1","result":{"status_code":0,"x":`+nested(9990)+`}}`))
	},
	"a certificate and 1,000 CAs": func(t *testing.T, ca *authority, asked *x509.Certificate, w io.Writer) {
		cert, chain := ca.issue(t, asked, &x509.Certificate{Subject: asked.Subject})
		_, _ = io.WriteString(w, issued(cert, append(chain, bytes.Repeat(pemOf(newAuthority(t).certificate.Raw), 1000)...)))
	},
	"1,000 links between": func(t *testing.T, ca *authority, asked *x509.Certificate, w io.Writer) {
		links, last := chainOf(t, ca, 1000)
		made := last.sign(t, &x509.Certificate{Subject: asked.Subject}, asked.PublicKey, last.certificate)
		_, _ = io.WriteString(w, issued(pemOf(made.Raw), pemOf(links...)))
	},
	"a certificate of half a megabyte": func(t *testing.T, ca *authority, asked *x509.Certificate, w io.Writer) {
		_, _ = io.WriteString(w, issued(ca.issue(t, asked, &x509.Certificate{Subject: asked.Subject, ExtraExtensions: []pkix.Extension{padding(512 << 10)}})))
	},
	"10,000 names in it": func(t *testing.T, ca *authority, asked *x509.Certificate, w io.Writer) {
		var names []string
		for i := range 10_000 {
			names = append(names, fmt.Sprintf("n%d.example.com", i))
		}
		_, _ = io.WriteString(w, issued(ca.issue(t, asked, &x509.Certificate{Subject: asked.Subject, DNSNames: names})))
	},
	"an error without an end": func(_ *testing.T, _ *authority, _ *x509.Certificate, w io.Writer) {
		_, _ = io.WriteString(w, said(strings.Repeat("x", 1<<20-200)))
	},
}

// padding is an extension that nobody knows.
func padding(size int) pkix.Extension {
	return pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 64911, 1}, Value: make([]byte, size)}
}

// chainOf makes so many CAs, each signed by the one before; the last is the first
// in the list.
func chainOf(t *testing.T, ca *authority, links int) (ders [][]byte, last *authority) {
	t.Helper()
	ders, last = [][]byte{ca.certificate.Raw}, ca
	for i := range links {
		key := newKey(t)
		template := &x509.Certificate{Subject: cn(fmt.Sprint("link ", i)), IsCA: true, BasicConstraintsValid: true}
		last = &authority{key, last.sign(t, template, key.Public(), last.certificate)}
		ders = append([][]byte{last.certificate.Raw}, ders...)
	}
	return ders, last
}

// A master sends more than there is room for.
func TestTooMuchFromTheMaster(t *testing.T) {
	a := attack("a master sends bombs: lengths, chains, hellos without an end")
	for name, message := range messages {
		a.try(t, name, func(t *testing.T) {
			ca := newAuthority(t)
			m, evil := takenOver(t, ca, func(conn net.Conn, asked *x509.Certificate) { message(t, ca, asked, conn) })
			evil(true)
			r := m.Run(t, "once")
			bounded(t, r)
			plainText(t, r)
			if r.Code == 0 {
				m.enrolled(t)
			}
			evil(false)
			m.enrol(t)
		})
	}
	for name, chain := range map[string]func(t *testing.T, ca *authority) tls.Certificate{
		"1,000 links in the handshake": func(t *testing.T, ca *authority) tls.Certificate {
			return handshake(t, ca, 1000, 0)
		},
		"100 links in the handshake": func(t *testing.T, ca *authority) tls.Certificate {
			return handshake(t, ca, 100, 0)
		},
		"a certificate of 8 MiB in the handshake": func(t *testing.T, ca *authority) tls.Certificate {
			return handshake(t, ca, 0, 8<<20)
		},
		"a name of 200,000 backslashes in the handshake": func(t *testing.T, _ *authority) tls.Certificate {
			subject := cn(sandbox.MasterName)
			subject.Organization = []string{strings.Repeat(`\`, 200_000)}
			other := newAuthority(t)
			made := other.own(t, &x509.Certificate{Subject: subject}, other.certificate)
			made.Certificate = append(made.Certificate[:1], other.certificate.Raw)
			return made
		},
	} {
		a.try(t, name, func(t *testing.T) {
			ca := newAuthority(t)
			s := servers(t, nil)
			parents(s, rogue(t, chain(t, ca), func(net.Conn, *x509.Certificate) { t.Error("he got a request") }))
			m := newMachine(t, s)
			m.Env = append(m.Env, "ICINGA_ENROLL_CA_FINGERPRINT="+pki.PublicKeyPin(ca.certificate).String())
			r := m.refused(t, "once")
			bounded(t, r)
			plainText(t, r)
			if len(r.Stderr) > 8<<10 {
				t.Errorf("%d bytes of error", len(r.Stderr))
			}
			if said := m.Run(t, "status"); !strings.Contains(said.Stdout, "last error") {
				t.Errorf("nobody is told: %s", said)
			}
		})
	}
}

// handshake is what a master shows: its certificate, which is so large, behind so
// many links.
func handshake(t *testing.T, ca *authority, links, size int) tls.Certificate {
	t.Helper()
	chain, last := chainOf(t, ca, links)
	made := last.own(t, &x509.Certificate{Subject: cn(sandbox.MasterName), ExtraExtensions: []pkix.Extension{padding(size)}}, last.certificate)
	made.Certificate = append(made.Certificate[:1], chain...)
	return made
}
