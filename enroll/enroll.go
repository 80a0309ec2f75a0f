// Package enroll brings a node from whatever state it is in to "enrolled with
// a valid certificate", and says when to look again.
//
// There is one way through it, [Enroller.Ensure]. Each of its steps has the
// same form: is it already so? Then say so; else make it so, write down what
// must not be lost, say so. A crash between any two instructions is answered
// by running Ensure again.
//
// Two things decide the order of the steps. Registering can't be repeated,
// since the Director hands out a host API key once: so everything that can
// fail on this machine, and the trust in the configured endpoints, is tried
// before it. And a ticket is a password: it leaves this process only towards
// a peer whose chain and name have been verified.
package enroll

import (
	"context"
	"crypto/tls"
	"errors"
	"net/netip"
	"time"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/pki"
	"icinga-enroll/platform"
	"icinga-enroll/selfservice"
)

// Settings say what the operator wants. The zero value of a field means what
// its comment says.
type Settings struct {
	Name       string                     // the node's name; "": as the Director asks
	Properties selfservice.HostProperties // values that win over what is found
	Send       []string                   // properties to register with; nil: what the Director asks for and Properties has; empty: none

	TemplateKey secret.Text // registers this node; not needed once it is registered
	HostKey     secret.Text // a prepared host's key; zero: from registering

	Endpoints []Endpoint     // where to ask for a certificate; nil: as the Director says
	Trust     pki.Trust      // which CA to believe
	Tickets   []TicketSource // in the order in which they are tried; nil: TicketSelfService

	StaticTicket secret.Text // of TicketStatic
	API          Endpoint    // of TicketAPI; without an address: Endpoints, or as the Director says

	Imports []string       // templates of the host that the Controller makes
	Vars    map[string]any // custom variables of that host
	Deploy  bool           // have the Controller deploy after the host was made or changed

	Reregister bool  // register again where the Director doesn't know the host key any more
	Hooks      Hooks // whom to tell of a change
	Agent      AgentSettings

	KeyType pki.KeyType // zero: pki.ECDSAP256

	// APIClient: the certificate is a program's that uses the Icinga 2 API. No
	// host is registered for it, and no host and no endpoint may have its name.
	APIClient  bool
	Owner      platform.Owner // of the certificate's files and folder; zero: the folder's
	GroupReads bool           // the owner's group may read the key

	StateDir string // this program's own folder
	CertsDir string // the Icinga agent's: <CN>.key, <CN>.crt, ca.crt
}

// Endpoint is a configured parent. Name is the CN that it must show; with ""
// it must show the name of one of the parents that the Director tells.
type Endpoint struct{ Name, Address string }

// TicketSource says where the ticket comes from.
type TicketSource string

// Where a ticket may come from.
const (
	TicketSelfService TicketSource = "self-service" // the Director's self-service API
	TicketDirector    TicketSource = "director"     // the Director's REST API
	TicketAPI         TicketSource = "icinga-api"   // Icinga 2's own API
	TicketStatic      TicketSource = "static"       // the configuration
	TicketNone        TicketSource = "none"         // nowhere: somebody approves the request on the CA
)

// Director is what this package needs of Icinga Director.
type Director interface {
	Register(ctx context.Context, templateKey secret.Text, name string, p selfservice.HostProperties) (secret.Text, error)
	Parameters(ctx context.Context, key secret.Text) (selfservice.Parameters, error)
	Ticket(ctx context.Context, hostKey secret.Text) (secret.Text, error)
}

// Controller is what this package needs of Icinga Director's REST API.
type Controller interface {
	Host(ctx context.Context, name string) (selfservice.Host, error)
	CreateHost(ctx context.Context, spec selfservice.HostSpec) error
	UpdateHost(ctx context.Context, name string, spec selfservice.HostSpec) (changed bool, err error)
	SetHostKey(ctx context.Context, name string, key secret.Text) error
	DeleteHost(ctx context.Context, name string) error
	Ticket(ctx context.Context, name string) (secret.Text, error)
	Deploy(ctx context.Context) (checksum string, err error)
	Deployment(ctx context.Context, checksum string) (selfservice.DeploymentState, error)
}

// TicketAPIClient is what this package needs of Icinga 2's API.
type TicketAPIClient interface {
	GenerateTicket(ctx context.Context, name string) (secret.Text, error)
}

// Authority is what this package needs of an Icinga CA.
type Authority interface {
	Probe(ctx context.Context, ep pki.Endpoint) (pki.Peer, error)
	Request(ctx context.Context, ep pki.Endpoint, req pki.Request) (pki.Issued, error)
}

// LocalAgent is what this package asks of this machine's own Icinga agent, with
// this node's certificate.
type LocalAgent interface {
	Endpoints(ctx context.Context) ([]pki.EndpointState, error)
	Started(ctx context.Context) (time.Time, error)
}

