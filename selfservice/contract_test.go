package selfservice_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/selfservice"
)

// The contract is one table of requests and what a Director answers. It runs
// against the fake, and against a real Director with the build tag e2e. Where
// they differ, the real one is right.

// A contractDirector is a Director under test.
type contractDirector struct {
	url        string
	roots      *x509.CertPool
	template   string // an agent's template
	key        string // its key
	noAgent    string // a template that is no agent's
	noAgentKey string
	endpoint   string        // an endpoint object
	masters    []masterState // what breakMaster can do
	// login says how an account of Icinga Web logs in.
	login func(account) (user, password string)
	backstage
}

// backstage is how a test looks at a Director's objects, and changes them.
type backstage interface {
	host(t *testing.T, name string) (contractHost, bool)
	setHost(t *testing.T, name string, h contractHost)
	dropKey(t *testing.T, name string)
	renameHost(t *testing.T, name, newName string)
	deleteHost(t *testing.T, name string) // if it is there
	// breakMaster spoils the Director's way to its master until t ends.
	breakMaster(t *testing.T, how masterState)
}

type contractHost struct {
	template, key                  string
	displayName, address, address6 string
	masterShouldConnect            bool
}

type masterState string

const (
	wrongPassword masterState = "wrong password"
	unreachable   masterState = "unreachable"
	noPermission  masterState = "no permission"
	noSalt        masterState = "no salt"
)

// A contractRow is one request. In its texts, $name is a host name that no
// other row uses, $upper the same in upper case, $template the key of an agent's template and $templatename
// its name, $noagent the key of the other template, $endpoint an endpoint, and $key
// what prepare has left.
type contractRow struct {
	what    string
	suffix  string // of the host's name
	prepare func(t *testing.T, d *contractDirector, name string) (key string)
	master  masterState

	method      string  // empty: POST
	as          account // empty: none, a call of the self-service API
	call        string
	query       string
	accept      string // empty: application/json
	contentType string // of the body
	body        string

	status int
	newer  *newerAnswer // nil: all answer alike
	html   bool         // the answer's type, JSON otherwise
	answer string       // regular expression for the body, from beginning to end
	holds  []string     // regular expressions for parts of the body
	lacks  []string     // likewise, that must not match
	after  func(t *testing.T, d *contractDirector, name string)

	client *clientRow // nil: a client makes no such request
}

// A clientRow is the same request made by a Client, and what it must say.
type clientRow struct {
	properties selfservice.HostProperties
	rest       func(ctx context.Context, c *selfservice.Controller, name string) error // the call, of the REST API
	is         error
	temporary  bool
	text       string // a part of the error's text; empty: there is no error
}

const (
	aKey      = `"[0-9a-f]{40}"\n`
	anyPage   = `(?s)<!DOCTYPE html>.*`
	registers = "key=$template&name=$name"
	asJSON    = "application/json"
)

func anError(message string) string {
	return `\{\n    "error": "` + message + `"\n\}\n`
}

func aWebError(message string) string {
	return `\{"status":"error","message":"` + message + `"\}`
}

func runContract(t *testing.T, d *contractDirector) {
	rows := slices.Concat(registerRows(), ticketRows(), parametersRows(), restRows())
	for i, row := range rows {
		if row.master != "" && !slices.Contains(d.masters, row.master) {
			continue
		}
		t.Run(row.what, func(t *testing.T) {
			t.Run("raw", func(t *testing.T) { runRaw(t, d, row, i) })
			if row.client != nil {
				t.Run("client", func(t *testing.T) { runClient(t, d, row, i) })
			}
		})
	}
	t.Run("12 at once", func(t *testing.T) { testAtOnce(t, d) })
	t.Run("rename", func(t *testing.T) { testRename(t, d) })
	t.Run("REST", func(t *testing.T) { runREST(t, d) })
}

