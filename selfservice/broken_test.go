package selfservice_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/selfservice"
	"icinga-enroll/selfservice/selfservicetest"
)

func hostWithKey(name, key string) selfservicetest.Host {
	return selfservicetest.Host{Name: name, Template: "agent", Key: key}
}

// hexKey has the form of a key that a Director makes.
const hexKey = "0123456789abcdef0123456789abcdef01234567"

// raw answers with bytes that a web server would not send, then hangs up.
func raw(bytes string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, bytes)
		_ = conn.Close()
	}
}

// answer is one with a status, a body, and headers as "Name: value".
func answer(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", asJSON)
		for _, header := range headers {
			name, value, _ := strings.Cut(header, ": ")
			w.Header().Set(name, value)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// endless sends a gigabyte, unless somebody hangs up.
func endless(w http.ResponseWriter, _ *http.Request) { writeGigabyte(w) }

// writeGigabyte returns how many of its 1024 pieces it got rid of.
func writeGigabyte(w io.Writer) (pieces int) {
	piece := []byte(strings.Repeat(" ", 1<<20))
	for ; pieces < 1024; pieces++ {
		if _, err := w.Write(piece); err != nil {
			break
		}
	}
	return pieces
}

const anHTMLPage = "<html><body>Hello</body></html>"

// A brokenRow is an answer that is no good, and what each kind of call makes
// of it.
type brokenRow struct {
	what   string
	answer http.HandlerFunc
	lost   bool   // it loses a registration
	retry  bool   // another call may be tried again; a registration, too, unless lost
	is     error  // sentinel for all calls
	text   string // in the error of each call
}

func brokenRows() []brokenRow {
	const isHTML = "Content-Type: text/html"
	return []brokenRow{
		{what: "closed without an answer", answer: raw(""), lost: true, retry: true},
		{what: "no HTTP", answer: raw("220 mail.example.com ESMTP\r\n"), lost: true, retry: true},
		{what: "closed in the header", answer: raw("HTTP/1.1 200 OK\r\nContent-Ty"), lost: true, retry: true},
		{what: "closed in the body", answer: raw("HTTP/1.1 200 OK\r\nContent-Length: 43\r\n\r\n\"0123"), lost: true, retry: true, text: "broke off"},
		{what: "half JSON", answer: answer(200, `"0123456789`), lost: true, text: "not valid JSON"},
		{what: "key and more", answer: answer(200, `"`+hexKey+`" {}`), lost: true, text: "not valid JSON"},
		{what: "nothing", answer: answer(200, ""), lost: true, text: "empty"},
		{what: "no content", answer: answer(204, ""), lost: true, text: "HTTP status 204"},
		{what: "another status", answer: answer(201, `"`+hexKey+`"`), lost: true, text: "HTTP status 201"},
		{what: "null", answer: answer(200, "null"), lost: true},
		{what: "number", answer: answer(200, "42"), lost: true},
		{what: "list", answer: answer(200, "[]"), lost: true},
		{what: "a gigabyte", answer: endless, lost: true, text: "larger than 1 MiB"},
		{what: "PHP crash", answer: answer(500, anHTMLPage, isHTML), lost: true, retry: true},
		{what: "PHP crash without a page", answer: answer(500, ""), lost: true, retry: true},
		{what: "bad gateway", answer: answer(502, anHTMLPage, isHTML), lost: true, retry: true, text: "no answer from the Director"},
		{what: "gateway timeout in JSON", answer: answer(504, `{"error":"upstream timed out"}`), lost: true, retry: true, text: "upstream timed out"},

		{what: "unavailable", answer: answer(503, anHTMLPage, isHTML), retry: true, text: "too busy"},
		{what: "too many requests", answer: answer(429, ""), retry: true, text: "too busy"},
		{what: "database down", answer: answer(500, `{"error":"SQLSTATE[HY000] [2002] Connection refused"}`), retry: true, text: "SQLSTATE"},
		{what: "error of Icinga Web", answer: answer(500, `{"status":"error","message":"No connection"}`), retry: true, text: "No connection"},
		{what: "old Director's error", answer: answer(200, `{"error":"Got invalid API key \"x\""}`), is: selfservice.ErrKeyRejected, text: "Got invalid"},
		{what: "another was faster", answer: answer(400, `{"error":"Trying to recreate icinga_host (\"web1\") (DbObject.php:928)"}`), is: selfservice.ErrAlreadyRegistered, text: "at the same moment"},
		{what: "error that is no text", answer: answer(400, `{"error":7}`)},
		{what: "web page", answer: answer(200, anHTMLPage, isHTML), text: "director.url"},
		{what: "web page that calls itself JSON", answer: answer(200, anHTMLPage), text: "director.url"},
		{what: "login wanted", answer: answer(401, anHTMLPage, isHTML), text: "without a login"},
		{what: "not allowed", answer: answer(403, anHTMLPage, isHTML), text: "without a login"},
		{what: "not found", answer: answer(404, anHTMLPage, isHTML), text: "director.url"},
		{what: "no such module", answer: answer(404, `{"status":"error","message":"Page not found."}`), text: "director.url"},
		{what: "login page", answer: answer(302, "", "Location: /icingaweb2/authentication/login?redirect=x"), text: "/icingaweb2/authentication/login. "},
		{what: "redirect to nowhere", answer: answer(302, ""), text: "without saying where"},
		{what: "unknown host zone", answer: answer(404, `{"error":"Could not resolve target Zone for x"}{}`), text: "a zone that exists"},
	}
}

func TestBrokenAnswers(t *testing.T) {
	for _, row := range brokenRows() {
		t.Run(row.what, func(t *testing.T) {
			t.Run("register", func(t *testing.T) { testBrokenRegister(t, row) })
			t.Run("ticket", func(t *testing.T) {
				testBrokenCall(t, row, func(c *selfservice.Client) error {
					ticket, err := c.Ticket(t.Context(), templateKey)
					if !ticket.IsZero() {
						t.Error("a ticket was read")
					}
					return err
				})
			})
			t.Run("parameters", func(t *testing.T) {
				testBrokenCall(t, row, func(c *selfservice.Client) error {
					_, err := c.Parameters(t.Context(), templateKey)
					return err
				})
			})
		})
	}
}

// testBrokenRegister registers on a connection that was used before: there
// net/http repeats requests of other methods by itself.
func testBrokenRegister(t *testing.T, row brokenRow) {
	f := newFake(t)
	f.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/register-host") {
			return false
		}
		row.answer(w, r)
		return true
	}
	c := newClient(t, f)
	if _, err := c.Parameters(t.Context(), templateKey); err != nil {
		t.Fatal(err)
	}
	key, err := c.Register(t.Context(), templateKey, "web1", selfservice.HostProperties{})
	if !key.IsZero() {
		t.Error("a key was read")
	}
	if calls := f.Calls(); len(calls) != 2 || calls[0].Connection != calls[1].Connection {
		t.Errorf("the Director saw %d calls, want 2 on one connection", len(calls))
	}
	row.check(t, err, row.retry && !row.lost)
	if errors.Is(err, selfservice.ErrAnswerLost) != row.lost {
		t.Errorf("answer lost is not %t: %v", row.lost, err)
	}
	if row.lost && !strings.Contains(err.Error(), `press "Drop Self Service API key"`) {
		t.Errorf("%q does not say how to go on", err)
	}
}

