package pki_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/pki"
	"icinga-enroll/pki/pkitest"
)

const passwordText = "open-5esame"

var credentials = base64.StdEncoding.EncodeToString([]byte("root:" + passwordText))

func apiAt(address string, trust pki.Trust) *pki.API {
	return &pki.API{Address: address, Names: []string{"master"}, Trust: trust, User: "root", Password: secret.New(passwordText)}
}

func TestPasswordIsNeverWrittenBeforeThePeerIsVerified(t *testing.T) {
	ca, otherCA, now := newCA(t), newCA(t), time.Now()
	identity := func(ca *pkitest.CA, cn string, left time.Duration) tls.Certificate {
		c, err := ca.Identity(cn, now.Add(-48*time.Hour), now.Add(left))
		noError(t, err)
		return c
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, test := range []struct {
			name    string
			present tls.Certificate
			want    error
		}{
			{"the master", identity(ca, "master", time.Hour), pki.ErrUnauthorized},
			{"another CA", identity(otherCA, "master", time.Hour), pki.ErrUntrusted},
			{"another node of the CA", identity(ca, "agent17", time.Hour), pki.ErrWrongPeer},
			{"expired", identity(ca, "master", -time.Hour), pki.ErrUntrusted},
		} {
			t.Run(fmt.Sprintf("%s %s", tls.VersionName(version), test.name), func(t *testing.T) {
				server := newServer(t, ca, "master", func(s *pkitest.Server) { s.Certificate, s.MaxVersion = test.present, version })
				_, err := apiAt(server.Addr(), trusting(ca).Trust).GenerateTicket(t.Context(), "node")
				server.Close()
				if !errors.Is(err, test.want) || temporary(t, err) {
					t.Errorf("got %v, want %v", err, test.want)
				}
				sent := bytes.Contains(server.Received(), []byte(credentials))
				if right := errors.Is(test.want, pki.ErrUnauthorized); sent != right || !right && len(server.Received()) > 0 {
					t.Errorf("%d bytes were written, the password among them: %v", len(server.Received()), sent)
				}
			})
		}
	}
}

func TestAPIRefusesWithoutDialling(t *testing.T) {
	identity, err := newCA(t).Identity("user", time.Now(), time.Now().Add(time.Hour))
	noError(t, err)
	for name, test := range map[string]struct {
		change func(*pki.API)
		text   string
	}{
		"nobody":              {func(a *pki.API) { a.User, a.Password = "", secret.Text{} }, "give one of them"},
		"no password":         {func(a *pki.API) { a.Password = secret.Text{} }, "give one of them"},
		"both":                {func(a *pki.API) { a.Certificate = &identity }, "looks at the certificate first"},
		"password to anybody": {func(a *pki.API) { a.Names = nil }, "name@host:port"},
		"colon in the user":   {func(a *pki.API) { a.User = "a:b" }, "colon"},
		"no address":          {func(a *pki.API) { a.Address = "a b\n" }, "host:port"},
		"empty certificate":   {func(a *pki.API) { a.User, a.Password, a.Certificate = "", secret.Text{}, &tls.Certificate{} }, "can't be read"},
	} {
		api := apiAt("192.0.2.1:5665", pki.Trust{FirstUse: true})
		api.Dial = func(context.Context, string, string) (net.Conn, error) {
			t.Errorf("%s: dialled", name)
			return nil, io.EOF
		}
		test.change(api)
		if _, err := api.WhoAmI(t.Context()); err == nil || temporary(t, err) || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v, want %q", name, err, test.text)
		}
	}
	if _, err := (&pki.API{}).GenerateTicket(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "common name") {
		t.Errorf("no name: %v", err)
	}
}

