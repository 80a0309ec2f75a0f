package enroll

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"

	"icinga-enroll/pki"
	"icinga-enroll/platform"
	"icinga-enroll/platform/agent"
	"icinga-enroll/selfservice"
)

// AgentSettings say what is to become of this machine's Icinga agent.
type AgentSettings struct {
	Manage    Manage // zero: ManageNever
	ConfigDir string // "": as the installed Icinga 2 says
	DataDir   string // "": as the installed Icinga 2 says
	Listen    string // host:port; "": every address, at the port that the Director says or 5665
	Validate  []string
	Reload    []string // nil: the machine's service icinga2
	Run       agent.Runner

	AcceptCommands bool // let the parents run checks here; the Director never says
	Overwrite      bool // write files anew that somebody has changed since
	Follow         bool // go along when the Director's parameters change

	// Static parameters, for a node that no Director speaks to; nil Parents:
	// the Director's.
	Zone        string // of the parents
	Parents     []selfservice.Parent
	GlobalZones []string
}

// Manage says whether the agent's files are written.
type Manage string

// How far this program goes with the agent's files.
const (
	ManageNever  Manage = ""       // not at all
	ManageAuto   Manage = "auto"   // those that a package has shipped, or this program written
	ManageAlways Manage = "always" // others' too; they are backed up
)

// AgentError is what went wrong with the Icinga agent, though the certificate
// is in place.
type AgentError struct{ err error }

func (e *AgentError) Error() string { return e.err.Error() }
func (e *AgentError) Unwrap() error { return e.err }

// Temporary is only what this package knows to pass, and a full disk: a program
// that was ended since it hung, or an agent that doesn't come up, is for somebody
// to look at.
func (e *AgentError) Temporary() bool {
	var t temporary
	return errors.As(e.err, &t) || platform.IsDiskFull(e.err)
}

// AgentState is what must be known of the agent from one run to the next.
type AgentState struct {
	Installed agent.Installed         `json:"installed,omitzero"`
	Applied   *selfservice.Parameters `json:"applied,omitempty"`   // what its configuration was made from
	Addresses map[string]string       `json:"addresses,omitempty"` // of parents, as they were looked up for Applied
	Written   map[string]string       `json:"written,omitempty"`   // the sums of the files that were written, by name
	ReloadDue bool                    `json:"reload_due,omitempty"`

	Undo   *agentUndo  `json:"undo,omitempty"` // what to put back if the agent doesn't take what was written
	Follow followState `json:"follow,omitzero"`
}

// agentUndo is what was there before. Placed tells a new set that is in place
// from one that may be half written.
type agentUndo struct {
	Files     []agent.File            `json:"files"`
	Written   map[string]string       `json:"written,omitempty"`
	Applied   *selfservice.Parameters `json:"applied,omitempty"`
	Addresses map[string]string       `json:"addresses,omitempty"`
	Placed    bool                    `json:"placed"`
}

// errNotOurs says, in auto mode, why the agent is left alone. It is no failure.
type errNotOurs struct{ error }

// agent returns this machine's agent, or errOther where there is none whose
// certificate this node's is.
func (n *node) agent(ctx context.Context) (agent.Agent, error) {
	s := n.Agent
	if s.Manage != ManageAlways && s.DataDir == "" && filepath.Clean(n.CertsDir) != platform.DefaultPaths().Certs {
		return agent.Agent{}, errOther // asking icinga2 takes longer than all else on a node that is enrolled
	}
	found, err := agent.Find(ctx, s.Run, n.state.Agent.Installed)
	complete := s.ConfigDir != "" && s.DataDir != "" && s.Validate != nil && s.Reload != nil
	switch {
	case err != nil && complete: // what it can't say has been said
	case errors.Is(err, agent.ErrNone) && s.Manage != ManageAlways:
		return agent.Agent{}, errOther
	case err != nil:
		return agent.Agent{}, err
	default:
		if err := n.rememberInstalled(found); err != nil {
			return agent.Agent{}, err
		}
	}
	a := agent.Agent{
		ConfigDir: cmp.Or(s.ConfigDir, found.ConfigDir), DataDir: cmp.Or(s.DataDir, found.DataDir),
		ValidateCommand: s.Validate, ReloadCommand: s.Reload, Run: s.Run,
		PIDFile: filepath.Join(found.RunDir, "icinga2.pid"),
	}
	a.System = filepath.Clean(a.ConfigDir) == filepath.Clean(found.ConfigDir)
	if s.Validate == nil {
		a.ValidateCommand = []string{found.Program, "daemon", "-C"}
	}
	return a, n.isItsAgent(a)
}

