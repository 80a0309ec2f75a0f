package selfservice_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/selfservice"
)

// register registers web1 at address, and checks that an answer cannot count
// as lost: no request can have been sent.
func register(t *testing.T, address string, o selfservice.Options) error {
	t.Helper()
	c, err := selfservice.New(address, o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Register(t.Context(), templateKey, "web1", selfservice.HostProperties{})
	if errors.Is(err, selfservice.ErrAnswerLost) {
		t.Errorf("the answer to a request that was never sent is lost: %v", err)
	}
	return err
}

func TestNobodyListens(t *testing.T) {
	f := newFake(t)
	f.Close()
	err := register(t, f.URL(), selfservice.Options{})
	checkTemporary(t, err)
	// Windows' words are "actively refused it".
	if !strings.Contains(err.Error(), "refused") || strings.Contains(err.Error(), "?") {
		t.Errorf("error: %v", err)
	}
}

func TestUntrustedCertificate(t *testing.T) {
	f := newFake(t)
	otherName := startCertified(t, net.IPv4(127, 0, 0, 2), time.Hour)
	expired := startCertified(t, net.IPv4(127, 0, 0, 1), -24*time.Hour)
	tests := []struct {
		address string
		roots   *x509.CertPool
		text    string
	}{
		{f.URL(), x509.NewCertPool(), "director.ca_file"},
		{otherName.URL, poolOf(otherName), "Use a name in director.url"},
		{expired.URL, poolOf(expired), "Check the clock"},
	}
	for _, test := range tests {
		err := register(t, test.address, selfservice.Options{RootCAs: test.roots})
		checkPermanent(t, err)
		if !strings.Contains(err.Error(), test.text) {
			t.Errorf("error %q, want %q in it", err, test.text)
		}
	}
	if calls := f.Calls(); len(calls) != 0 {
		t.Errorf("the key went to a server that is not trusted: %v", calls)
	}
}

func poolOf(s *httptest.Server) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return pool
}

func quiet(s *httptest.Server) *httptest.Server {
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	return s
}

// startCertified starts a server whose certificate is for ip and ends after left.
func startCertified(t *testing.T, ip net.IP, left time.Duration) *httptest.Server {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{ip},
		NotBefore:   time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(left),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	s := quiet(httptest.NewUnstartedServer(http.NotFoundHandler()))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func TestOldTLSIsRefused(t *testing.T) {
	s := quiet(httptest.NewUnstartedServer(answer(200, `"`+hexKey+`"`)))
	s.TLS = &tls.Config{MaxVersion: tls.VersionTLS11} // what the client must refuse
	s.StartTLS()
	defer s.Close()
	if err := register(t, s.URL, selfservice.Options{RootCAs: poolOf(s)}); err == nil {
		t.Error("the client spoke TLS 1.1")
	}
}

func TestPlainHTTPServer(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	err := register(t, strings.Replace(s.URL, "http:", "https:", 1), selfservice.Options{})
	checkPermanent(t, err)
	if !strings.Contains(err.Error(), "does not speak TLS") {
		t.Errorf("error: %v", err)
	}
}

// startProxy serves CONNECT, to one target and with the status that it reads
// from status.
func startProxy(t *testing.T, status int, target string) (*url.URL, *atomic.Int32) {
	t.Helper()
	var connects atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connects.Add(1)
		if r.Method != http.MethodConnect || r.Host != target || status != http.StatusOK {
			w.WriteHeader(status)
			return
		}
		tunnel(w, target)
	}))
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("proxy-user", "proxy-password")
	return u, &connects
}

// tunnel copies both ways until one side closes.
func tunnel(w http.ResponseWriter, target string) {
	server, err := net.Dial("tcp", target) //nolint:noctx // to a test's own server
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	w.WriteHeader(http.StatusOK)
	client, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(server, bufio.NewReader(buffered))
		_ = server.Close()
	}()
	_, _ = io.Copy(client, server)
	_ = client.Close()
}

func TestProxy(t *testing.T) {
	f := newFake(t)
	target := strings.TrimSuffix(strings.TrimPrefix(f.URL(), "https://"), "/icingaweb2/director")
	proxy, connects := startProxy(t, http.StatusOK, target)
	if err := register(t, f.URL(), selfservice.Options{RootCAs: f.RootCAs(), Proxy: proxy}); err != nil {
		t.Errorf("registering through a proxy: %v", err)
	}
	if connects.Load() != 1 {
		t.Errorf("the proxy opened %d tunnels, want 1", connects.Load())
	}
}

func TestProxyRefuses(t *testing.T) {
	f := newFake(t)
	for status, text := range map[int]string{
		407: "user and password", 403: "Does the proxy allow", 502: "Does the proxy allow",
	} {
		proxy, _ := startProxy(t, status, "")
		err := register(t, f.URL(), selfservice.Options{RootCAs: f.RootCAs(), Proxy: proxy})
		if status == http.StatusBadGateway {
			checkTemporary(t, err)
		} else {
			checkPermanent(t, err)
		}
		if !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "proxy-password") {
			t.Errorf("status %d: error %q, want %q in it", status, err, text)
		}
	}
	if len(f.Calls()) != 0 {
		t.Error("the Director was called past the proxy")
	}
}

func TestProxyIsDown(t *testing.T) {
	f := newFake(t)
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	err = register(t, f.URL(), selfservice.Options{RootCAs: f.RootCAs(), Proxy: u})
	checkTemporary(t, err)
	if !strings.Contains(err.Error(), u.Host) || !strings.Contains(err.Error(), "director.proxy") {
		t.Errorf("error %q does not say that it is the proxy", err)
	}
}

func TestErrorOfAWrongURLSaysSo(t *testing.T) {
	f := newFake(t)
	c, err := selfservice.New(strings.TrimSuffix(f.URL(), "/icingaweb2/director"), selfservice.Options{RootCAs: f.RootCAs()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Parameters(t.Context(), secret.New("key"))
	checkPermanent(t, err)
	if !strings.Contains(err.Error(), "Does director.url lead to an Icinga Director") {
		t.Errorf("error: %v", err)
	}
}