// answering is an API whose server reads the request's head and then behaves as
// talk does.
func answering(t *testing.T, talk func(conn net.Conn, head string)) *pki.API {
	identity, err := newCA(t).Identity("master", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	noError(t, err)
	config := &tls.Config{Certificates: []tls.Certificate{identity}, SessionTicketsDisabled: true}
	client := dialling(t, func(raw net.Conn) {
		conn := tls.Server(raw, config)
		var head strings.Builder
		r := bufio.NewReader(conn)
		for line := ""; line != "\r\n"; head.WriteString(line) {
			if line, err = r.ReadString('\n'); err != nil {
				return
			}
		}
		go func() { _, _ = io.Copy(io.Discard, raw) }() // who hangs up waits until it is heard
		talk(conn, head.String())
	})
	api := apiAt("master:5665", client.Trust)
	api.Dial = client.Dial
	return api
}

func httpAnswer(status, body string) string {
	return fmt.Sprintf("HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
}

func TestAnswersOfABadAPI(t *testing.T) {
	for name, test := range map[string]struct {
		say       string
		kind      error
		temporary bool
		text      string
	}{
		"nothing":             {"", pki.ErrNoAnswer, true, "closed the connection"},
		"half a head":         {"HTTP/1.1 200", pki.ErrNoAnswer, true, "closed the connection"},
		"half a body":         {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", pki.ErrNoAnswer, true, "closed the connection"},
		"JSON-RPC":            {netstringOf(hello), nil, false, "does not answer as Icinga's API"},
		"SSH":                 {"SSH-2.0-OpenSSH_9.2\r\n\r\n", nil, false, "does not answer as Icinga's API"},
		"endless head":        {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n", nil, false, "exceeded 65536 bytes"},
		"HTML":                {httpAnswer("200 OK", "<html>"), nil, false, "not the JSON"},
		"no results":          {httpAnswer("200 OK", "{}"), nil, false, "no ticket"},
		"null":                {httpAnswer("200 OK", "null"), nil, false, "no ticket"},
		"results of a kind":   {httpAnswer("200 OK", `{"results":{"ticket":"x"}}`), nil, false, "not the JSON"},
		"empty ticket":        {httpAnswer("200 OK", `{"results":[{"ticket":""}]}`), nil, false, "no ticket"},
		"ticket of two lines": {httpAnswer("200 OK", `{"results":[{"ticket":"a\nb"}]}`), nil, false, "no ticket"},
		"too long":            {httpAnswer("200 OK", strings.Repeat(" ", 16<<20+1)), nil, false, "longer than 16777216 bytes"},
		"redirect":            {"HTTP/1.1 302 Found\r\nLocation: https://192.0.2.1/\r\nContent-Length: 0\r\n\r\n", nil, false, "redirects (302)"},
		"404 of a web server": {httpAnswer("404 Not Found", "<h1>404</h1>"), nil, false, "404 without Icinga's JSON"},
		"403":                 {httpAnswer("403 Forbidden", `{"error":403,"status":"Missing permission"}`), pki.ErrForbidden, false, `"actions/generate-ticket"`},
		"400":                 {httpAnswer("400 Bad Request", `{"error":400,"status":"What?"}`), nil, false, "What?"},
		"500":                 {httpAnswer("500 Internal Server Error", `{"error":500,"status":"Out of luck"}`), nil, false, "Out of luck"},
		"503":                 {httpAnswer("503 Service Unavailable", `{"error":503,"status":"Icinga is reloading."}`), nil, true, "reloading"},
		"503 of a proxy":      {httpAnswer("503 Service Unavailable", "<html>"), nil, true, "can't answer now"},
		"control characters":  {httpAnswer("400 Bad Request", `{"status":"\u001b[2J\r\n\u202ered"}`), nil, false, `\x1b[2J\r\n\u202ered`},
		"401 without JSON":    {httpAnswer("401 Unauthorized", ""), pki.ErrUnauthorized, false, `the user "root"`},
	} {
		t.Run(name, func(t *testing.T) {
			api := answering(t, func(conn net.Conn, _ string) { _, _ = io.WriteString(conn, test.say) })
			_, err := api.GenerateTicket(t.Context(), "node")
			if err == nil || !strings.Contains(err.Error(), test.text) || !strings.Contains(err.Error(), "master:5665") || len(err.Error()) > 1000 {
				t.Fatalf("got %v, want %q", err, test.text)
			}
			if test.kind != nil && !errors.Is(err, test.kind) || temporary(t, err) != test.temporary {
				t.Errorf("%v is not %v, or temporary is not %v", err, test.kind, test.temporary)
			}
		})
	}
}

// A server that echoes what it got must not get it into a log.
func TestNoErrorShowsThePassword(t *testing.T) {
	for name, say := range map[string]func(head string) string{
		"message":   func(string) string { return httpAnswer("400 Bad", `{"status":"`+credentials+" "+passwordText+`"}`) },
		"forbidden": func(string) string { return httpAnswer("404 Not", `{"status":"`+credentials+`"}`) },
		"no HTTP":   func(head string) string { return credentials + head },
		"a status":  func(string) string { return "HTTP/1.1 " + credentials + "\r\n\r\n" },
		"a header":  func(head string) string { return "HTTP/1.1 200 OK\r\n" + credentials + "\r\n\r\n" },
	} {
		api := answering(t, func(conn net.Conn, head string) { _, _ = io.WriteString(conn, say(head)) })
		_, err := api.GenerateTicket(t.Context(), "node")
		text := fmt.Sprintf("%v %+v %#v %+v", err, err, err, api)
		if err == nil || strings.Contains(text, passwordText) || strings.Contains(text, credentials[:12]) || !strings.Contains(text, "[redacted]") {
			t.Errorf("%s: %s", name, text)
		}
	}
}

// Proxies are for the web; a redirect would take the password elsewhere.
func TestAPIGoesNowhereElse(t *testing.T) {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "ALL_PROXY"} {
		t.Setenv(name, "http://127.0.0.1:1")
	}
	dials, asked := 0, ""
	api := answering(t, func(conn net.Conn, head string) {
		asked = head
		_, _ = io.WriteString(conn, "HTTP/1.1 307 Temporary Redirect\r\nLocation: https://master:5665/v2/\r\nContent-Length: 0\r\n\r\n")
	})
	dial := api.Dial
	api.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		dials++
		if address != "master:5665" {
			t.Errorf("dialled %s", address)
		}
		return dial(ctx, network, address)
	}
	_, err := api.Endpoints(t.Context())
	if err == nil || dials != 1 {
		t.Errorf("%v after %d connections, want one", err, dials)
	}
	request, err := http.ReadRequest(bufio.NewReader(strings.NewReader(asked)))
	noError(t, err)
	if request.Proto != "HTTP/1.1" || request.Host != "master:5665" || request.Header.Get("Accept") != "application/json" {
		t.Errorf("asked was %s", strings.ReplaceAll(asked, credentials, "..."))
	}
}

func TestAPIConnectionErrors(t *testing.T) {
	api := apiAt("master:5665", pki.Trust{FirstUse: true})
	api.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no route") }
	if _, err := api.WhoAmI(t.Context()); err == nil || !temporary(t, err) || !strings.Contains(err.Error(), "can't be reached") {
		t.Errorf("no route: %v", err)
	}
	refusing := &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13}
	ca := newCA(t)
	identity, err := ca.Identity("master", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	noError(t, err)
	refusing.Certificates = []tls.Certificate{identity}
	client := dialling(t, func(raw net.Conn) {
		conn := tls.Server(raw, refusing)
		_ = conn.Handshake()
		_, _ = io.Copy(io.Discard, raw)
	})
	api = &pki.API{Address: "master:5665", Trust: client.Trust, Dial: client.Dial, Certificate: &identity}
	if _, err := api.WhoAmI(t.Context()); err == nil || temporary(t, err) || !strings.Contains(err.Error(), "refused the TLS connection") {
		t.Errorf("a refused certificate: %v", err)
	}
}

func TestAPICallsEndInTime(t *testing.T) {
	for name, talk := range map[string]func(net.Conn, string){
		"no answer": func(conn net.Conn, _ string) { _, _ = io.Copy(io.Discard, conn) },
		"dripping": func(conn net.Conn, _ string) {
			every(time.Second, conn, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", " ")
		},
		"dripping head": func(conn net.Conn, _ string) { every(time.Second, conn, "HTTP/1.1 200 OK\r\n", "X: y\r\n") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				_, err := answering(t, talk).WhoAmI(t.Context())
				if took := time.Since(start); took != 30*time.Second || !errors.Is(err, context.DeadlineExceeded) || !temporary(t, err) {
					t.Errorf("after %v: %v, want a temporary error after 30s", took, err)
				}
			})
		})
	}
}

