package pki_test

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/pki"
	"icinga-enroll/pki/pkitest"
)

// apiAuthority is an authority whose master has users.
type apiAuthority interface {
	authority
	// addUser makes an ApiUser for the time of the test.
	addUser(t *testing.T, u pkitest.APIUser)
	// withoutSalt is another master, which has no ticket_salt, and a user of all
	// rights there.
	withoutSalt(t *testing.T) *pki.API
}

// apiScene is one asker.
type apiScene struct {
	apiAuthority
	api  *pki.API
	user pkitest.APIUser
}

type apiStep func(t *testing.T, s *apiScene)

// apiContract is what the API of Icinga 2.13.6 answers.
var apiContract = []struct {
	name  string
	steps []apiStep
}{
	{"password", []apiStep{may("actions/*", "objects/query/Host"), byPassword, isUser}},
	{"password, no permissions", []apiStep{may(), byPassword, isUser}},
	{"wrong password", []apiStep{may("*"), byPassword, spoil, isUnauthorized}},
	{"unknown user", []apiStep{may("*"), byPassword, func(_ *testing.T, s *apiScene) { s.api.User += "x" }, isUnauthorized}},
	{"certificate", []apiStep{may("objects/query/*"), byCertificate(10, 10), isUser}},
	{"certificate, no permissions", []apiStep{may(), byCertificate(10, 10), isUser}},
	{"certificate of no ApiUser", []apiStep{may("*"), otherCN, byCertificate(10, 10), isUnauthorized}},
	{"certificate that has expired", []apiStep{may("*"), byCertificate(10, -1), isRejected("has expired")}},
	{"certificate that is not valid yet", []apiStep{may("*"), byCertificate(-1, 10), isRejected("not valid before")}},
	{"self-signed certificate", []apiStep{may("*"), selfSigned, isRejected("only a certificate of this Icinga's own CA counts")}},
	{"certificate of another CA", []apiStep{may("*"), ofAnotherCA, isRejected("only a certificate of this Icinga's own CA counts")}},

	{"ticket by password", []apiStep{may("actions/generate-ticket"), byPassword, getsTicket}},
	{"ticket by certificate", []apiStep{may("actions/generate-ticket"), byCertificate(10, 10), getsTicket}},
	{"ticket without permission", []apiStep{may("actions/reschedule-check", "objects/*"), byPassword, isForbidden("actions/generate-ticket", ticketOf)}},
	{"ticket by certificate without permission", []apiStep{may(), byCertificate(10, 10), isForbidden("actions/generate-ticket", ticketOf)}},
	{"ticket without salt", []apiStep{noSalt, hasNoSalt}},

	{"endpoints", []apiStep{may("objects/query/Endpoint"), byPassword, seesMaster}},
	{"endpoints by certificate", []apiStep{may("objects/query/*"), byCertificate(10, 10), seesMaster}},
	{"endpoints without permission", []apiStep{may("objects/query/Host"), byPassword, isForbidden("objects/query/Endpoint", endpointsOf)}},
}

func runAPIContract(t *testing.T, a apiAuthority) {
	for _, row := range apiContract {
		t.Run(row.name, func(t *testing.T) {
			s := &apiScene{apiAuthority: a}
			s.api = &pki.API{Address: a.master().Address, Names: a.master().Names, Trust: pki.Trust{Roots: []*x509.Certificate{a.certificate()}}}
			for _, step := range row.steps {
				step(t, s)
			}
		})
	}
}

func may(permissions ...string) apiStep {
	return func(t *testing.T, s *apiScene) {
		name := "api-" + strings.ToLower(rand.Text()[:12])
		s.user = pkitest.APIUser{Name: name, Password: rand.Text(), ClientCN: name + "-cn", Permissions: permissions}
		s.addUser(t, s.user)
	}
}

func byPassword(_ *testing.T, s *apiScene) {
	s.api.User, s.api.Password = s.user.Name, secret.New(s.user.Password)
}

