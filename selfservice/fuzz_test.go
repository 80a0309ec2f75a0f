package selfservice

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// FuzzAnswer: whatever a server sends, nothing panics, a key is exactly of a
// Director's form, and an error never contains the call's key.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		observed, `"0123456789abcdef0123456789abcdef01234567"`, `{"error":"Got invalid API key \"the-secret-key\""}`,
		`{"status":"error","message":"x"}`, `{"error":"a"}{"b":1}`, "\n", "<html>", `{"parent_endpoints":{"1":"b"}}`, `[[[[`,
	} {
		f.Add(200, body)
		f.Add(404, body)
	}
	f.Add(400, `{"error":"\the-secret-key"}`) // a tab, which escaping turns into \t
	f.Fuzz(func(t *testing.T, status int, body string) {
		const key = "the-secret-key"
		c := &Client{base: &url.URL{Host: "director.example.com"}}
		k := selfService(callRegister, url.Values{"key": {key}})
		k.once = true
		answer, err := c.judge(k, &http.Response{StatusCode: status, Header: http.Header{}}, []byte(body))
		if err != nil {
			if strings.Contains(err.Error(), key) || len(err.Error()) > 2000 {
				t.Errorf("error: %v", err)
			}
			return
		}
		if hostKey, err := decodeHostKey(answer); err == nil && !hexOf40.MatchString(hostKey.Reveal()) {
			t.Errorf("%q became a key", body)
		}
		if ticket, err := decodeTicket(answer); err == nil && ticket.IsZero() {
			t.Errorf("%q became an empty ticket", body)
		}
		if p, err := decodeParameters(answer); err == nil {
			checkParents(t, p)
		}
	})
}

var hexOf40 = regexp.MustCompile(`\A[0-9a-f]{40}\z`)

func checkParents(t *testing.T, p Parameters) {
	t.Helper()
	for _, parent := range p.Parents {
		if parent.Name == "" || strings.ContainsAny(parent.Name+parent.Host+parent.Port, "\n\r\x00") {
			t.Errorf("parent %+v", parent)
		}
	}
}
