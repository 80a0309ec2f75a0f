package enroll

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/pki"
	"icinga-enroll/platform"
	"icinga-enroll/selfservice"
)

// LeaveOptions say how a node leaves.
type LeaveOptions struct {
	Deploy bool // have the Director deploy after the host was deleted there
	Local  bool // ask no server: the host stays in the Director, for a later Leave
}

// Leave ends what Ensure has begun: the Controller, where there is one, deletes
// the host in the Director, then the key, the certificate, the request, the host
// key, the state and the status are removed here. As long as the Director has
// not done its part nothing is removed here. Where it isn't asked, for lack of a
// Controller or since o says so, the host's name is kept, and a Leave that asks
// it does that part. The configuration, the Icinga agent's too, stays. A crash
// between any two instructions is answered by running Leave again.
func (e *Enroller) Leave(ctx context.Context, o LeaveOptions) error {
	dir, err := platform.OpenDir(e.StateDir)
	if errors.Is(err, fs.ErrNotExist) {
		return e.leaveNothing(ctx, o)
	}
	if err != nil {
		return err
	}
	_ = dir.Close()
	n, release, err := e.openAlone(ctx)
	if err != nil {
		return err
	}
	defer release()
	err = n.leave(ctx, o)
	if err != nil && ctx.Err() == nil {
		n.showStay(err)
	}
	return err
}

// showStay writes into the status why this node hasn't left.
func (n *node) showStay(cause error) {
	before, err := readStatus(n.dir)
	if err != nil {
		return // there is none: nothing is enrolled here
	}
	now := before
	now.LastError = newLastError(fmt.Errorf("leave: %w", cause), n.Now(), before.LastError)
	now.NextStep = "mend what the last error says, then run icinga-enroll leave again"
	_ = writeStatus(n.dir, now, before) // the cause is what counts
}

// openAlone is open where no daemon may be at work.
func (e *Enroller) openAlone(ctx context.Context) (_ *node, release func(), err error) {
	dir, err := platform.MakeDir(e.StateDir, 0o755)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = dir.Close() }()
	alone, err := keepDaemonAway(ctx, dir)
	if err != nil {
		return nil, nil, err
	}
	n, err := e.open(ctx)
	if err != nil {
		_ = alone.Release()
		return nil, nil, err
	}
	return n, func() { n.close(); _ = alone.Release() }, nil
}

// keepDaemonAway takes the daemon's lock: it would enrol this machine again.
func keepDaemonAway(ctx context.Context, dir *platform.Dir) (*platform.Held, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	alone, err := dir.Hold(ctx, daemonFile)
	if locked := (*platform.LockedError)(nil); errors.As(err, &locked) {
		// Not temporary: a service doesn't end by itself.
		return nil, fmt.Errorf("icinga-enroll run is at work here and would enrol this machine again (%s): stop it first, with icinga-enroll service stop", locked.Error())
	}
	return alone, err
}

// leaving is a node on its way out.
type leaving struct {
	*node
	LeaveOptions
	hosts []leftHost // what the Director has of this machine
	gone  bool       // of those, one is not in the Director any more
}

