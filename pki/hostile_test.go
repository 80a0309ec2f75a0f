package pki_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"icinga-enroll/pki"
	"icinga-enroll/pki/internal/netstring"
	"icinga-enroll/pki/pkitest"
)

// dialling returns a client whose connections are served by serve, in memory.
func dialling(t *testing.T, serve func(net.Conn)) *pki.Client {
	return &pki.Client{Trust: pki.Trust{FirstUse: true}, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer server.Close()
			serve(server)
		}()
		t.Cleanup(func() { <-done })
		return client, nil
	}}
}

// speaking is a TLS server named master that reads the request and then
// behaves as talk does.
func speaking(t *testing.T, talk func(net.Conn)) func(net.Conn) {
	identity, err := newCA(t).Identity("master", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	noError(t, err)
	config := &tls.Config{Certificates: []tls.Certificate{identity}, SessionTicketsDisabled: true}
	return func(raw net.Conn) {
		conn := tls.Server(raw, config)
		if _, err := netstring.Read(bufio.NewReader(conn)); err == nil {
			talk(conn)
		}
	}
}

const hello = `{"jsonrpc":"2.0","method":"icinga::Hello","params":{}}`

func answer(result string) string {
	return netstringOf(hello) + netstringOf(`{"jsonrpc":"2.0","id":"1",`+result+`}`)
}

func TestAnswersOfABadServer(t *testing.T) {
	endless := netstringOf(`"` + strings.Repeat("x", 1000) + `"`)
	for name, test := range map[string]struct {
		say       string
		kind      error
		temporary bool
		text      string
	}{
		"hello, then nothing":      {netstringOf(hello), pki.ErrNoAnswer, true, "Known causes"},
		"nothing":                  {"", pki.ErrNoAnswer, true, "Known causes"},
		"half an answer":           {"500:{", pki.ErrNoAnswer, true, "Known causes"},
		"half a length":            {"5", pki.ErrNoAnswer, true, "Known causes"},
		"others' answers":          {netstringOf(`{"jsonrpc":"2.0","id":"2","result":{"status_code":0}}`), pki.ErrNoAnswer, true, ""},
		"two gigabytes":            {"2147483648:", nil, false, "more than 9 digits"},
		"one megabyte too much":    {"2000000:", nil, false, "at most 1048576"},
		"negative length":          {"-5:", nil, false, "'-'"},
		"HTTP":                     {"HTTP/1.1 400 Bad Request\r\n", nil, false, "does not answer as Icinga does"},
		"no JSON":                  {netstringOf("hello"), nil, false, "does not answer as Icinga does"},
		"no JSON object":           {endless, nil, false, "does not answer as Icinga does"},
		"neither result nor error": {netstringOf(`{"jsonrpc":"2.0","id":"1"}`), nil, false, "no result"},
		"null":                     {answer(`"result":null`), nil, false, "no result"},
		"result without status":    {answer(`"result":{}`), nil, false, "no result"},
		"result of another kind":   {answer(`"result":"yes"`), nil, false, "no result"},
		"unknown status":           {answer(`"result":{"status_code":7,"error":"what"}`), nil, false, "unknown status 7: what (Icinga's log"},
		"issued nothing":           {answer(`"result":{"status_code":0}`), nil, false, "no PEM certificate"},
		"issued garbage":           {answer(`"result":{"status_code":0,"cert":"x","ca":"y"}`), nil, false, "look at its log"},
		"pending with garbage":     {answer(`"result":{"status_code":2,"ca":"y"}`), nil, false, "no PEM certificate"},
		"exception":                {answer(`"error":"Error: bad\n\nStacktrace:\n 0# icinga"`), nil, false, "says more: Error: bad"},
		"exception as an object":   {answer(`"error":{"code":1}`), nil, false, `{"code":1}`},
		"control characters":       {answer(`"result":{"status_code":1,"error":"\u001b[2J\r\n\u202ered"}`), nil, false, `\x1b[2J\r\n\u202ered`},
		"invalid ticket":           {answer(`"result":{"status_code":1,"error":"Invalid ticket for CN 'node'."}`), nil, false, "renamed in the Director"},
		"declined":                 {answer(`"result":{"status_code":1,"error":"Ticket for CN node declined by administrator."}`), nil, false, "icinga2 ca restore"},
		"uptodate, newer text":     {answer(`"result":{"status_code":1,"error":"The certificates for CN 'node' and its root CA are valid and uptodate. Skipping automated renewal."}`), pki.ErrNotDue, false, "30 days"},
		"unknown refusal":          {answer(`"result":{"status_code":1,"error":"No."}`), nil, false, "Icinga's log on the master"},
	} {
		t.Run(name, func(t *testing.T) {
			client := dialling(t, speaking(t, func(conn net.Conn) { _, _ = io.WriteString(conn, test.say) }))
			_, err := client.Request(t.Context(), masterAt("master:5665"), newRequest(t))
			if err == nil || !strings.Contains(err.Error(), test.text) || !strings.Contains(err.Error(), "master:5665") {
				t.Fatalf("got %v, want %q", err, test.text)
			}
			if strings.Contains(err.Error(), "Stacktrace") {
				t.Errorf("%v shows the server's stack", err)
			}
			if test.kind != nil && !errors.Is(err, test.kind) || temporary(t, err) != test.temporary {
				t.Errorf("%v is not %v, or temporary is not %v", err, test.kind, test.temporary)
			}
		})
	}
}

func TestNoErrorShowsTheTicket(t *testing.T) {
	for _, result := range []string{
		`"error":"Error: bad ticket ` + ticketText + `"`,
		`"error":{"ticket":"` + ticketText + `"}`,
		`"result":{"status_code":1,"error":"Ticket ` + ticketText + ` is invalid"}`,
		`"result":{"status_code":1,"error":"` + strings.Repeat("x", 280) + ticketText + `"}`,
		`"result":{"status_code":9,"error":"` + ticketText + `"}`,
		`"result":{"status_code":1,"error":"` + strings.Repeat("935473F5EA", 4) + `"}`, // what could be one
	} {
		client := dialling(t, speaking(t, func(conn net.Conn) { _, _ = io.WriteString(conn, answer(result)) }))
		_, err := client.Request(t.Context(), masterAt("master:5665"), newRequest(t))
		if text := fmt.Sprintf("%v %+v %#v", err, err, err); err == nil || strings.Contains(text, ticketText[:15]) || !strings.Contains(text, "[redacted]") {
			t.Errorf("%s: %s", result, text)
		}
	}
}

func TestALongMessageIsCut(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	client := dialling(t, speaking(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, answer(`"result":{"status_code":1,"error":"`+long+`"}`))
	}))
	_, err := client.Request(t.Context(), masterAt("master:5665"), newRequest(t))
	if err == nil || len(err.Error()) > 1000 {
		t.Errorf("the error has %d bytes", len(err.Error()))
	}
}

