package enroll

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"icinga-enroll/pki"
	"icinga-enroll/platform"
	"icinga-enroll/renew"
	"icinga-enroll/selfservice"
)

const (
	lockFile = "lock"
	lockWait = 10 * time.Second

	// roomNeeded is what an enrolment may write, in bytes, with plenty to spare.
	roomNeeded = 128 << 10
)

// node is one run of Ensure: what is known so far, and the folders it is kept in.
type node struct {
	*Enroller
	dir      *platform.Dir // StateDir
	certs    *platform.Dir // CertsDir; nil where it isn't there
	unlock   func() error
	readOnly bool
	probed   bool  // whether what may be written has room; it is tried once
	room     error // what that has found: nil: there is room

	state   State
	name    string                  // this node's name, once identity has found it
	naming  *selfservice.Parameters // what the Director says about names, once it was asked
	pair    *pair                   // the certificate in force
	idle    *pair                   // the one in place, where it has come to its end or its key can't be used
	request *request                // the request for the next one
	steps   []Step

	asked bool // the Director was asked for the parameters

	trying    *trial            // the agent is to follow the Director, on trial
	addresses map[string]string // of parents, as they were looked up for what is to be applied; nil: nothing was

	endpointUnknown error // why the Director has not told whether it has an endpoint of this name

	unregistered error // why the Director could not be made to know this node

	reason  string // what a new certificate is: see reasonEnrolled
	setback error  // what went wrong, though the certificate in force is valid, or can be had all the same
	stuck   bool   // a new pair is in the journal and its switch can't be ended: until it is, no other is asked for
}

type step struct {
	name string
	do   func(context.Context) (outcome, error)
	// canWait: on a node with a valid certificate its failure is a setback.
	canWait bool
	// director: it is one, too, where a ticket comes from elsewhere.
	director bool
	// always: it is done on a settled node, too.
	always bool
}

// outcome is what a step has to say; with an empty text nothing is said.
type outcome struct {
	text    string
	changed bool
	warning bool
}

func says(format string, a ...any) (outcome, error) {
	return outcome{text: fmt.Sprintf(format, a...)}, nil
}

func changed(format string, a ...any) (outcome, error) {
	return outcome{text: fmt.Sprintf(format, a...), changed: true}, nil
}

func warns(format string, a ...any) (outcome, error) {
	return outcome{text: fmt.Sprintf(format, a...), warning: true}, nil
}