func (n *node) leave(ctx context.Context, o LeaveOptions) (err error) {
	if n.state, err = loadState(n.dir); err != nil {
		return err
	}
	n.certs, err = platform.OpenDir(n.CertsDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	n.name = n.state.Name
	l := &leaving{node: n, LeaveOptions: o}
	if l.hosts, err = n.hostsToDelete(); err != nil {
		return err
	}
	return n.walk(ctx, []step{
		{name: "machine", do: n.stillSameMachine}, // or a copy would take its original out of the Director
		{name: "identity", do: n.isTheOne},
		{name: "director", do: l.leaveDirector},
		{name: "deploy", do: l.deployLeave},
		{name: "wipe", do: l.wipe},
		{name: "remains", do: l.lookAround},
	})
}

// asksDirector reports whether the Director's part is done now.
func (l *leaving) asksDirector() bool { return l.Controller != nil && !l.Local }

func (l *leaving) leaveDirector(ctx context.Context) (outcome, error) {
	switch {
	case len(l.hosts) == 0:
		return l.sayUnknown()
	case !l.asksDirector():
		return l.keepForLater()
	}
	for _, h := range l.hosts {
		out, err := l.deleteHost(ctx, h)
		if err != nil {
			return outcome{}, err
		}
		l.note(Step{Name: "director", Text: out.text, Changed: out.changed, Warning: out.warning})
	}
	return outcome{}, nil
}

func (l *leaving) deleteHost(ctx context.Context, h leftHost) (outcome, error) {
	host, err := l.Controller.Host(ctx, h.Name)
	if err == nil && host.Type != "object" {
		return outcome{}, fmt.Errorf("%s is no host in the Director but a %s, which is not deleted: nothing was removed here either; icinga-enroll leave --local removes what is here", h.Name, host.Type)
	}
	why := ""
	if err == nil {
		why, err = l.whyStays(ctx, h, host.Key)
	}
	if err == nil && why == "" {
		err = l.Controller.DeleteHost(ctx, h.Name)
	}
	switch {
	case errors.Is(err, selfservice.ErrNoHost):
		return l.sayGone(ctx, h)
	case err != nil:
		return outcome{}, fmt.Errorf("%w\n  Nothing was removed here; icinga-enroll leave --local removes what is here, and leaves the host in the Director", err)
	case why != "":
		return warns("the host %s %s", h.Name, why)
	}
	l.gone = true
	return changed("host %s deleted", h.Name)
}

// whyStays says why the host that has h's name, and this key, isn't deleted; ""
// where it is this machine's.
func (l *leaving) whyStays(ctx context.Context, h leftHost, key secret.Text) (string, error) {
	switch {
	case h.has(key):
		return "", nil
	case h.isStrangers(key):
		return "was registered with a key that never was here, perhaps by another machine, and stays: if it is this machine's, delete it in the Director", nil
	}
	renamed, err := l.isRenamed(ctx, h)
	switch {
	case err != nil:
		return "", err
	case renamed:
		return "is another one, and stays: this machine's own was renamed in the Director, whose new name nothing tells; somebody has to delete that", nil
	case h.isAnothers(key):
		return "has another key than this machine's: another machine has it by now, and it stays", nil
	}
	return "", nil
}

// sayGone tells a host that was deleted from one that was renamed.
func (l *leaving) sayGone(ctx context.Context, h leftHost) (outcome, error) {
	if renamed, err := l.isRenamed(ctx, h); err == nil && renamed {
		return warns("there is no host %s any more, but one that takes this machine's key: it was renamed there, and stays; somebody has to delete it", h.Name)
	}
	l.gone = true
	return says("there is no host %s any more", h.Name)
}

// isRenamed reports whether the Director takes this node's key still, which isn't
// that of the host of its name: then another host has it, which isn't named.
func (l *leaving) isRenamed(ctx context.Context, h leftHost) (bool, error) {
	if !h.At.IsZero() || l.Director == nil || !l.registered() {
		return false, nil
	}
	_, err := l.Director.Parameters(ctx, l.hostKey())
	switch {
	case errors.Is(err, selfservice.ErrKeyRejected):
		return false, nil
	case errors.Is(err, selfservice.ErrNotAgent):
		return true, nil
	}
	return err == nil, err
}

// sayUnknown tells of a host that may be there, of which nobody here knows, and
// of what a node without a Director leaves behind.
func (n *node) sayUnknown() (outcome, error) {
	switch sent := n.state.RegisterSent; {
	case n.APIClient:
		return outcome{}, nil
	case sent != nil:
		return warns("a registration as %s was sent on %s and its answer was lost: look for the host in the Director, and delete it if it is this machine's", sent.Name, sent.At.Format(time.DateTime))
	case n.name != "":
		return says("no Director is set here, so there is no host to delete. Where a parent's own files have an Endpoint and a Zone %s, they stay until somebody removes them", n.name)
	}
	return outcome{}, nil
}

// deployLeave deploys also where the host was deleted before: whether the master
// knows that isn't known here.
func (l *leaving) deployLeave(ctx context.Context) (outcome, error) {
	if !l.gone {
		return outcome{}, nil
	}
	if !l.Deploy {
		return warns("the master knows the host until the Director's next deployment")
	}
	if err := l.deployNow(ctx); err != nil {
		return outcome{}, fmt.Errorf("the host is deleted in the Director, which isn't deployed: %w\n  Nothing was removed here; icinga-enroll leave does it without a deployment", err)
	}
	return changed("deployed: the master has taken a configuration without the host")
}

// wipe removes the state last: as long as it is there, running this again knows
// what is left to do.
func (l *leaving) wipe(context.Context) (outcome, error) {
	l.sayWhatRemains()
	wiped, err := l.wipeCerts()
	if err != nil {
		return outcome{}, err
	}
	files := slices.Clone(stateFiles[:len(stateFiles)-1])
	if l.asksDirector() {
		files = append(files, leftFile)
	}
	for _, name := range files {
		_, _, err := l.dir.Attributes(name)
		wiped = wiped || err == nil && name != leftFile
		if err := l.dir.Remove(name); err != nil {
			return outcome{}, err
		}
	}
	if err := l.dir.Sweep(); err != nil {
		return outcome{}, err
	}
	had := l.state.Name != "" || l.state.HostKey != ""
	if err := l.forget(); err != nil {
		return outcome{}, err
	}
	if !wiped && !had {
		return says("nothing to do")
	}
	return changed("key, certificate, request, host key, state and status are gone; the configuration stays%s%s", l.agentStays(), l.quarantineStays())
}

func (n *node) agentStays() string {
	if n.Agent.Manage == ManageNever {
		return ""
	}
	return ", the Icinga agent's too: it has no certificate any more when it starts next"
}

func (n *node) quarantineStays() string {
	if there, err := n.inQuarantine(); err != nil || len(there) == 0 {
		return ""
	}
	return "; so does what other machines have left in " + filepath.Join(n.StateDir, quarantineDir)
}

// sayWhatRemains tells what no program can take back, or this one leaves alone.
func (n *node) sayWhatRemains() {
	if n.name == "" {
		return
	}
	n.sayLeftBehind()
	if p := n.state.Pending; p != nil {
		n.note(Step{Name: "remains", Warning: true, Text: "a request waits on the CA: icinga2 ca remove " + p.Fingerprint})
	}
	if n.certs == nil {
		return
	}
	p, _, err := n.readPair()
	if err != nil || p.cert == nil {
		return
	}
	text := fmt.Sprintf("on the CA there is nothing to do: a copy of the certificate, if there is one, stays valid until %s", p.cert.NotAfter.UTC().Format(time.DateOnly))
	if n.APIClient {
		text = fmt.Sprintf("remove the ApiUser with client_cn = %q: a copy of the certificate, if there is one, stays valid until %s", n.name, p.cert.NotAfter.UTC().Format(time.DateOnly))
	}
	n.note(Step{Name: "remains", Text: text})
}

// keptKey is how the name of a key ends that an import has replaced.
var keptKey = regexp.MustCompile(`^\.key\.[0-9a-f]{8}$`)

func (n *node) wipeCerts() (wiped bool, err error) {
	if n.certs == nil || n.name == "" {
		return false, nil
	}
	own, err := n.ownFiles(n.name)
	if err != nil {
		return false, err
	}
	if err := removeFiles(n.certs, own); err != nil {
		return false, err
	}
	wiped = len(own) > 0
	if err := n.certs.Sweep(); err != nil {
		return wiped, err
	}
	return wiped, n.wipeCA()
}

// ownFiles are those of a node of this name in the certs folder.
func (n *node) ownFiles(name string) ([]string, error) {
	if n.certs == nil || name == "" {
		return nil, nil
	}
	names, err := n.certs.Names()
	return slices.DeleteFunc(names, func(file string) bool {
		suffix, ours := strings.CutPrefix(file, name)
		return !ours || !slices.Contains([]string{".key", ".crt", ".csr"}, suffix) && !keptKey.MatchString(suffix)
	}), err
}

// wipeCA removes the CA's certificate from a folder that is an API client's
// alone. The Icinga agent's has others who need it.
func (n *node) wipeCA() error {
	names, err := n.certs.Names()
	others := slices.ContainsFunc(names, func(name string) bool {
		return name != caFile && (strings.HasSuffix(name, ".crt") || strings.HasSuffix(name, ".key"))
	})
	if err != nil || others || !n.APIClient && !n.certsAreOurs() {
		return err
	}
	data, err := n.certs.ReadFile(caFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := pki.ParseCertificates(data); err != nil {
		return nil //nolint:nilerr // it isn't what this program has put there
	}
	return n.certs.Remove(caFile)
}

// forget removes the state. Which of the agent's files this program has written
// is no identity: without that it would leave them alone for ever.
func (n *node) forget() error {
	if len(n.state.Agent.Written) == 0 {
		return n.dir.Remove(stateFile)
	}
	n.state = n.state.withoutIdentity()
	return n.save()
}

// withoutIdentity is what is left of a state whose node is no more: what is known
// of the Icinga agent's files.
func (s *State) withoutIdentity() State {
	return State{Version: stateVersion, Agent: AgentState{Installed: s.Agent.Installed, Written: s.Agent.Written, Undo: s.Agent.Undo}}
}