// Icinga 2.13.6 took such an object, and its user such a certificate.
func ExampleUnauthorizedError_Object() {
	e := &pki.UnauthorizedError{ClientCN: `user-"x"\y`, Permission: "actions/generate-ticket"}
	fmt.Print(e.Object())
	// Output:
	// object ApiUser "user-\"x\"\\y" {
	//   client_cn = "user-\"x\"\\y"
	//   permissions = [ "actions/generate-ticket" ]
	// }
}

func TestUnauthorizedSaysWhatIsMissing(t *testing.T) {
	byCertificate := &pki.UnauthorizedError{ClientCN: "grafana"}
	if text := byCertificate.Error(); !strings.Contains(text, `object ApiUser "grafana" { client_cn = "grafana" } is missing`) {
		t.Error(text)
	}
	byPassword := &pki.UnauthorizedError{User: "root"}
	if text := byPassword.Error(); !strings.Contains(text, `"root"`) || byPassword.Object() != "" {
		t.Errorf("%s, to be pasted: %q", text, byPassword.Object())
	}
}

func TestTimeOfTheStart(t *testing.T) {
	for number, want := range map[string]time.Time{
		"1795362000.5": time.Date(2026, 11, 22, 15, 40, 0, 5e8, time.UTC),
		"0":            {}, "-1": {}, "1e300": {},
	} {
		api := answering(t, func(conn net.Conn, _ string) {
			_, _ = io.WriteString(conn, httpAnswer("200 OK", `{"results":[{"status":{"icingaapplication":{"app":{"program_start":`+number+`}}}}]}`))
		})
		if got, err := api.Started(t.Context()); !got.Equal(want) || (err != nil) != want.IsZero() {
			t.Errorf("%s: %v, %v, want %v", number, got, err, want)
		}
	}
}