// open takes the lock on the state folder.
func (e *Enroller) open(ctx context.Context) (_ *node, err error) {
	n := &node{Enroller: e}
	if err = n.checkClock(); err != nil {
		return nil, err
	}
	if n.dir, err = platform.MakeDir(e.StateDir, 0o755); err != nil {
		return nil, err
	}
	if err = refuseForeign(n.dir); err == nil {
		err = n.lock(ctx)
	}
	if err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

// refuseForeign refuses another account's folder: a service that runs as that
// account could not read any more what is written there.
func refuseForeign(dir *platform.Dir) error {
	account, err := dir.Foreign(".")
	if err != nil || account == "" {
		return err
	}
	if account == "root" {
		return fmt.Errorf("the folder %s is root's: run this as root", dir.Path())
	}
	return fmt.Errorf("the folder %s is %s's: run this as that account, such as with: runuser -u %[2]s -- icinga-enroll …", dir.Path(), account)
}

// load reads the state, and tries on a machine that isn't enrolled yet all that
// can fail on it, before a server is asked.
func (n *node) load(ctx context.Context) (_ outcome, err error) {
	if n.state, err = loadState(n.dir); err != nil {
		return outcome{}, unread{err}
	}
	if err := n.take(ctx, step{name: "state", do: n.hideState}); err != nil {
		return outcome{}, err
	}
	if n.certs, err = platform.MakeDir(n.CertsDir, 0o750); err != nil {
		return outcome{}, err
	}
	if err := errors.Join(n.dir.Sweep(), n.certs.Sweep(), n.giveFolder()); err != nil {
		return outcome{}, err
	}
	if n.state.Name == "" {
		return outcome{}, n.checkRoom()
	}
	return outcome{}, nil
}

// look opens what is there and changes nothing.
func (e *Enroller) look() (_ *node, err error) {
	n := &node{Enroller: e, readOnly: true}
	if err = n.checkClock(); err != nil {
		return nil, err
	}
	n.dir, err = platform.OpenDir(e.StateDir)
	if err == nil {
		n.state, err = loadState(n.dir)
	}
	onlyUses := e.APIClient && errors.Is(err, fs.ErrPermission)
	if err == nil || onlyUses || errors.Is(err, fs.ErrNotExist) {
		n.certs, err = platform.OpenDir(e.CertsDir)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		n.close()
		return nil, err
	}
	if onlyUses && err == nil {
		n.borrowState()
	}
	return n, nil
}

// borrowState makes do without the state, which is who renews the certificate's,
// for an account that may only use it: it has nothing to lose but its own.
func (n *node) borrowState() {
	n.state = State{Name: n.Name, APIClient: true}
	if ca, err := n.certs.ReadFile(caFile); err == nil {
		n.state.CA = string(ca)
	}
}

func (n *node) close() {
	if n.unlock != nil {
		_ = n.unlock()
	}
	for _, d := range []*platform.Dir{n.dir, n.certs} {
		if d != nil {
			_ = d.Close()
		}
	}
}

func (n *node) lock(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	n.unlock, err = n.dir.Lock(ctx, lockFile)
	return err
}

// checkClock refuses a clock that can't be right: with it a valid certificate
// looks "not yet valid", and an expired one fine.
func (n *node) checkClock() error {
	if now := n.Now(); now.Before(n.BuildDate) {
		return local{temporary{fmt.Errorf("the clock says %s, which is before this program was built (%s): set the clock (is NTP running?), then try again",
			now.UTC().Format(time.DateTime), n.BuildDate.UTC().Format(time.DateOnly))}}
	}
	return nil
}

// hadSetback reports whether something has gone wrong before. What can't be
// repeated isn't begun then.
func (n *node) hadSetback() bool { return n.setback != nil }

// walk does the steps in order until the node is settled.
func (n *node) walk(ctx context.Context, steps []step) error {
	for _, s := range steps {
		if n.settled() && (!s.always || n.stuck) {
			continue
		}
		err := n.take(ctx, s)
		if err == nil {
			continue
		}
		why := n.survives(s, err)
		if why == "" {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		n.setBack(fmt.Errorf("%s: %w", s.name, err))
		n.note(Step{Name: s.name, Text: "failed; " + why + ": " + err.Error(), Warning: true})
	}
	return nil
}

// setBack keeps what went wrong last, and a deployment or a look that failed before
// it: somebody has asked for that.
func (n *node) setBack(err error) {
	var deployment *DeployError
	var look *LookError
	if errors.As(n.setback, &deployment) || errors.As(n.setback, &look) {
		err = errors.Join(n.setback, err)
	}
	n.setback = err
}

// survives says why the failure of s isn't the end; "" where it is.
func (n *node) survives(s step, err error) string {
	switch {
	case s.canWait && n.pair != nil:
		return "the certificate is valid"
	case s.director && n.canDoWithout(err):
		return "a certificate can be had without it (ca.ticket)"
	}
	return ""
}

// canDoWithout reports whether a certificate can be had although the Director
// has failed with err. A name that this node must not have is no such failure,
// nor one that somebody has registered: that may be another machine.
func (n *node) canDoWithout(err error) bool {
	if wrong := (misnamed{}); errors.As(err, &wrong) || errors.Is(err, selfservice.ErrAlreadyRegistered) {
		return false
	}
	return slices.ContainsFunc(n.sources(), func(s TicketSource) bool {
		return s == TicketAPI || s == TicketStatic || s == TicketNone
	})
}

func (n *node) take(ctx context.Context, s step) error {
	n.observe(Step{Name: s.name})
	start := time.Now()
	out, err := s.do(ctx)
	if out.text != "" {
		n.note(Step{Name: s.name, Text: out.text, Changed: out.changed, Warning: out.warning, Seconds: time.Since(start).Seconds()})
	}
	return err
}

func (n *node) note(s Step) {
	n.steps = append(n.steps, s)
	n.observe(s)
}

func (n *node) observe(s Step) {
	if n.Observe != nil {
		n.Observe(s)
	}
}

// settled reports whether nothing is left to do: a certificate that isn't due,
// on a node about whose registration all is known that can be known.
func (n *node) settled() bool {
	if n.readOnly || n.pair == nil {
		return false
	}
	return n.stuck || n.nothingDue() && n.registrationKnown() && n.parametersKnown() && n.keyAccepted() && n.state.HooksDue == "" && !n.deployDue()
}

// nothingDue reports whether the pair in force can stay as it is.
func (n *node) nothingDue() bool {
	return n.Wish == WhenDue && n.Now().Before(n.due()) && !n.rekeyWaits()
}

// registrationKnown reports whether there is nothing to ask the Director about
// this host. Who is registered with a key that is elsewhere needs one as soon
// as there is no certificate left to show; an Icinga Web user reads it back.
func (n *node) registrationKnown() bool {
	return n.APIClient || n.Director == nil || n.registered() || !n.canRegister() && !slices.Contains(n.sources(), TicketSelfService) ||
		n.state.Elsewhere && n.pair != nil && !n.Reregister && n.Controller == nil
}

// parametersKnown reports whether a registered node has been told its zone.
func (n *node) parametersKnown() bool {
	return n.Director == nil || !n.registered() || n.state.Parameters != nil
}

// canRegister reports whether there is something to register with.
func (n *node) canRegister() bool { return !n.TemplateKey.IsZero() || n.Controller != nil }

func (n *node) registered() bool { return !n.hostKey().IsZero() }

// due is when the pair in force should be replaced.
func (n *node) due() time.Time {
	dates := renew.Due(n.pair.cert, n.name)
	if n.rotates() {
		return dates.Rotation
	}
	return dates.Renewal
}

// rotates reports whether a new key can replace the old one: that takes a
// ticket, and somebody who makes the Icinga agent read the new key. An agent
// that keeps the old one in memory goes dark at its certificate's end.
func (n *node) rotates() bool {
	return n.hasTicketSource() && (len(n.Hooks.PostRenew) > 0 || n.reloadsAgent())
}

// reloadsAgent reports whether this program looks after the Icinga agent here.
func (n *node) reloadsAgent() bool {
	return n.Agent.Manage != ManageNever && n.state.Agent.Applied != nil
}

// trust is the operator's, grown by the certificates of the same CA that were
// seen since. Where none is configured it is the CA that was imported.
func (n *node) trust() pki.Trust {
	stored, _ := pki.ParseCertificates([]byte(n.state.CA)) // empty, or loadState has tried it
	if !n.isPinned() && len(stored) > 0 {
		return pki.Trust{Roots: stored}
	}
	return n.Trust.With(stored)
}

// isPinned reports whether the configuration says which CA to believe.
func (n *node) isPinned() bool { return len(n.Trust.Roots)+len(n.Trust.Pins) > 0 }

// storedCA are the CAs that were seen, the oldest first: those that are believed
// still, and those that the operator has pinned another for since.
func (n *node) storedCA() (believed, former []*x509.Certificate) {
	stored, _ := pki.ParseCertificates([]byte(n.state.CA)) // as in trust
	return n.trust().Sift(stored)
}

func (n *node) authority() Authority { return n.Authority(n.trust()) }
