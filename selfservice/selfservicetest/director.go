// Package selfservicetest has a fake of Icinga Director's self-service API, and
// of its REST API for hosts and deployments, for tests and demonstrations. It answers as Director 1.10.2 does, mistakes
// included; the contract tests of package selfservice hold it to that.
package selfservicetest

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
)

// basePath is where a Director usually is on its web server.
const basePath = "/icingaweb2/director"

// Director is a fake Director. Its exported fields are set before the first call
// and left alone afterwards; its methods may be called at any time.
type Director struct {
	// Settings are those of the self-service API as a whole.
	Settings Settings
	// Ticket makes the ticket for a host, in place of the Icinga master. An
	// error is answered with its text: with status 404 if that says "could not
	// be found", else 500. nil derives tickets from a salt of its own.
	Ticket func(name string) (string, error)
	// Master stands for the Icinga master when a configuration is deployed, or
	// asked after: an error is answered with its text. nil means that it is there.
	Master func() error
	// Fault sees each call first and reports whether it has answered it. nil
	// means no faults.
	Fault func(w http.ResponseWriter, r *http.Request) bool
	// Registered is told the name of each host that has just got a key, before
	// the answer with the key is sent. It must not call the Director. nil means
	// that nobody is told.
	Registered func(name string)

	server *httptest.Server

	mu        sync.Mutex
	open      int                 // connections
	closed    *sync.Cond          // told when one is closed
	templates map[string]Template // by lower-case name, as are hosts
	hosts     map[string]Host
	users     map[string]User
	calls     []Call

	deployed  map[string]string // states of the configurations, by checksum
	active    string            // checksum
	validated func()            // ends the deployment that is going on; nil for none
}

// Settings of the self-service API.
type Settings struct {
	AgentName         string // "fqdn" or "hostname"
	Transform         string // of the name: "0" none, "1" lower, "2" upper
	FlushAPIDirectory bool
	ResolveParentHost bool
	GlobalZones       []string
	CAServer          string // name of the master's endpoint
	ListenPort        int    // 0: the Director is not set up to install agents and doesn't tell
}

// Template is a host template that is shared for self-service.
type Template struct {
	Name, Key           string
	NoAgent             bool // its hosts are no Icinga agents
	Silent              bool // it sets nothing: other templates decide
	Zone                string
	Parents             []Parent // the endpoints of Zone
	AcceptConfig        bool
	MasterShouldConnect bool
}

// Parent is an endpoint; an empty Host means that none is set.
type Parent struct{ Name, Host, Port string }

// Host is a host object.
type Host struct {
	Name, Template                 string
	Key                            string // empty: not registered
	DisplayName, Address, Address6 string
	Zone                           string // empty: its template's
	Vars                           map[string]any

	imports []string // if not only Template
}

// Call is a request that the Director got, before Fault saw it.
type Call struct {
	Method     string
	Name       string // end of the path, such as "register-host" or "host/ticket"
	Host       string // the parameter "name"
	Body       string
	Connection string // the caller's address: the same for one connection
}

// New returns a Director without templates, that asks for lower-case FQDNs.
func New() *Director {
	d := &Director{
		Settings: Settings{
			AgentName:   "fqdn",
			Transform:   "1",
			GlobalZones: []string{"director-global"},
			CAServer:    "master",
		},
		templates: make(map[string]Template),
		hosts:     make(map[string]Host),
		users:     make(map[string]User),
		deployed:  make(map[string]string),
	}
	d.closed = sync.NewCond(&d.mu)
	return d
}

// Start serves on a port of the loopback interface, with TLS. A caller that
// does not trust the certificate is not worth a line on standard error.
func (d *Director) Start() {
	d.server = httptest.NewUnstartedServer(http.HandlerFunc(d.serve))
	d.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	d.server.Config.ConnState = d.count
	d.server.StartTLS()
}

// Close stops what Start has started.
func (d *Director) Close() { d.server.Close() }

func (d *Director) count(_ net.Conn, state http.ConnState) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch state {
	case http.StateNew:
		d.open++
	case http.StateClosed, http.StateHijacked:
		d.open--
		d.closed.Broadcast()
	case http.StateActive, http.StateIdle:
	}
}

// Settle waits until no connection is open: what a client has sent that was killed
// may be read, and have its effect, after its end.
func (d *Director) Settle() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.open > 0 {
		d.closed.Wait()
	}
}

// URL returns the Director's URL, as director.url wants it.
func (d *Director) URL() string { return d.server.URL + basePath }

// Certificate is the Director's own, self-signed.
func (d *Director) Certificate() *x509.Certificate { return d.server.Certificate() }

// RootCAs verify the Director's certificate.
func (d *Director) RootCAs() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(d.Certificate())
	return pool
}

// Calls returns the calls so far, in order.
func (d *Director) Calls() []Call {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]Call(nil), d.calls...)
}

// SetTemplate adds t, or replaces the template of its name.
func (d *Director) SetTemplate(t Template) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.templates[strings.ToLower(t.Name)] = t
}

// SetHost adds h, or replaces the host of its name.
func (d *Director) SetHost(h Host) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hosts[strings.ToLower(h.Name)] = h
}

// Host returns the host of that name, in whatever case.
func (d *Director) Host(name string) (Host, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h, ok := d.hosts[strings.ToLower(name)]
	return h, ok
}

// DropKey takes a host's key away, so that it can be registered again.
func (d *Director) DropKey(name string) {
	d.change(name, func(h *Host) { h.Key = "" })
}

// RenameHost gives a host another name. Its key stays.
func (d *Director) RenameHost(name, newName string) {
	d.change(name, func(h *Host) { h.Name = newName })
}

// DeleteHost removes a host.
func (d *Director) DeleteHost(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.hosts, strings.ToLower(name))
}

// change panics for a host that isn't there: the test is wrong.
func (d *Director) change(name string, f func(*Host)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h, ok := d.hosts[strings.ToLower(name)]
	if !ok {
		panic(fmt.Sprintf("selfservicetest: no host %q", name))
	}
	delete(d.hosts, strings.ToLower(name))
	f(&h)
	d.hosts[strings.ToLower(h.Name)] = h
}

// templateOf returns the template with that key. Call it with mu held, as
// hostOf.
func (d *Director) templateOf(key string) (Template, bool) {
	for _, t := range d.templates {
		if t.Key != "" && t.Key == key {
			return t, true
		}
	}
	return Template{}, false
}

func (d *Director) hostOf(key string) (Host, bool) {
	for _, h := range d.hosts {
		if h.Key != "" && h.Key == key {
			return h, true
		}
	}
	return Host{}, false
}

// templateFor returns what host inherits, with the zone that is set on itself.
// Call it with mu held.
func (d *Director) templateFor(host Host) Template {
	t, ok := d.templates[strings.ToLower(host.Template)]
	if !ok {
		t.NoAgent = true
	}
	if host.Zone == "" || host.Zone == t.Zone {
		return t
	}
	t.Zone, t.Parents = host.Zone, nil
	for _, other := range d.templates {
		if other.Zone == host.Zone {
			t.Parents = other.Parents
		}
	}
	return t
}

// newKey makes a key of the form that a Director makes.
func newKey() string {
	b := make([]byte, 20)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
