package selfservice_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/selfservice"
)

// listen answers every TCP connection with answer, then closes it.
func listen(t *testing.T, answer func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			answer(c)
			_ = c.Close()
		}
	}()
	return "https://" + l.Addr().String() + "/icingaweb2/director"
}

// Who has been reached isn't out of reach: a connection that breaks is told
// apart from one that was never made, and from a server that wants no such TLS.
func TestWhatBrokeIsNamed(t *testing.T) {
	hello := make([]byte, 4096)
	tests := []struct {
		what      string
		answer    func(net.Conn)
		permanent bool
		text      string
	}{
		{"closed at once", func(net.Conn) {}, false, "being restarted"},
		{"reset in the handshake", func(c net.Conn) { _, _ = c.Read(hello); _ = c.(*net.TCPConn).SetLinger(0) }, false, "being restarted"},
		{"closed in the handshake", func(c net.Conn) { _, _ = c.Read(hello); _, _ = io.WriteString(c, "\x16\x03\x03\x00\x40abc") }, false, "being restarted"},
		{"alert", func(c net.Conn) { _, _ = io.WriteString(c, "\x15\x03\x03\x00\x02\x02\x28"); _, _ = c.Read(hello) }, true, "TLS 1.2"},
		{"old TLS", func(c net.Conn) {
			_ = tls.Server(c, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}).Handshake() //nolint:noctx // it ends with the connection
		}, true, "TLS 1.2"},
	}
	for _, test := range tests {
		t.Run(test.what, func(t *testing.T) {
			err := register(t, listen(t, test.answer), selfservice.Options{})
			if test.permanent {
				checkPermanent(t, err)
			} else {
				checkTemporary(t, err)
			}
			if !strings.Contains(err.Error(), test.text) || strings.Contains(err.Error(), "reaches the host") || strings.Contains(err.Error(), "PHP") {
				t.Errorf("error %q, want %q in it, and nobody else blamed", err, test.text)
			}
		})
	}
}

// What breaks once a request was sent is the web server's business.
func TestABrokenAnswerIsNotOutOfReach(t *testing.T) {
	for answer, text := range map[string]string{
		"HTTP/1.1 200 OK\r\nContent-Ty":                       "logs of the Director's web server",
		"HTTP/1.1 200 OK\r\nContent-Length: 43\r\n\r\n\"0123": "logs of the Director's web server",
		"220 mail.example.com ESMTP\r\n":                      "Does director.url lead to",
	} {
		f := newFake(t)
		f.Fault = func(w http.ResponseWriter, r *http.Request) bool { raw(answer)(w, r); return true }
		_, err := newClient(t, f).Ticket(t.Context(), secret.New("key"))
		checkTemporary(t, err)
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q: error %q, want %q in it", answer, err, text)
		}
	}
}

// A 400 that says nothing is about names only where a name was sent.
func TestAnEmptyRefusalOfATicketIsNotAboutNames(t *testing.T) {
	f := newFake(t)
	f.Fault = func(w http.ResponseWriter, r *http.Request) bool { answer(400, "\n")(w, r); return true }
	_, err := newClient(t, f).Ticket(t.Context(), secret.New("key"))
	if err == nil || strings.Contains(err.Error(), "255 characters") {
		t.Errorf("error: %v", err)
	}
}

func TestTheIssuerOfAnUntrustedCertificateIsNamed(t *testing.T) {
	s := startCertified(t, net.IPv4(127, 0, 0, 1), time.Hour)
	err := register(t, s.URL, selfservice.Options{RootCAs: newFake(t).RootCAs()})
	if err == nil || !strings.Contains(err.Error(), `issued by "`) {
		t.Errorf("error: %v", err)
	}
}