// stage makes a name that nobody has used, and prepares the row. What the row
// leaves in the Director is removed.
func stage(t *testing.T, d *contractDirector, row contractRow, i int) (name string, vars map[string]string) {
	t.Helper()
	name = strings.ToLower(fmt.Sprintf("contract-%d-%s", i, rand.Text()[:10])) + row.suffix
	vars = map[string]string{"name": name, "upper": strings.ToUpper(name), "template": d.key, "templatename": d.template, "noagent": d.noAgentKey, "endpoint": d.endpoint, "upperendpoint": strings.ToUpper(d.endpoint)}
	t.Cleanup(func() { d.deleteHost(t, name) })
	if row.prepare != nil {
		vars["key"] = row.prepare(t, d, name)
	}
	if row.master != "" {
		d.breakMaster(t, row.master)
	}
	return name, vars
}

func expand(s string, vars map[string]string, escape func(string) string) string {
	return os.Expand(s, func(name string) string { return escape(vars[name]) })
}

func runRaw(t *testing.T, d *contractDirector, row contractRow, i int) {
	name, vars := stage(t, d, row, i)
	status, contentType, body := d.send(t, row, vars)
	if row.newer != nil && status == row.newer.status {
		row.status, row.answer = row.newer.status, row.newer.answer
	}
	if status != row.status {
		t.Errorf("status %d, want %d; body %s", status, row.status, body)
	}
	if isHTML := strings.HasPrefix(contentType, "text/html"); isHTML != row.html {
		t.Errorf("content type %q, want HTML: %t", contentType, row.html)
	}
	inAnswer := func(s string) string {
		return regexp.QuoteMeta(strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s))
	}
	want := regexp.MustCompile(`\A` + expand(row.answer, vars, inAnswer) + `\z`)
	if !want.MatchString(body) {
		t.Errorf("body %q does not match %s", body, want)
	}
	checkParts(t, row, body)
	if row.after != nil {
		row.after(t, d, name)
	}
}

func checkParts(t *testing.T, row contractRow, body string) {
	t.Helper()
	for _, part := range row.holds {
		if !regexp.MustCompile(part).MatchString(body) {
			t.Errorf("body %s holds no %s", body, part)
		}
	}
	for _, part := range row.lacks {
		if regexp.MustCompile(part).MatchString(body) {
			t.Errorf("body %s holds %s", body, part)
		}
	}
}