func spoil(_ *testing.T, s *apiScene) { s.api.Password = secret.New(s.user.Password + "x") }

func otherCN(_ *testing.T, s *apiScene) { s.user.ClientCN += "-nobody" }

func byCertificate(daysPast, daysLeft int) apiStep {
	return func(t *testing.T, s *apiScene) {
		key := newKeyOf(t, pki.ECDSAP256)
		s.show(key, s.sign(t, key, s.user.ClientCN, daysPast, daysLeft))
	}
}

func selfSigned(t *testing.T, s *apiScene) {
	key := newKeyOf(t, pki.Ed25519)
	c, err := pki.RequestCertificate(key, s.user.ClientCN, time.Now())
	noError(t, err)
	s.show(key, c)
}

func ofAnotherCA(t *testing.T, s *apiScene) {
	key := newKeyOf(t, pki.ECDSAP256)
	c, err := newCA(t).Sign(key.Public(), s.user.ClientCN, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	noError(t, err)
	s.show(key, c)
}

func (s *apiScene) show(key crypto.Signer, c *x509.Certificate) {
	s.api.Certificate = &tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: key}
}

func noSalt(t *testing.T, s *apiScene) { s.api = s.withoutSalt(t) }

func isUser(t *testing.T, s *apiScene) {
	t.Helper()
	id, err := s.api.WhoAmI(t.Context())
	noError(t, err)
	if id.User != s.user.Name || !slices.Equal(id.Permissions, s.user.Permissions) {
		t.Errorf("I am %q and may %q, want %q, %q", id.User, id.Permissions, s.user.Name, s.user.Permissions)
	}
}

func isUnauthorized(t *testing.T, s *apiScene) {
	t.Helper()
	_, err := s.api.GenerateTicket(t.Context(), "node")
	var e *pki.UnauthorizedError
	if !errors.As(err, &e) || !errors.Is(err, pki.ErrUnauthorized) || temporary(t, err) {
		t.Fatalf("got %v, want a permanent UnauthorizedError", err)
	}
	want := pki.UnauthorizedError{User: s.api.User, Permission: "actions/generate-ticket"}
	if s.api.Certificate != nil {
		want.ClientCN = s.user.ClientCN
	}
	if *e != want {
		t.Errorf("got %+v, want %+v", *e, want)
	}
}

// isRejected expects a certificate for which no ApiUser would help.
func isRejected(why string) apiStep {
	return func(t *testing.T, s *apiScene) {
		t.Helper()
		_, err := s.api.WhoAmI(t.Context())
		var e *pki.UnauthorizedError
		if !errors.Is(err, pki.ErrUnauthorized) || errors.As(err, &e) || temporary(t, err) != (why == "not valid before") || !strings.Contains(err.Error(), why) {
			t.Errorf("got %v, want ErrUnauthorized about %q, temporary only where time helps", err, why)
		}
	}
}

func getsTicket(t *testing.T, s *apiScene) {
	t.Helper()
	for _, cn := range []string{s.user.ClientCN, `ü "quoted" & <b>`} {
		got, err := s.api.GenerateTicket(t.Context(), cn)
		noError(t, err)
		if want := s.ticket(t, cn); !got.Equal(want) {
			t.Errorf("%q: another ticket than that of `icinga2 pki ticket`", cn)
		}
	}
}

func ticketOf(t *testing.T, a *pki.API) error {
	_, err := a.GenerateTicket(t.Context(), "node")
	return err
}

func endpointsOf(t *testing.T, a *pki.API) error {
	_, err := a.Endpoints(t.Context())
	return err
}

func isForbidden(permission string, call func(*testing.T, *pki.API) error) apiStep {
	return func(t *testing.T, s *apiScene) {
		t.Helper()
		err := call(t, s.api)
		if !errors.Is(err, pki.ErrForbidden) || temporary(t, err) || !strings.Contains(err.Error(), `"`+permission+`"`) {
			t.Errorf("got %v, want a permanent ErrForbidden about %s", err, permission)
		}
	}
}

