package selfservice_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/selfservice"
)

var templateKey = secret.New(agentKey)

func newClient(t *testing.T, f *fake) *selfservice.Client {
	t.Helper()
	c, err := selfservice.New(f.URL()+"/", selfservice.Options{RootCAs: f.RootCAs()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestAllCallsUseOneConnection(t *testing.T) {
	f := newFake(t)
	c := newClient(t, f)
	ctx := t.Context()
	if _, err := c.Parameters(ctx, templateKey); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Ticket(ctx, secret.New("wrong")); err == nil {
		t.Fatal("a ticket for a wrong key")
	}
	key, err := c.Register(ctx, templateKey, "web1", selfservice.HostProperties{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Parameters(ctx, key); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Ticket(ctx, key); err != nil {
		t.Fatal(err)
	}
	calls := f.Calls()
	if len(calls) != 5 {
		t.Fatalf("%d calls, want 5", len(calls))
	}
	for _, call := range calls {
		if call.Connection != calls[0].Connection {
			t.Errorf("%s came over another connection", call.Name)
		}
	}
}

func TestParametersOfAHost(t *testing.T) {
	f := newFake(t)
	f.SetHost(hostWithKey("web1", "the-key"))
	p, err := newClient(t, f).Parameters(t.Context(), secret.New("the-key"))
	if err != nil {
		t.Fatal(err)
	}
	want := selfservice.Parent{Name: "master", Host: "192.0.2.5", Port: "5665"}
	if !p.FetchAgentFQDN || p.Transform != selfservice.Lower || p.ParentZone != "master" || p.CAServer != "master" ||
		len(p.Parents) != 1 || p.Parents[0] != want || len(p.GlobalZones) != 1 || !p.AcceptConfig ||
		p.HostObject["address"] != "&ipaddress&" || p.HostObject["display_name"] != "&hostname.lowerCase&" {
		t.Errorf("parameters: %+v", p)
	}
}

func TestRequestIsWhatTheDirectorNeeds(t *testing.T) {
	f := newFake(t)
	var got []*http.Request
	f.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
		got = append(got, r.Clone(context.Background()))
		return false
	}
	c := newClient(t, f)
	key, err := c.Register(t.Context(), templateKey, "web1", selfservice.HostProperties{Address: "192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Ticket(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if body := f.Calls()[0].Body; body != `{"address":"192.0.2.1"}` {
		t.Errorf("body %s: an empty property must not be sent", body)
	}
	for i, contentType := range []string{asJSON, ""} {
		h := got[i].Header
		if got[i].Method != http.MethodPost || h.Get("Accept") != asJSON || h.Get("Content-Type") != contentType ||
			h.Get("User-Agent") != "icinga-enroll" || h.Get("Accept-Encoding") != "" {
			t.Errorf("request %d: %s %v", i, got[i].Method, h)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	const path = "/icingaweb2/director"
	tests := map[string]string{
		"http://icinga.example.com" + path:               "clear text",
		"https://admin:pass-word@icinga.example.com/":    "user name",
		"https://admin:pass-word@icinga.example.com:x/":  "cannot be parsed",
		"https://icinga.example.com" + path + "?key=abc": "without ? or #",
		"https://icinga.example.com" + path + "?":        "without ? or #",
		"https://icinga.example.com" + path + "#":        "without ? or #",
		"https:///icingaweb2":                            "names no host",
		"https://:443" + path:                            "names no host",
		"https:icinga.example.com":                       "names no host",
		"icinga.example.com" + path:                      "must begin with https://",
		"ftp://icinga.example.com":                       "must begin with https://",
		"":                                               "must begin with https://",
	}
	for address, want := range tests {
		_, err := selfservice.New(address, selfservice.Options{})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "pass-word") {
			t.Errorf("New(%q): %v, want %q", address, err, want)
		}
	}
	for _, proxy := range []*url.URL{{Scheme: "ftp", Host: "proxy"}, {Scheme: "http"}} {
		if _, err := selfservice.New("https://icinga.example.com", selfservice.Options{Proxy: proxy}); err == nil {
			t.Errorf("proxy %v is accepted", proxy)
		}
	}
}

func TestInsecureHTTPOnRequest(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`"ticket"`))
	}))
	defer server.Close()
	c, err := selfservice.New(server.URL, selfservice.Options{AllowInsecureHTTP: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if ticket, err := c.Ticket(t.Context(), secret.New("key")); err != nil || ticket.Reveal() != "ticket" {
		t.Errorf("ticket %q, %v", ticket.Reveal(), err)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	elsewhere := newFake(t)
	f := newFake(t)
	f.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, elsewhere.URL()+"/self-service/ticket?"+r.URL.RawQuery, http.StatusTemporaryRedirect)
		return true
	}
	_, err := newClient(t, f).Ticket(t.Context(), secret.New("the-host-key"))
	checkPermanent(t, err)
	if len(elsewhere.Calls()) != 0 {
		t.Error("the redirect was followed")
	}
	if text := err.Error(); !strings.Contains(text, "redirects to "+elsewhere.URL()+". ") ||
		!strings.Contains(text, "director.url") || strings.Contains(text, "the-host-key") {
		t.Errorf("error: %v", err)
	}
}

func TestContextEnds(t *testing.T) {
	f := newFake(t)
	arrived := make(chan struct{}, 2)
	f.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
		arrived <- struct{}{}
		<-r.Context().Done()
		panic(http.ErrAbortHandler) // an empty answer could overtake the closing
	}
	c := newClient(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	_, err := c.Ticket(ctx, templateKey)
	if !errors.Is(err, context.Canceled) || errors.Is(err, selfservice.ErrAnswerLost) {
		t.Errorf("ticket: %v", err)
	}

	_, err = c.Register(ctx, templateKey, "web1", selfservice.HostProperties{})
	if !errors.Is(err, context.Canceled) || errors.Is(err, selfservice.ErrAnswerLost) {
		t.Errorf("registration that was not sent: %v", err)
	}

	ctx, cancel = context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	_, err = c.Register(ctx, templateKey, "web1", selfservice.HostProperties{})
	if !errors.Is(err, context.Canceled) || !errors.Is(err, selfservice.ErrAnswerLost) {
		t.Errorf("registration that was sent: %v", err)
	}
}

func checkPermanent(t *testing.T, err error) {
	t.Helper()
	var e *selfservice.Error
	if !errors.As(err, &e) || e.Temporary() {
		t.Errorf("%v (%T) is no permanent error", err, err)
	}
}

func checkTemporary(t *testing.T, err error) {
	t.Helper()
	var e *selfservice.Error
	if !errors.As(err, &e) || !e.Temporary() {
		t.Errorf("%v (%T) is no temporary error", err, err)
	}
}