// errOther says that the certificates here are somebody else's than the agent's.
var errOther = errors.New("no Icinga agent uses these certificates")

// isItsAgent checks that a is the agent that reads this node's certificate.
func (n *node) isItsAgent(a agent.Agent) error {
	switch {
	case filepath.Clean(a.Certs()) != filepath.Clean(n.CertsDir) && n.Agent.Manage != ManageAlways:
		return errOther
	case filepath.Clean(a.Certs()) != filepath.Clean(n.CertsDir):
		return fmt.Errorf("agent.manage is always, but the agent looks for its certificate in %s and paths.certs is %s: set agent.data_dir, or paths.certs", a.Certs(), n.CertsDir)
	case !a.System && a.ReloadCommand == nil:
		return fmt.Errorf("%s is not the folder of the machine's own agent: set agent.reload to what reloads the one there", a.ConfigDir)
	}
	return nil
}

func (n *node) rememberInstalled(found agent.Installed) error {
	if n.readOnly || n.state.Agent.Installed == found {
		return nil
	}
	n.state.Agent.Installed = found
	return n.save()
}

// mayManage says why an agent must not be touched.
func (n *node) mayManage(a agent.Agent) error {
	parent, err := a.IsParent(n.name)
	if err != nil {
		return err
	}
	if parent != "" {
		err := fmt.Errorf("this machine is a master or a satellite, whose configuration is not for icinga-enroll to write: %s. Set agent.manage: never", parent)
		if n.Agent.Manage == ManageAuto {
			return errNotOurs{err}
		}
		return err
	}
	if owner := agent.Owner(); owner != "" && n.Agent.Manage == ManageAuto {
		return errNotOurs{fmt.Errorf("%s looks after the agent here; agent.manage: always takes it over", owner)}
	}
	return nil
}

// packagedZones are the global zones that the package's zones.conf has. A
// Director only tells of those that it looks after itself; one that no parent
// knows does no harm.
var packagedZones = []string{"global-templates", "director-global"}

// setup is what the agent is to be.
func (n *node) setup(p selfservice.Parameters) agent.Setup {
	host, port := "::", pki.DefaultPort
	if p.ListenPort != 0 {
		port = strconv.Itoa(p.ListenPort)
	}
	if n.Agent.Listen != "" {
		host, port, _ = net.SplitHostPort(n.Agent.Listen) // the configuration was checked
	}
	s := agent.Setup{
		Name: n.name, ParentZone: p.ParentZone, GlobalZones: append(slices.Clone(packagedZones), p.GlobalZones...),
		AcceptConfig: p.AcceptConfig, AcceptCommands: n.Agent.AcceptCommands,
		ListenHost: host, ListenPort: port,
	}
	for _, parent := range p.Parents {
		s.Parents = append(s.Parents, n.parent(parent))
	}
	return s
}

