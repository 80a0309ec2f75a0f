package pki_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/pki"
	"icinga-enroll/pki/pkitest"
)

const ticketText = "5ecre7c0ffee5ecre7c0ffee5ecre7c0ffee5ecr"

func trusting(ca *pkitest.CA) *pki.Client {
	return &pki.Client{Trust: pki.Trust{Pins: []pki.Pin{pki.PublicKeyPin(ca.Certificate())}}}
}

func newRequest(t *testing.T) pki.Request {
	t.Helper()
	c, err := pki.RequestCertificate(newKeyOf(t, pki.ECDSAP256), "node", time.Now())
	noError(t, err)
	return pki.Request{Certificate: c, Ticket: secret.New(ticketText)}
}

func masterAt(address string) pki.Endpoint {
	return pki.Endpoint{Address: address, Names: []string{"master", "satellite"}}
}

func TestTicketIsNeverWrittenBeforeThePeerIsVerified(t *testing.T) {
	ca, otherCA, now := newCA(t), newCA(t), time.Now()
	year, day := 365*24*time.Hour, 24*time.Hour
	identity := func(ca *pkitest.CA, cn string, from, to time.Duration) tls.Certificate {
		c, err := ca.Identity(cn, now.Add(from), now.Add(to))
		noError(t, err)
		return c
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, test := range []struct {
			name    string
			present tls.Certificate
			want    error
		}{
			{"the master", identity(ca, "master", -day, year), nil},
			{"the second name", identity(ca, "satellite", -day, year), nil},
			{"another CA", identity(otherCA, "master", -day, year), pki.ErrUntrusted},
			{"another node of the CA", identity(ca, "agent17", -day, year), pki.ErrWrongPeer},
			{"the name in another case", identity(ca, "Master", -day, year), pki.ErrWrongPeer},
			{"expired", identity(ca, "master", -year, -day), pki.ErrUntrusted},
			{"not yet valid", identity(ca, "master", day, year), pki.ErrUntrusted},
			{"two names, the last is the master's", twoNames(t, ca, "agent17", "master"), pki.ErrWrongPeer},
			{"two names, the first is the master's", twoNames(t, ca, "master", "agent17"), pki.ErrWrongPeer},
		} {
			t.Run(fmt.Sprintf("%s %s", tls.VersionName(version), test.name), func(t *testing.T) {
				server := newServer(t, ca, "master", func(s *pkitest.Server) {
					s.Certificate, s.MaxVersion = test.present, version
				})
				_, err := trusting(ca).Request(t.Context(), masterAt(server.Addr()), newRequest(t))
				server.Close()
				sent := bytes.Contains(server.Received(), []byte(ticketText))
				if test.want == nil {
					var refused *pki.RefusedError
					if !sent || !errors.As(err, &refused) {
						t.Fatalf("the right server got no ticket: %v", err)
					}
					return
				}
				if !errors.Is(err, test.want) || temporary(t, err) != (test.name == "not yet valid") {
					t.Errorf("got %v, want %v", err, test.want)
				}
				if got := server.Received(); len(got) > 0 {
					t.Errorf("%d bytes were written", len(got))
				}
			})
		}
	}
}

// twoNames has a certificate made as Icinga makes it of a request with two
// common names.
func twoNames(t *testing.T, ca *pkitest.CA, first, second string) tls.Certificate {
	s := &scene{cn: first}
	newKey(pki.ECDSAP256)(t, s)
	secondName(second)(t, s)
	server := newServer(t, ca, "signer")
	issued, err := trusting(ca).Request(t.Context(), pki.Endpoint{Address: server.Addr(), Names: []string{"signer"}},
		pki.Request{Certificate: s.request, Ticket: secret.New(ca.Ticket(first))})
	noError(t, err)
	return tls.Certificate{Certificate: [][]byte{issued.Certificate.Raw, ca.Certificate().Raw}, PrivateKey: s.key}
}