func TestConnectionErrors(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	noError(t, err)
	closed := listener.Addr().String()
	noError(t, listener.Close())
	_, err = (&pki.Client{}).Chain(t.Context(), closed)
	if err == nil || !temporary(t, err) || !strings.Contains(err.Error(), closed) {
		t.Errorf("nobody listens: %v", err)
	}
	_, err = (&pki.Client{}).Chain(t.Context(), "master")
	if err == nil || temporary(t, err) || !strings.Contains(err.Error(), "host:port") {
		t.Errorf("no port: %v", err)
	}
	_, err = dialling(t, func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 4096))
		_, _ = io.WriteString(conn, "SSH-2.0-OpenSSH_9.2\r\n")
	}).Chain(t.Context(), "ssh:22")
	if err == nil || temporary(t, err) || !strings.Contains(err.Error(), "does not speak TLS") {
		t.Errorf("no TLS: %v", err)
	}
	_, err = dialling(t, func(net.Conn) {}).Chain(t.Context(), "busy:5665")
	if err == nil || !temporary(t, err) || !strings.Contains(err.Error(), "broke off") {
		t.Errorf("closed at once: %v", err)
	}
}

// A peer whose own name is not ASCII can't be verified: that is no passing trouble.
func TestPeerThatGoCannotParse(t *testing.T) {
	ca := newCA(t)
	key := newKeyOf(t, pki.ECDSAP256)
	request, err := pki.RequestCertificate(key, "mäster", time.Now())
	noError(t, err)
	raw := malformed(t, ca, request)
	config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{raw}, PrivateKey: key}}}
	_, err = dialling(t, func(conn net.Conn) { _ = tls.Server(conn, config).Handshake() }).Chain(t.Context(), "master:5665")
	if err == nil || temporary(t, err) || !strings.Contains(err.Error(), "not plain ASCII") {
		t.Errorf("got %v", err)
	}
}

