package selfservice

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"icinga-enroll/enroll/secret"
)

const restPassword = "open sesame <1>"

// answering returns a controller of a server that always answers the same.
func answering(t *testing.T, status int, header http.Header, body string) *Controller {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for name := range header {
			w.Header().Set(name, header.Get(name))
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(s.Close)
	c, err := NewController(s.URL+"/icingaweb2/director", Options{AllowInsecureHTTP: true}, "controller", secret.New(restPassword))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// TestRESTErrorsHideSecrets: what a server sends back of the login or of a new
// key is not shown.
func TestRESTErrorsHideSecrets(t *testing.T) {
	const basic = "Y29udHJvbGxlcjpvcGVuIHNlc2FtZSA8MT4=" // controller:open sesame <1>
	const key = "a-short-key"
	body := `{"error":"SQLSTATE[23000]: Duplicate entry '` + key + `' of ` + restPassword + ` (Basic ` + basic + `)"}`
	err := answering(t, 500, nil, body).SetHostKey(t.Context(), "web1", secret.New(key))
	if err == nil {
		t.Fatal("no error")
	}
	for _, hidden := range []string{key, restPassword, basic} {
		if strings.Contains(err.Error(), hidden) {
			t.Errorf("%q is in the error: %v", hidden, err)
		}
	}
	if !strings.Contains(err.Error(), "Duplicate entry '[redacted]'") {
		t.Errorf("the Director's words are gone: %v", err)
	}
}

// TestRESTAnswersOfOthers: what is no answer of a Director's REST API says what
// to look at, and whether waiting helps.
func TestRESTAnswersOfOthers(t *testing.T) {
	const checksum = "0123456789012345678901234567890123456789"
	login := http.Header{"Location": {"/icingaweb2/authentication/login?redirect=x"}}
	for _, test := range []struct {
		what      string
		status    int
		header    http.Header
		body      string
		text      string
		temporary bool
	}{
		{"login page", 302, login, "", "does something on the way to the Director change the header Accept", false},
		{"elsewhere", 301, http.Header{"Location": {"https://elsewhere.example.com/d/host?name=web1"}}, "", "the password would go along: set director.url to that address", false},
		{"a web page", 200, nil, "<html>", "the answer is a web page", false},
		{"a proxy's 403", 403, nil, "<html>", "Basic authentication", false},
		{"a proxy's 401", 401, nil, "<html>Unauthorized", "Icinga Web says the same while its database is away", false},
		{"no such page", 404, nil, `{"status":"error","message":"Page not found."}`, "Does director.url lead to an Icinga Director", false},
		{"an old duplicate", 500, nil, `{"error":"Trying to recreate icinga_host (\"web1\")"}`, "Change that host", false},
		{"a newer Director without director/hosts", 500, nil, `{"status":"error","message":"Call to a member function getObjectName() on null"}`, "without the permission director/hosts", false},
		{"Director 1.12.1's database", 500, nil, `{"status":"error","message":"gipfl\\Json\\JsonEncodeException: Malformed UTF-8 characters, possibly incorrectly encoded"}`, "over 255 characters", false},
		{"an error with 200", 200, nil, `{"error":"No such object available"}`, "Is the name right", false},
		{"busy", 503, http.Header{"Retry-After": {"5"}}, "", "try again later", true},
		{"unchanged", 304, nil, "", "the server redirects", false},
		{"created", 201, nil, `{"object_name":"web1","object_type":"object"}`, "no status that a Director sends", false},
		{"a list", 200, nil, `[]`, "not a host object", false},
		{"a key of another kind", 200, nil, `{"object_name":"web1","object_type":"object","api_key":["` + checksum[:38] + `"]}`, "not a host object", false},
	} {
		t.Run(test.what, func(t *testing.T) {
			_, err := answering(t, test.status, test.header, test.body).Host(t.Context(), "web1")
			if err == nil || !strings.Contains(err.Error(), test.text) {
				t.Fatalf("error %v does not say %q", err, test.text)
			}
			if temporary := err.(interface{ Temporary() bool }).Temporary(); temporary != test.temporary {
				t.Errorf("temporary is %t: %v", temporary, err)
			}
			if strings.Contains(err.Error(), checksum[:38]) {
				t.Errorf("the key is in the error: %v", err)
			}
		})
	}
}

// TestDeployAnswers: a 200 is no success by itself, and a state that means
// nothing here is no state.
func TestDeployAnswers(t *testing.T) {
	const checksum = "0123456789012345678901234567890123456789"
	for body, text := range map[string]string{
		`{"error":"Config deployment failed: x"}{"checksum":"` + checksum + `"}`: "has not taken the configuration",
		`{"checksum":"../../x"}`: "no checksum",
		`{"checksum":null}`:      "no checksum",
	} {
		if _, err := answering(t, 200, nil, body).Deploy(t.Context()); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: error %v does not say %q", body, err, text)
		}
	}
	for _, body := range []string{`{}`, `{"configs":[]}`, `{"configs":{}}`, `{"configs":{"` + checksum + `":"lost"}}`} {
		if state, err := answering(t, 200, nil, body).Deployment(t.Context(), checksum); err == nil || state != "" {
			t.Errorf("%s: state %q, %v", body, state, err)
		}
	}
}

// TestControllerNeedsLogin: what is wrong with the settings is said before
// anything is sent, without what was given.
func TestControllerNeedsLogin(t *testing.T) {
	const director = "https://icinga.example.com/icingaweb2/director"
	for _, test := range []struct{ url, user, password, text string }{
		{director, "", "secret", "name and the password"},
		{director, "controller", "", "name and the password"},
		{director, "a:b", "secret", "colon"},
		{"http://icinga.example.com/", "controller", "secret", "clear text"},
	} {
		_, err := NewController(test.url, Options{}, test.user, secret.New(test.password))
		if err == nil || !strings.Contains(err.Error(), test.text) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s:%s: %v", test.user, test.password, err)
		}
	}
	c := answering(t, 500, nil, "")
	if err := c.SetHostKey(t.Context(), "web1", secret.Text{}); err == nil || !strings.Contains(err.Error(), "empty key") {
		t.Errorf("an empty key: %v", err)
	}
}

// FuzzHost: whatever a server sends as a host, nothing panics, a host has a
// name, and a key is in no error and not printed.
func FuzzHost(f *testing.F) {
	const key = "0123456789012345678901234567890123456789"
	for _, body := range []string{
		`{"object_name":"web1","object_type":"object","imports":["a"],"api_key":"` + key + `","vars":{"a":"1"},"fields":[]}`,
		`{"object_name":"web1","object_type":"template","imports":{"1":"b"},"api_key":null,"disabled":"y","zone":null}`,
		`{"object_name":1,"object_type":"object","imports":"a","api_key":["` + key + `"]}`, `{"api_key":"` + key + `"}`, `null`, `[]`, `{`,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		h, err := decodeHost([]byte(body))
		if err != nil {
			if strings.Contains(err.Error(), key) {
				t.Errorf("error: %v", err)
			}
			return
		}
		if h.Name == "" || h.Type == "" {
			t.Errorf("host %+v", h)
		}
		if printed := h.Key.String(); printed != "" && printed != "[redacted]" {
			t.Errorf("the key is printed: %s", printed)
		}
	})
}