// send makes the request of row, with nothing added by this project's client.
func (d *contractDirector) send(t *testing.T, row contractRow, vars map[string]string) (status int, contentType, body string) {
	t.Helper()
	address := d.url + "/" + row.path() + "?" + expand(row.query, vars, queryEscape)
	plain := func(s string) string { return s }
	req, err := http.NewRequestWithContext(t.Context(), orDefault(row.method, http.MethodPost), address,
		strings.NewReader(expand(row.body, vars, plain)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", orDefault(row.accept, asJSON))
	if row.as != "" {
		req.SetBasicAuth(d.login(row.as))
	}
	if row.contentType != "" {
		req.Header.Set("Content-Type", row.contentType)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: d.roots}}
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("Content-Type"), string(content)
}

// queryEscape writes a space as %20: the Director takes a + for a plus.
func queryEscape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func runClient(t *testing.T, d *contractDirector, row contractRow, i int) {
	name, vars := stage(t, d, row, i)
	query, err := url.ParseQuery(expand(row.query, vars, queryEscape))
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{query.Get("key"), d.key}
	if row.client.rest != nil {
		_, password := d.login(row.as)
		secrets = append(secrets, password, vars["key"])
		err = row.client.rest(t.Context(), d.controller(t, row.as), orDefault(query.Get("name"), name))
	} else {
		err = d.callClient(t, row, query)
	}
	checkClient(t, *row.client, err)
	for _, key := range secrets {
		if err != nil && key != "" && strings.Contains(err.Error(), key) {
			t.Errorf("the error contains a key: %v", err)
		}
	}
	if row.after != nil {
		row.after(t, d, name)
	}
}

// callClient makes the call; a good answer must bring something.
func (d *contractDirector) callClient(t *testing.T, row contractRow, query url.Values) error {
	t.Helper()
	c := d.client(t)
	key := secret.New(query.Get("key"))
	switch row.call {
	case "register-host":
		hostKey, err := c.Register(t.Context(), key, query.Get("name"), row.client.properties)
		if err == nil && len(hostKey.Reveal()) != 40 {
			t.Error("no error and no host key")
		}
		return err
	case "ticket":
		ticket, err := c.Ticket(t.Context(), key)
		if err == nil && ticket.IsZero() {
			t.Error("no error and no ticket")
		}
		return err
	}
	p, err := c.Parameters(t.Context(), key)
	if err == nil && p.FetchAgentFQDN == p.FetchAgentName {
		t.Errorf("parameters do not say how hosts are named: %+v", p)
	}
	return err
}

func (d *contractDirector) client(t *testing.T) *selfservice.Client {
	t.Helper()
	c, err := selfservice.New(d.url, selfservice.Options{RootCAs: d.roots})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func checkClient(t *testing.T, want clientRow, err error) {
	t.Helper()
	if want.text == "" {
		if err != nil {
			t.Errorf("error %v, want none", err)
		}
		return
	}
	var e *selfservice.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v is no *Error", err)
	}
	if !strings.Contains(err.Error(), want.text) {
		t.Errorf("error %q does not say %q", err, want.text)
	}
	if want.is != nil && !errors.Is(err, want.is) {
		t.Errorf("error %q is not %q", err, want.is)
	}
	if errors.Is(err, selfservice.ErrAnswerLost) {
		t.Errorf("an answer that came whole counts as lost: %v", err)
	}
	if e.Temporary() != want.temporary {
		t.Errorf("error %q: temporary is %t", err, e.Temporary())
	}
}

// testAtOnce: of twelve registrations of a name at the same time one gets a
// key. The connections are made before, so that the requests do coincide: a
// real Director then answers some of them without a text, when its database
// refuses the second host of the name.
func testAtOnce(t *testing.T, d *contractDirector) {
	name, _ := stage(t, d, contractRow{}, 0)
	var won, refused atomic.Int32
	var ready, all sync.WaitGroup
	ready.Add(12)
	for range 12 {
		c := d.client(t)
		all.Go(func() {
			_, err := c.Parameters(t.Context(), secret.New(d.key))
			ready.Done()
			ready.Wait()
			if err == nil {
				_, err = c.Register(t.Context(), secret.New(d.key), name, selfservice.HostProperties{})
			}
			var e *selfservice.Error
			switch {
			case err == nil:
				won.Add(1)
			case errors.As(err, &e) && e.Status == http.StatusBadRequest:
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 || refused.Load() != 11 {
		t.Errorf("%d got a key and %d were refused, want 1 and 11", won.Load(), refused.Load())
	}
}

// testRename: a host's key survives a rename in the Director, its ticket
// silently becomes that of the new name, and the old name is free.
func testRename(t *testing.T, d *contractDirector) {
	name, vars := stage(t, d, contractRow{}, 0)
	newName := name + "-renamed"
	t.Cleanup(func() { d.deleteHost(t, newName) })
	c := d.client(t)
	ticketOf := func(name string) (key, ticket secret.Text) {
		key, err := c.Register(t.Context(), secret.New(vars["template"]), name, selfservice.HostProperties{})
		if err != nil {
			t.Fatal(err)
		}
		ticket, err = c.Ticket(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		return key, ticket
	}
	key, before := ticketOf(name)
	d.renameHost(t, name, newName)
	after, err := c.Ticket(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if after.Equal(before) {
		t.Error("the ticket stayed that of the old name")
	}
	if _, again := ticketOf(name); !again.Equal(before) {
		t.Error("registering the old name again gave another ticket")
	}
}
