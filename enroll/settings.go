package enroll

import (
	"context"
	"net/netip"
	"time"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/pki"
	"icinga-enroll/platform"
	"icinga-enroll/platform/machine"
	"icinga-enroll/selfservice"
)

// Settings say what the operator wants. The zero value of a field means what
// its comment says.
type Settings struct {
	Name       string                     // the node's name; "": as the Director asks
	Properties selfservice.HostProperties // values that win over what is found
	Send       []string                   // properties to register with; nil: what the Director asks for and Properties has; empty: none

	TemplateKey secret.Text // registers this node; not needed once it is registered
	// TemplateKeyFile is emptied once this node is enrolled; "": the key stays
	// where it is.
	TemplateKeyFile string
	HostKey         secret.Text // a prepared host's key; zero: from registering

	Endpoints []Endpoint     // where to ask for a certificate; nil: as the Director says
	Trust     pki.Trust      // which CA to believe
	Tickets   []TicketSource // in the order in which they are tried; nil: TicketSelfService

	StaticTicket secret.Text // of TicketStatic
	API          Endpoint    // of TicketAPI; without an address: Endpoints, or as the Director says

	Imports []string       // templates of the host that the Controller makes
	Vars    map[string]any // custom variables of that host
	Deploy  bool           // have the Controller deploy after the host was made or changed

	// ClonePolicy is for a machine that is a copy; "": CloneReenroll.
	ClonePolicy ClonePolicy

	Reregister bool  // register again where the Director doesn't know the host key any more
	Hooks      Hooks // whom to tell of a change
	Agent      AgentSettings

	Keys pki.Keys // of which kind new keys are, and where

	// APIClient: the certificate is a program's that uses the Icinga 2 API. No
	// host is registered for it, and no host and no endpoint may have its name.
	APIClient bool
	// HostState and HostCerts are those of this machine's own agent, whose name no
	// API client may have; "": there is none.
	HostState, HostCerts string
	Owner                platform.Owner // of the certificate's files and folder; zero: the folder's
	GroupReads           bool           // the owner's group may read the key

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
	IsAgent(ctx context.Context, hostOrTemplate string) (is, said bool, err error)
	HasEndpoint(ctx context.Context, name string) (bool, error)
	CreateHost(ctx context.Context, spec selfservice.HostSpec) error
	UpdateHost(ctx context.Context, name string, spec selfservice.HostSpec) (changed bool, err error)
	SetHostKey(ctx context.Context, name string, key secret.Text) error
	DeleteHost(ctx context.Context, name string) error
	Ticket(ctx context.Context, name string) (secret.Text, error)
	Deploy(ctx context.Context) (checksum string, err error)
	Deployment(ctx context.Context, checksum string) (selfservice.DeploymentState, error)
	DeploymentsPage() string
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
	Identify  func() machine.Identity // nil: copies aren't noticed
}