func hasNoSalt(t *testing.T, s *apiScene) {
	t.Helper()
	err := ticketOf(t, s.api)
	if !errors.Is(err, pki.ErrNoSalt) || temporary(t, err) {
		t.Errorf("got %v, want a permanent ErrNoSalt", err)
	}
}

func seesMaster(t *testing.T, s *apiScene) {
	t.Helper()
	states, err := s.api.Endpoints(t.Context())
	noError(t, err)
	itself := func(e pki.EndpointState) bool {
		return e.Name == s.master().Names[0] && !e.Connected
	}
	if !slices.ContainsFunc(states, itself) {
		t.Errorf("%d endpoints, without the master", len(states))
	}
	satellite := s.satellite(t).Names[0]
	alive := func(e pki.EndpointState) bool {
		return e.Name == satellite && e.Connected
	}
	if !slices.ContainsFunc(states, alive) {
		t.Errorf("the satellite %s is not seen connected", satellite)
	}
}

// apiWire is what the API says of its own, to whoever may do everything.
var apiWire = []struct{ method, path, body, want string }{
	{"GET", "/", "", "302 "},
	{"GET", "/v1", "", `200 {"results":[{"info":`},
	{"GET", "/v1/", "", `200 {"results":[{"info":`},
	{"GET", "/other", "", `404 {"error":404,"status":"The requested path 'other' could not be found or the request method is not valid for this path."}`},
	{"GET", "/v1/actions/generate-ticket?cn=x", "", `404 {"error":404,"status":"The requested path 'v1/actions/generate-ticket' could not`},
	{"POST", "/v1/actions/generate-ticket", "{}", `400 {"results":[{"code":400,"status":"Option 'cn' is required"}]}`},
	{"POST", "/v1/actions/generate-ticket", "", `400 {"results":[{"code":400,"status":"Option 'cn' is required"}]}`},
	{"POST", "/v1/actions/generate-ticket", "x", `400 {"error":400,"status":"Invalid request body: `},
	{"POST", "/v1/actions/generate-ticket?cn=x", "", `200 {"results":[{"code":200,"status":"Generated PKI ticket '`},
	{"POST", "/v1/actions/generate-ticket", `{"cn":""}`, `200 {"results":[{"code":200,"status":"Generated PKI ticket '`},
	{"GET", "/v1/objects/endpoints?attrs=name", "", `200 {"results":[{"attrs":{"name":`},
	{"GET", "/v1/objects/endpoints?attrs=bogus", "", `400 {"error":400,"status":"Invalid field specified: bogus"}`},
}

// newerAPIWire is what Icinga 2.16.5 says instead: each object has the
// error, no longer the request as a whole. The fake answers as 2.13.6.
var newerAPIWire = map[string]string{
	"/v1/objects/endpoints?attrs=bogus": `200 {"results":[{"code":400,"name":`,
}

func runAPIWire(t *testing.T, a apiAuthority) {
	user := pkitest.APIUser{Name: "api-" + strings.ToLower(rand.Text()[:12]), Password: rand.Text(), Permissions: []string{"*"}}
	a.addUser(t, user)
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	for _, row := range apiWire { // all on one connection
		t.Run(row.method+" "+row.path+" "+row.body, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), row.method, "https://"+a.master().Address+row.path, strings.NewReader(row.body))
			noError(t, err)
			request.Header.Set("Accept", "application/json")
			request.SetBasicAuth(user.Name, user.Password)
			response, err := transport.RoundTrip(request)
			noError(t, err)
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			noError(t, err)
			got, newer := response.Status[:4]+string(body), newerAPIWire[row.path]
			if !strings.HasPrefix(got, row.want) && (newer == "" || !strings.HasPrefix(got, newer)) {
				t.Errorf("got %.300s, want %s", got, row.want)
			}
		})
	}
}