// ParentAPI is what this package asks of a parent's API, with this node's
// certificate.
type ParentAPI interface {
	WhoAmI(ctx context.Context) (pki.Identity, error)
}

// Machine tells what a node can know of itself.
type Machine struct {
	Hostname  func() (string, error)
	FQDN      func(context.Context) (string, error)
	Addresses func(context.Context) (v4, v6 netip.Addr, err error) // zero: none
	Resolve   func(ctx context.Context, host string) (address string, err error)
}

// Enroller enrols one node.
type Enroller struct {
	Settings
	Director Director // nil: none is asked; Tickets must be of other sources then
	// Controller is the Director's REST API; nil: there is no user for it.
	Controller Controller
	// IcingaAPI is a client for TicketAPI.
	IcingaAPI func(ep pki.Endpoint, t pki.Trust) TicketAPIClient
	Authority func(pki.Trust) Authority
	Local     func(ep pki.Endpoint, t pki.Trust, own tls.Certificate) LocalAgent
	ParentAPI func(ep pki.Endpoint, t pki.Trust, own tls.Certificate) ParentAPI
	Machine   Machine
	Now       func() time.Time
	BuildDate time.Time  // a clock that is before it isn't believed; zero: any is
	Observe   func(Step) // told when a step begins and when it is done; may be nil

	Wish   Wish // what to do before it is due
	Look   bool // ask the Director now whether it tells something new
	Apply  bool // do that, and make the agent what it says
	Daemon bool // nobody looks on: a ticket that was refused is not tried again for a day

	toldFailure bool // hooks.on_failure, of the trouble that goes on: where the status can't be written it doesn't say so
}

// Wish is what an operator wants done now, due or not.
type Wish int

// What an operator may want.
const (
	WhenDue Wish = iota // nothing before it is due
	Renewal             // a new certificate for the same key; the CA may say that it isn't due
	Rekey               // a new key with a new certificate
)

// Ensure makes this node enrolled. Its error may be, or have:
//
//   - [pki.ErrPending]: the request waits for approval on the CA; the same
//     request is presented again by the next Ensure
//   - Temporary() true: trying again later may help
//   - anything else: somebody must act
//
// What fails while the certificate in force is valid is no error but the
// report's Setback: nothing is lost yet, and the next Ensure tries again.
func (e *Enroller) Ensure(ctx context.Context) (Report, error) {
	n, err := e.open(ctx)
	if err != nil {
		return e.notBegun(err), err
	}
	defer n.close()
	err = n.walk(ctx, []step{
		{name: "state", do: n.load},
		{name: "switch", do: n.completeSwitch},
		{name: "identity", do: n.identity},
		{name: "adopt", do: n.adopt, canWait: true},
		{name: "agent", do: n.undoHalf, canWait: true, always: true},
		{name: "client", do: n.checkClient},
		{name: "trust", do: n.checkEndpoints, canWait: true},
		{name: "key", do: n.prepareKey, canWait: true},
		{name: "register", do: n.register, canWait: true},
		{name: "parameters", do: n.askParameters, canWait: true},
		{name: "certificate", do: n.obtain},
		{name: "deploy", do: n.deploy, canWait: true},
		{name: "parameters", do: n.lookAtDirector, canWait: true, always: true},
		{name: "agent", do: n.configureAgent, canWait: true, always: true},
		{name: "hooks", do: n.runHooks},
	})
	return n.conclude(ctx, err)
}

// Mend completes what a crash has cut short and asks nobody: the Icinga agent
// must not start with a certificate and another's key.
func (e *Enroller) Mend(ctx context.Context) error {
	n, err := e.open(ctx)
	if err != nil {
		return err
	}
	defer n.close()
	err = n.walk(ctx, []step{{name: "state", do: n.load}, {name: "switch", do: n.completeSwitch}, {name: "agent", do: n.undoHalf}})
	return errors.Join(err, n.setback)
}

// Plan says what Ensure would do. It asks the Director only for the naming
// rules and the endpoints only for their certificates; it changes nothing,
// neither there nor here.
func (e *Enroller) Plan(ctx context.Context) (Report, error) {
	n, err := e.look()
	if err != nil {
		return e.notBegun(err), err
	}
	defer n.close()
	err = n.walk(ctx, []step{
		{name: "identity", do: n.identity},
		{name: "adopt", do: n.findPair},
		{name: "client", do: n.checkClient},
		{name: "trust", do: n.checkEndpoints},
		{name: "plan", do: n.plan},
	})
	return n.report(err), err
}

// DiscardRequest forgets the request that waits for approval, and its key:
// after "icinga2 ca remove" the CA declines the same request for ever.
func (e *Enroller) DiscardRequest(ctx context.Context) (discarded bool, err error) {
	n, err := e.open(ctx)
	if err != nil {
		return false, err
	}
	defer n.close()
	discarded, err = n.discardRequest(ctx)
	_, err = n.conclude(ctx, err)
	return discarded, err
}
