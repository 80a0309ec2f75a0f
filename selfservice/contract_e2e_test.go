//go:build e2e

package selfservice_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"slices"
	"testing"
)

// TestContractDirector runs the contract against the real Director that the
// file named by ENROLL_LAB describes.
func TestContractDirector(t *testing.T) {
	lab := readLab(t)
	runContract(t, &contractDirector{
		url:        lab.URL,
		roots:      lab.roots,
		template:   lab.Template,
		key:        lab.TemplateKey,
		noAgent:    lab.NoAgent,
		noAgentKey: lab.NoAgentKey,
		endpoint:   lab.Master,
		masters:    []masterState{wrongPassword, unreachable},
		login:      lab.login,
		backstage:  lab,
	})
}

func (l *lab) login(a account) (user, password string) {
	switch a {
	case admin:
		return l.User, l.Password
	case wrongLogin:
		return l.User, "not the password"
	case controller:
		return l.Controller, l.ControllerPassword
	case noModule:
		return l.NoModule, l.ControllerPassword
	case noAPI:
		return l.NoAPI, l.ControllerPassword
	default:
		return l.NoHosts, l.ControllerPassword
	}
}

// lab is a real Director, of which tests see and change the objects by its
// REST API.
type lab struct {
	URL         string `json:"LAB_DIRECTOR_URL"`
	CAFile      string `json:"LAB_DIRECTOR_CA_FILE"`
	User        string `json:"LAB_WEB_USER"`
	Password    string `json:"LAB_WEB_PASSWORD"`
	Controller  string `json:"LAB_CONTROLLER_USER"`
	NoModule    string `json:"LAB_NO_MODULE_USER"` // these have the controller's password
	NoAPI       string `json:"LAB_NO_API_USER"`
	NoHosts     string `json:"LAB_NO_HOSTS_USER"`
	Template    string `json:"LAB_TEMPLATE"`
	TemplateKey string `json:"LAB_TEMPLATE_KEY"`
	NoAgent     string `json:"LAB_NO_AGENT_TEMPLATE"`
	NoAgentKey  string `json:"LAB_NO_AGENT_TEMPLATE_KEY"`
	Master      string `json:"LAB_MASTER_NAME"`
	MasterPort  string `json:"LAB_MASTER_PORT"`
	APIUser     string `json:"LAB_API_USER"`
	APIPassword string `json:"LAB_API_PASSWORD"`

	ControllerPassword string `json:"LAB_CONTROLLER_PASSWORD"`

	roots *x509.CertPool
}

func readLab(t *testing.T) *lab {
	t.Helper()
	path := os.Getenv("ENROLL_LAB")
	if path == "" {
		t.Fatal("ENROLL_LAB is not set: start the lab and name its lab.json there")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{roots: x509.NewCertPool()}
	if err := json.Unmarshal(text, l); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	ca, err := os.ReadFile(l.CAFile)
	if err != nil || !l.roots.AppendCertsFromPEM(ca) {
		t.Fatalf("no certificate in %s: %v", l.CAFile, err)
	}
	return l
}

// rest makes a call to the Director's REST API, as its administrator.
func (l *lab) rest(t *testing.T, method, object, name string, body any, allowed ...int) []byte {
	t.Helper()
	address := l.URL + "/" + object
	if name != "" {
		address += "?name=" + queryEscape(name)
	}
	content, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	// A cleanup needs it too, when the test's context has ended.
	req, err := http.NewRequest(method, address, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(l.User, l.Password)
	req.Header.Set("Accept", asJSON)
	req.Header.Set("Content-Type", asJSON)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: l.roots}}
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	if err != nil || !slices.Contains(allowed, res.StatusCode) {
		t.Fatalf("%s %s %q: status %d, %v: %s", method, object, name, res.StatusCode, err, answer)
	}
	return answer
}

func (l *lab) host(t *testing.T, name string) (contractHost, bool) {
	t.Helper()
	var h struct {
		Error       string   `json:"error"`
		Imports     []string `json:"imports"`
		Key         string   `json:"api_key"`
		DisplayName string   `json:"display_name"`
		Address     string   `json:"address"`
		Address6    string   `json:"address6"`
	}
	answer := l.rest(t, http.MethodGet, "host", name, nil, http.StatusOK, http.StatusNotFound)
	if err := json.Unmarshal(answer, &h); err != nil {
		t.Fatalf("host %q: %v: %s", name, err, answer)
	}
	if h.Error != "" {
		return contractHost{}, false
	}
	found := contractHost{key: h.Key, displayName: h.DisplayName, address: h.Address, address6: h.Address6}
	if len(h.Imports) == 1 {
		found.template = h.Imports[0]
	}
	return found, true
}

func (l *lab) setHost(t *testing.T, name string, h contractHost) {
	t.Helper()
	object := map[string]any{"object_name": name, "object_type": "object", "imports": []string{h.template}}
	for property, value := range map[string]string{
		"api_key": h.key, "display_name": h.displayName, "address": h.address, "address6": h.address6,
	} {
		if value != "" {
			object[property] = value
		}
	}
	if h.masterShouldConnect {
		object["master_should_connect"] = true
	}
	l.rest(t, http.MethodPost, "host", "", object, http.StatusCreated)
}

func (l *lab) dropKey(t *testing.T, name string) {
	t.Helper()
	l.rest(t, http.MethodPost, "host", name, map[string]any{"api_key": nil}, http.StatusOK)
}

func (l *lab) renameHost(t *testing.T, name, newName string) {
	t.Helper()
	l.rest(t, http.MethodPost, "host", name, map[string]any{"object_name": newName}, http.StatusOK)
}

// deleteHost never leaves a name behind that would break a deployment.
func (l *lab) deleteHost(t *testing.T, name string) {
	t.Helper()
	l.rest(t, http.MethodDelete, "host", name, nil, http.StatusOK, http.StatusNotFound)
}

// breakMaster changes what the Director knows of its master. A master without
// a salt, or with an API user that may not make tickets, would have to be
// another one. Its answers were seen once, on Icinga 2.13.6 beside the lab's.
func (l *lab) breakMaster(t *testing.T, how masterState) {
	t.Helper()
	set := func(object, name, property, broken, right string) {
		t.Cleanup(func() { l.rest(t, http.MethodPost, object, name, map[string]any{property: right}, 200, 304) })
		l.rest(t, http.MethodPost, object, name, map[string]any{property: broken}, 200)
	}
	switch how {
	case wrongPassword:
		set("apiuser", l.APIUser, "password", "wrong", l.APIPassword)
	case unreachable:
		set("endpoint", l.Master, "port", "1", l.MasterPort)
	default:
		t.Fatalf("the lab's master cannot be put into the state %q", how)
	}
}