// malformed asks the fake CA on the wire, since nothing in Go can hold such a
// certificate.
func malformed(t *testing.T, ca *pkitest.CA, request *x509.Certificate) []byte {
	server := newServer(t, ca, "signer")
	conn, err := tls.Dial("tcp", server.Addr(), &tls.Config{InsecureSkipVerify: true})
	noError(t, err)
	defer conn.Close()
	params := fmt.Sprintf(`{"cert_request":%q,"ticket":%q}`, pki.EncodeCertificates(request), ca.Ticket(request.Subject.CommonName))
	_, err = io.WriteString(conn, frame("1", "pki::RequestCertificate", params))
	noError(t, err)
	return certificateIn(t, bufio.NewReader(conn))
}

func TestCallsEndInTime(t *testing.T) {
	silent := func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }
	for name, test := range map[string]struct {
		client func(t *testing.T) *pki.Client
		limit  time.Duration
	}{
		"dialling": {func(*testing.T) *pki.Client {
			return &pki.Client{Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}}
		}, 10 * time.Second},
		"no handshake": {func(t *testing.T) *pki.Client { return dialling(t, silent) }, 10 * time.Second},
		"no answer":    {func(t *testing.T) *pki.Client { return dialling(t, speaking(t, silent)) }, 30 * time.Second},
		"dripping":     {func(t *testing.T) *pki.Client { return dialling(t, speaking(t, drip)) }, 30 * time.Second},
		"chattering":   {func(t *testing.T) *pki.Client { return dialling(t, speaking(t, chatter)) }, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				_, err := test.client(t).Request(t.Context(), masterAt("master:5665"), newRequest(t))
				if took := time.Since(start); took != test.limit || !errors.Is(err, context.DeadlineExceeded) || !temporary(t, err) {
					t.Errorf("after %v: %v, want a temporary error after %v", took, err, test.limit)
				}
			})
		})
		t.Run(name+", cancelled", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(3*time.Second, cancel)
				start := time.Now()
				_, err := test.client(t).Request(ctx, masterAt("master:5665"), newRequest(t))
				if took := time.Since(start); took != 3*time.Second || !errors.Is(err, context.Canceled) {
					t.Errorf("after %v: %v", took, err)
				}
			})
		})
	}
}

// drip sends a byte a second of an answer that would take twelve days.
func drip(conn net.Conn) {
	every(time.Second, conn, "1048576:", " ")
}

// chatter sends messages that are no answer.
func chatter(conn net.Conn) { every(time.Second, conn, "", netstringOf(hello)) }

func every(pause time.Duration, conn net.Conn, first, again string) {
	_, err := io.WriteString(conn, first)
	for tick := time.NewTicker(pause); err == nil; <-tick.C {
		_, err = io.WriteString(conn, again)
	}
}

func TestARefusedHandshakeSaysWhatToDo(t *testing.T) {
	client := dialling(t, func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 4096))
		_, _ = io.WriteString(conn, "\x15\x03\x03\x00\x02\x02\x46") // an alert: protocol version
	})
	_, err := client.Probe(t.Context(), masterAt("master:5665"))
	if err == nil || temporary(t, err) || !strings.Contains(err.Error(), "master:5665 refused the TLS connection: its log says why") {
		t.Errorf("got %v", err)
	}
}
