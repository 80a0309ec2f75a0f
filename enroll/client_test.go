package enroll_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"path/filepath"
	"strings"
	"testing"

	"icinga-enroll/enroll"
	"icinga-enroll/pki"
	"icinga-enroll/selfservice"
)

func (l *leaver) HasEndpoint(_ context.Context, name string) (bool, error) {
	l.asked = append(l.asked, "endpoint "+name)
	return false, nil
}

func (l *leaver) IsAgent(context.Context, string) (is, said bool, err error) { return true, true, nil }

// masters is a Director that has no host of the name that is asked for.
type masters struct {
	*leaver
	found bool
	err   error
}

func (m *masters) HasEndpoint(context.Context, string) (bool, error) { return m.found, m.err }

// asClient makes n an API client that waits for nobody's approval.
func asClient(n *node, c enroll.Controller) {
	n.APIClient, n.Enroller.Director, n.Controller = true, nil, c
	n.Tickets = []enroll.TicketSource{enroll.TicketNone}
	n.Endpoints = []enroll.Endpoint{{Name: "master1", Address: "192.0.2.1:5665"}}
}

func TestAnAPIClientIsNoEndpointOfTheDirectors(t *testing.T) {
	tests := map[string]struct {
		masters masters
		want    string // in the error; "": there is none
		warning string
	}{
		"an endpoint": {masters{found: true}, "the Director has an endpoint", ""},
		"neither":     {masters{}, "", ""},
		"not allowed": {masters{err: selfservice.ErrNoPermission}, "", "could not be checked"},
		"away":        {masters{err: errDead{}}, "whether web1.example.com is an endpoint", ""},
	}
	for what, tt := range tests {
		t.Run(what, func(t *testing.T) {
			n := newNode(t)
			tt.masters.leaver = &leaver{}
			asClient(n, &tt.masters)
			r, err := n.Ensure(t.Context())
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Fatalf("the error is %v, want one with %q", err, tt.want)
			}
			if err != nil && len(n.authority.asked) > 0 {
				t.Errorf("the CA was asked at %v", n.authority.asked)
			}
			warned := false
			for _, s := range r.Steps {
				warned = warned || s.Warning && tt.warning != "" && strings.Contains(s.Text, tt.warning)
			}
			if warned != (tt.warning != "") {
				t.Errorf("the steps are %+v, want a warning with %q", r.Steps, tt.warning)
			}
		})
	}
}

// What an agent has left in the state folder is not an API client's: neither its
// own name nor its parents'.
func TestAnAPIClientIsNoAgent(t *testing.T) {
	for _, name := range []string{nodeName, strings.ToUpper(nodeName), "master1"} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.mustEnsure(t)
			h := handOver(t, n.authority.ca, name, -day, 300*day)
			asClient(n, nil)
			n.Endpoints = nil
			n.Name = name
			before := n.listing(t)
			_, err := n.PrepareCSR(t.Context(), pkix.Name{})
			if err == nil {
				t.Error("a request was made")
			}
			if _, err := n.Import(t.Context(), enroll.Files{Certificate: [][]byte{pemOf(h.cert, h.ca), h.keyPEM(t)}}); err == nil {
				t.Error("it was imported")
			}
			if after := n.listing(t); len(after) != len(before) || after[n.cert(".key")] != before[n.cert(".key")] {
				t.Error("files were changed")
			}
			if name == nodeName && !strings.Contains(err.Error(), "could act as it") {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

// The certificate of an API client that has the agent's name would be the agent's,
// and whoami would show it.
func TestAnAPIClientIsNotThisMachinesAgent(t *testing.T) {
	agent := newNode(t)
	agent.mustEnsure(t)
	asClient(agent, nil) // which is refused, and makes no client of the agent
	if _, err := agent.Ensure(t.Context()); err == nil {
		t.Fatal("an agent has become an API client")
	}
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	for what, of := range map[string]struct{ state, certs string }{
		"by its status":      {agent.StateDir, nowhere},
		"by its certificate": {nowhere, agent.CertsDir},
	} {
		t.Run(what, func(t *testing.T) {
			n := newNode(t)
			asClient(n, nil)
			n.mustEnsure(t)
			n.HostState, n.HostCerts = of.state, of.certs
			_, refused := n.Ensure(t.Context())
			_, _, unseen := n.WhoAmI(t.Context())
			for _, err := range []error{refused, unseen} {
				if err == nil || !strings.Contains(err.Error(), "this machine's own Icinga agent") {
					t.Errorf("the error is %v", err)
				}
			}
			n.Name = "user-grafana"
			n.StateDir = filepath.Join(t.TempDir(), "state")
			n.mustEnsure(t)
		})
	}
}

// An API client that has enrolled without --instance is no agent of this machine:
// its name may go on in an instance.
func TestTheStatusOfAnAPIClientIsNoAgents(t *testing.T) {
	before := newNode(t)
	asClient(before, nil)
	before.mustEnsure(t)
	n := newNode(t)
	asClient(n, nil)
	n.HostState, n.HostCerts = before.StateDir, filepath.Join(t.TempDir(), "nowhere")
	n.mustEnsure(t)
}

// lay puts the pair where n looks for its own, and lets the CA sign nothing.
func (n *node) lay(t *testing.T, h issued) {
	t.Helper()
	n.Trust = pki.Trust{Roots: []*x509.Certificate{h.ca}}
	n.authority.request = func(string, pki.Request) (pki.Issued, error) { return pki.Issued{}, pki.ErrPending }
	n.write(t, n.cert(".key"), h.keyPEM(t))
	n.write(t, n.cert(".crt"), pemOf(h.cert, h.intermediate))
	n.write(t, filepath.Join(n.CertsDir, "ca.crt"), pemOf(h.ca))
}

// What somebody has laid into the certs folder of an API client is not taken for
// its own where an import would refuse it.
func TestAnAPIClientAdoptsNoEndpointsCertificate(t *testing.T) {
	for what, tt := range map[string]struct {
		masters masters
		want    string // in the error; "": it is adopted
	}{
		"a host's":      {masters{leaver: &leaver{host: &selfservice.Host{}}}, "the Director has a host"},
		"an endpoint's": {masters{leaver: &leaver{}, found: true}, "the Director has an endpoint"},
		"away":          {masters{leaver: &leaver{away: errDead{}}}, "whether web1.example.com is a host"},
		"nobody's":      {masters{leaver: &leaver{}}, ""},
	} {
		t.Run(what, func(t *testing.T) {
			n := newNode(t)
			asClient(n, &tt.masters)
			n.lay(t, issueChain(t))
			for name, ensure := range map[string]func(context.Context) (enroll.Report, error){"plan": n.Plan, "ensure": n.Ensure} {
				_, err := ensure(t.Context())
				if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
					t.Errorf("%s: the error is %v, want one with %q", name, err, tt.want)
				}
			}
			if tt.want != "" && exists(n.state("state.json")) {
				t.Error("its name or CA was kept")
			}
		})
	}
}

// A name that was adopted is asked about as often as any other: not until
// something is due.
func TestAnAdoptedAPIClientIsAskedAboutOnce(t *testing.T) {
	n := newNode(t)
	c := &leaver{}
	asClient(n, c)
	n.lay(t, issueChain(t))
	n.mustEnsure(t)
	asked := len(c.asked)
	n.mustEnsure(t)
	if asked == 0 || len(c.asked) != asked {
		t.Errorf("asked was %v, %d of it by the first run", c.asked, asked)
	}
}
