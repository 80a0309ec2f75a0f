package enroll

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"icinga-enroll/pki"
	"icinga-enroll/platform"
	"icinga-enroll/selfservice"
)

// LeaveOptions say how a node leaves.
type LeaveOptions struct {
	Deploy bool // have the Director deploy after the host was deleted there
	Local  bool // ask no server: the host stays in the Director
}

// Leave ends what Ensure has begun: the Controller, where there is one, deletes
// the host in the Director, then the key, the certificate, the request, the host
// key, the state and the status are removed here. As long as the Director has
// not done its part nothing is removed here. The configuration, the Icinga
// agent's too, stays. A crash between any two instructions is answered by
// running Leave again.
func (e *Enroller) Leave(ctx context.Context, o LeaveOptions) error {
	dir, err := platform.OpenDir(e.StateDir)
	if errors.Is(err, fs.ErrNotExist) {
		e.tell(Step{Name: "leave", Text: "nothing to do: there is no " + e.StateDir})
		return nil
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

func (e *Enroller) tell(s Step) {
	if e.Observe != nil {
		e.Observe(s)
	}
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

func (n *node) leave(ctx context.Context, o LeaveOptions) (err error) {
	if n.state, err = loadState(n.dir); err != nil {
		return err
	}
	n.certs, err = platform.OpenDir(n.CertsDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	n.name = n.state.Name
	return n.walk(ctx, []step{
		{name: "machine", do: n.sameMachine}, // or a copy would take its original out of the Director
		{name: "director", do: func(ctx context.Context) (outcome, error) { return n.leaveDirector(ctx, o) }},
		{name: "deploy", do: func(ctx context.Context) (outcome, error) { return n.deployLeave(ctx, o) }},
		{name: "wipe", do: n.wipe},
	})
}

// hostInDirector reports whether there may be a host of this node's.
func (n *node) hostInDirector() bool { return n.name != "" && !n.APIClient }

func (n *node) leaveDirector(ctx context.Context, o LeaveOptions) (outcome, error) {
	switch {
	case !n.hostInDirector():
		return n.sayUnknown()
	case o.Local || n.Controller == nil:
		return warns("somebody has to delete the host %s in the Director, and deploy", n.name)
	}
	host, err := n.Controller.Host(ctx, n.name)
	if err == nil && host.Type != "object" {
		return outcome{}, fmt.Errorf("%s is no host in the Director but a %s, which is not deleted: nothing was removed here either; icinga-enroll leave --local removes what is here", n.name, host.Type)
	}
	if err == nil {
		err = n.Controller.DeleteHost(ctx, n.name)
	}
	switch {
	case errors.Is(err, selfservice.ErrNoHost):
		return says("there is no host %s any more", n.name)
	case err != nil:
		return outcome{}, fmt.Errorf("%w\n  Nothing was removed here; icinga-enroll leave --local removes what is here, and leaves the host in the Director", err)
	}
	return changed("host %s deleted", n.name)
}

// sayUnknown tells of a host that may be there, of which nobody here knows.
func (n *node) sayUnknown() (outcome, error) {
	if sent := n.state.RegisterSent; sent != nil && !n.APIClient {
		return warns("a registration as %s was sent on %s and its answer was lost: look for the host in the Director, and delete it if it is this machine's", sent.Name, sent.At.Format(time.DateTime))
	}
	return outcome{}, nil
}

// deployLeave deploys also where the host was deleted before: whether the master
// knows that isn't known here.
func (n *node) deployLeave(ctx context.Context, o LeaveOptions) (outcome, error) {
	if !n.hostInDirector() || n.Controller == nil || o.Local {
		return outcome{}, nil
	}
	if !o.Deploy {
		return warns("the master knows the host until the Director's next deployment")
	}
	if err := n.deployNow(ctx); err != nil {
		return outcome{}, fmt.Errorf("the host is deleted in the Director, which isn't deployed: %w\n  Nothing was removed here; icinga-enroll leave does it without a deployment", err)
	}
	return changed("deployed: the master has taken a configuration without the host")
}

// wipe removes the state last: as long as it is there, running this again knows
// what is left to do.
func (n *node) wipe(context.Context) (outcome, error) {
	n.sayWhatRemains()
	wiped, err := n.wipeCerts()
	if err != nil {
		return outcome{}, err
	}
	for _, name := range stateFiles[:len(stateFiles)-1] {
		_, _, err := n.dir.Attributes(name)
		wiped = wiped || err == nil
		if err := n.dir.Remove(name); err != nil {
			return outcome{}, err
		}
	}
	if err := n.dir.Sweep(); err != nil {
		return outcome{}, err
	}
	had := n.state.Name != "" || n.state.HostKey != ""
	if err := n.forget(); err != nil {
		return outcome{}, err
	}
	if !wiped && !had {
		return says("nothing to do")
	}
	return changed("key, certificate, request, host key, state and status are gone; the configuration stays%s", n.agentStays())
}

func (n *node) agentStays() string {
	if n.Agent.Manage == ManageNever {
		return ""
	}
	return ", the Icinga agent's too: it has no certificate any more when it starts next"
}

// sayWhatRemains tells what no program can take back.
func (n *node) sayWhatRemains() {
	if n.name == "" {
		return
	}
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

func (n *node) wipeCerts() (wiped bool, err error) {
	if n.certs == nil || n.name == "" {
		return false, nil
	}
	for _, ext := range []string{".key", ".crt", ".csr"} {
		_, _, err := n.certs.Attributes(n.name + ext)
		wiped = wiped || err == nil
		if err := n.certs.Remove(n.name + ext); err != nil {
			return wiped, err
		}
	}
	if err := n.certs.Sweep(); err != nil {
		return wiped, err
	}
	return wiped, n.wipeCA()
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