func testBrokenCall(t *testing.T, row brokenRow, call func(*selfservice.Client) error) {
	f := newFake(t)
	f.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		row.answer(w, r)
		return true
	}
	err := call(newClient(t, f))
	row.check(t, err, row.retry)
	if errors.Is(err, selfservice.ErrAnswerLost) {
		t.Errorf("a call that can be repeated is lost: %v", err)
	}
}

func (row brokenRow) check(t *testing.T, err error, temporary bool) {
	t.Helper()
	if temporary {
		checkTemporary(t, err)
	} else {
		checkPermanent(t, err)
	}
	if err == nil || !strings.Contains(err.Error(), row.text) || len(err.Error()) > 1000 {
		t.Errorf("error %q, want %q in it", err, row.text)
	}
	if row.is != nil && !errors.Is(err, row.is) {
		t.Errorf("error %q is not %q", err, row.is)
	}
}

func TestAGigabyteIsNotRead(t *testing.T) {
	f := newFake(t)
	sent := make(chan int, 1)
	f.Fault = func(w http.ResponseWriter, _ *http.Request) bool {
		sent <- writeGigabyte(w)
		return true
	}
	if _, err := newClient(t, f).Parameters(t.Context(), templateKey); err == nil {
		t.Error("a gigabyte of nothing was taken for parameters")
	}
	// Beyond the limit there are the buffers of two ends of a connection.
	if pieces := <-sent; pieces > 32 {
		t.Errorf("%d MiB were read, the limit is 1", pieces)
	}
}