func TestTicketNeedsANamedEndpoint(t *testing.T) {
	client := &pki.Client{Trust: pki.Trust{FirstUse: true}, Dial: func(context.Context, string, string) (net.Conn, error) {
		t.Error("dialled")
		return nil, io.EOF
	}}
	_, err := client.Request(t.Context(), pki.Endpoint{Address: "192.0.2.1:5665"}, newRequest(t))
	if err == nil || temporary(t, err) || !strings.Contains(err.Error(), "name@host:port") {
		t.Errorf("got %v", err)
	}
}

func TestWithoutATicketNoNameIsNeeded(t *testing.T) {
	ca := newCA(t)
	server := newServer(t, ca, "whoever")
	request := newRequest(t)
	request.Ticket = secret.Text{}
	_, err := trusting(ca).Request(t.Context(), pki.Endpoint{Address: server.Addr()}, request)
	if !errors.Is(err, pki.ErrPending) {
		t.Errorf("got %v", err)
	}
}

func TestWrongPeerNamesBoth(t *testing.T) {
	ca := newCA(t)
	server := newServer(t, ca, "agent17")
	_, err := trusting(ca).Probe(t.Context(), masterAt(server.Addr()))
	for _, want := range []string{server.Addr(), `"agent17"`, `"master" or "satellite"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %s", err, want)
		}
	}
}

func TestAPeerOfTwoNamesIsNobody(t *testing.T) {
	ca := newCA(t)
	server := newServer(t, ca, "", func(s *pkitest.Server) { s.Certificate = twoNames(t, ca, "agent17", "master") })
	_, err := trusting(ca).Probe(t.Context(), pki.Endpoint{Address: server.Addr()})
	if !errors.Is(err, pki.ErrWrongPeer) || temporary(t, err) {
		t.Errorf("got %v", err)
	}
}

func TestProbeSendsNothing(t *testing.T) {
	ca := newCA(t)
	server := newServer(t, ca, "master")
	peer, err := trusting(ca).Probe(t.Context(), masterAt(server.Addr()))
	noError(t, err)
	server.Close()
	if peer.Name != "master" || len(peer.Chain) != 2 || !peer.CA.Equal(ca.Certificate()) || len(server.Received()) > 0 {
		t.Errorf("peer %q with %d certificates, %d bytes received", peer.Name, len(peer.Chain), len(server.Received()))
	}
}

func TestChainTrustsNobody(t *testing.T) {
	ca := newCA(t)
	server := newServer(t, ca, "master")
	chain, err := (&pki.Client{}).Chain(t.Context(), server.Addr())
	noError(t, err)
	if len(chain) != 2 || chain[0].Subject.CommonName != "master" || !chain[1].Equal(ca.Certificate()) {
		t.Errorf("got %d certificates", len(chain))
	}
}

// The clock is the caller's: a renewal ten years from now must work today.
func TestClientUsesItsClock(t *testing.T) {
	ca := newCA(t)
	server := newServer(t, ca, "master")
	client := trusting(ca)
	client.Now = func() time.Time { return time.Now().AddDate(10, 0, 0) }
	_, err := client.Probe(t.Context(), masterAt(server.Addr()))
	if !errors.Is(err, pki.ErrUntrusted) || !strings.Contains(err.Error(), "has expired") {
		t.Errorf("got %v", err)
	}
}

// The fake's clock and the client's go on together: what was signed today is
// not due in 300 days, renewed in 380, and expired in 400.
func TestTheYearOfACertificate(t *testing.T) {
	ca, now := newCA(t), time.Now()
	ca.Now = func() time.Time { return now }
	request := newRequest(t)
	request.Ticket = secret.New(ca.Ticket("node"))
	for _, test := range []struct {
		days   int
		ticket bool
		want   error
	}{{0, true, nil}, {300, false, pki.ErrNotDue}, {380, false, nil}, {400, false, pki.ErrPending}} {
		now = time.Now().AddDate(0, 0, test.days)
		server := newServer(t, ca, "master")
		client := trusting(ca)
		client.Now = ca.Now
		if !test.ticket {
			request.Ticket = secret.Text{}
		}
		issued, err := client.Request(t.Context(), masterAt(server.Addr()), request)
		server.Close()
		if !errors.Is(err, test.want) {
			t.Errorf("after %d days: %v, want %v", test.days, err, test.want)
		}
		if test.days == 0 {
			request.Certificate = issued.Certificate
		}
	}
}