// parent fills in where the agent finds a parent. A Director that gives a port
// and no host means that the agent is to connect, to a host that the Director
// doesn't know: where this node has got its certificate is one. Without a port
// the parent connects to the agent.
func (n *node) parent(p selfservice.Parent) agent.Parent {
	host, port := p.Host, p.Port
	if host == "" && port != "" {
		host = p.Name
		for name, address := range n.knownAddresses() {
			if name == p.Name {
				host, port, _ = net.SplitHostPort(address)
			}
		}
	}
	if host != "" {
		port = cmp.Or(port, pki.DefaultPort)
		host = cmp.Or(n.lookedUp()[host], host)
	}
	return agent.Parent{Name: p.Name, Host: host, Port: port}
}

// lookedUp are the addresses of the parents whose names are not to be written.
func (n *node) lookedUp() map[string]string {
	if n.addresses != nil {
		return n.addresses
	}
	return n.state.Agent.Addresses
}

// knownAddresses are those at which parents are known to answer, by name.
func (n *node) knownAddresses() map[string]string {
	known := map[string]string{}
	if at := n.state.EnrolledAt; at != nil {
		known[at.Name] = at.Address
	}
	for _, ep := range n.Endpoints {
		if ep.Name != "" {
			known[ep.Name] = ep.Address
		}
	}
	return known
}

// parameters are what this node goes by: the configuration's, or the Director's.
func (n *node) parameters() *selfservice.Parameters {
	if n.Agent.Parents == nil {
		return n.state.Parameters
	}
	return &selfservice.Parameters{ParentZone: n.Agent.Zone, Parents: n.Agent.Parents, GlobalZones: n.Agent.GlobalZones, AcceptConfig: true}
}

// withheld are the changes of files that are somebody else's, with what to say
// of it.
func (n *node) withheld(changes []agent.Change) error {
	var foreign, edited []agent.Change
	for _, c := range changes {
		switch {
		case c.Standing == agent.Edited && !n.Agent.Overwrite:
			edited = append(edited, c)
		case c.Standing == agent.Foreign && n.Agent.Manage != ManageAlways:
			foreign = append(foreign, c)
		}
	}
	switch {
	case len(edited) > 0:
		return errNotOurs{fmt.Errorf("somebody has changed %s since icinga-enroll wrote it: the agent's configuration is left alone. \"icinga-enroll agent plan\" shows what would be written; agent.overwrite: true has it written", agent.Names(edited))}
	case len(foreign) > 0:
		return errNotOurs{fmt.Errorf("%s is neither the package's nor written by icinga-enroll: the agent's configuration is left alone. \"icinga-enroll agent plan\" shows what would be written; agent.manage: always takes it over, with a backup", agent.Names(foreign))}
	}
	return nil
}

// adviseInstall says what to do where a program isn't there.
func adviseInstall(err error) error {
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%w: install Icinga 2, or set agent.validate and agent.reload to where its program is", err)
	}
	return err
}

// localAddress is where this machine reaches what listens on listen. What
// listens on every IPv6 address does so on every IPv4 address, too.
func localAddress(listen string) string {
	host, port, _ := net.SplitHostPort(listen)
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// ticketFile is where "icinga2 node setup" keeps its ticket.
const ticketFile = "ticket"

// removeTicket removes what "icinga2 node setup" leaves behind: tickets don't
// wear out.
func (n *node) removeTicket() error {
	if _, _, err := n.certs.Attributes(ticketFile); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	n.note(Step{Name: "agent", Changed: true, Text: "removed " + filepath.Join(n.CertsDir, ticketFile) + ", which was left there: tickets don't wear out"})
	return n.certs.Remove(ticketFile)
}

// orOthers is err, unless that leaves an agent alone which goes by another node's
// name: such as on a copy whose state alone was moved away. Nothing else would tell
// monitoring that this node has no agent.
func (n *node) orOthers(a agent.Agent, err error) error {
	left := (errNotOurs{})
	if !errors.As(err, &left) {
		return err
	}
	if other := a.OtherName(n.name); other != "" {
		return fmt.Errorf("by the files in %s the agent is %s, not %s, and doesn't use this node's certificate. %s", a.ConfigDir, other, n.name, left.Error())
	}
	return err
}