// TestOnlyAKeyIsAKey: what isn't exactly a Director's key is
// never taken for one.
func TestOnlyAKeyIsAKey(t *testing.T) {
	for _, body := range []string{
		`""`, `"0123456789"`, `"` + hexKey + `0"`, `"` + hexKey[1:] + `"`, `" ` + hexKey[1:] + `"`, `"` + hexKey + `\n"`,
		`"` + strings.ToUpper(hexKey) + `"`, `"` + strings.Repeat("g", 40) + `"`, `["` + hexKey + `"]`, `{"key":"` + hexKey + `"}`,
		`"ERROR: no"`, hexKey,
	} {
		f := newFake(t)
		f.Fault = func(w http.ResponseWriter, r *http.Request) bool { answer(200, body)(w, r); return true }
		key, err := newClient(t, f).Register(t.Context(), templateKey, "web1", selfservice.HostProperties{})
		if !key.IsZero() || !errors.Is(err, selfservice.ErrAnswerLost) {
			t.Errorf("%s: key read %t, %v", body, !key.IsZero(), err)
		}
		if strings.Contains(strings.ToLower(err.Error()), hexKey[1:]) {
			t.Errorf("the error repeats what was sent: %v", err)
		}
	}
}

func TestNoKeyInAnyError(t *testing.T) {
	const key = `template "key" <&> 0123`
	inJSON, err := json.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Trim(string(inJSON), `"`)
	spelled := []string{key, text, url.QueryEscape(key), url.PathEscape(key), html.EscapeString(key), hexKey}
	rows := brokenRows()
	for _, s := range spelled {
		for _, status := range []int{200, 400, 401, 403, 404, 429, 500, 502, 503, 504} {
			rows = append(rows,
				brokenRow{answer: answer(status, `{"error":"Got invalid API key \"`+text+`\" `+hexKey+`"}`)},
				brokenRow{answer: answer(status, `{"status":"error","message":"no `+url.QueryEscape(s)+`"}`)},
				brokenRow{answer: answer(status, "<html>"+s+"</html>")})
		}
		rows = append(rows,
			brokenRow{answer: raw("HTTP/1.1 " + s + "\r\n\r\n")},
			brokenRow{answer: raw("HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: https://example.com/" + url.PathEscape(s) + "\r\n\r\n")},
			brokenRow{answer: raw("HTTP/1.1 200 OK\r\nContent-Length: " + s + "\r\n\r\n")},
			brokenRow{answer: raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: " + s + "\r\n\r\n")})
	}
	for i, row := range rows {
		f := newFake(t)
		f.Fault = func(w http.ResponseWriter, r *http.Request) bool { row.answer(w, r); return true }
		c := newClient(t, f)
		_, registerErr := c.Register(t.Context(), secret.New(key), "web1", selfservice.HostProperties{})
		_, ticketErr := c.Ticket(t.Context(), secret.New(key))
		_, parametersErr := c.Parameters(t.Context(), secret.New(key))
		for _, err := range []error{registerErr, ticketErr, parametersErr} {
			all := fmt.Sprintf("%v %+v %#v", err, err, err)
			for _, s := range spelled {
				if err == nil || strings.Contains(all, s) || strings.Contains(all, "name=web1") {
					t.Fatalf("row %d %s: the error contains the key or a query: %s", i, row.what, all)
				}
			}
		}
	}
}

func TestRetryAfter(t *testing.T) {
	inAnHour := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	tests := []struct {
		header   string
		min, max time.Duration
	}{
		{"120", 2 * time.Minute, 2 * time.Minute},
		{"0", 0, 0},
		{"-5", 0, 0},
		{"4000000000", 24 * time.Hour, 24 * time.Hour},
		{"99999999999999999999", 0, 0},
		{inAnHour, 59 * time.Minute, time.Hour},
		{"Mon, 02 Jan 2006 15:04:05 GMT", 0, 0},
		{"Fri, 31 Dec 9999 23:59:59 GMT", 24 * time.Hour, 24 * time.Hour},
		{"soon", 0, 0},
	}
	for _, test := range tests {
		f := newFake(t)
		f.Fault = func(w http.ResponseWriter, r *http.Request) bool {
			answer(503, "", "Retry-After: "+test.header)(w, r)
			return true
		}
		_, err := newClient(t, f).Register(t.Context(), templateKey, "web1", selfservice.HostProperties{})
		var e *selfservice.Error
		if !errors.As(err, &e) || e.RetryAfter < test.min || e.RetryAfter > test.max {
			t.Errorf("Retry-After: %s: %v, %+v", test.header, err, e)
		}
	}
}
