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
	"time"

	"icinga-enroll/pki"
)

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

	refused     []string // the hashes of tickets that the CA has refused, which a run that goes on trying doesn't show again
	toldFailure bool     // hooks.on_failure, of the trouble that goes on: where the status can't be written it doesn't say so
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
// What fails while the certificate in force is valid, or at the Director where
// the ticket comes from elsewhere, is no error but the report's Setback: nothing
// is lost yet, and the next Ensure tries again. What fails about the Icinga agent
// is an [AgentError] there, a deployment that fails a [DeployError].
func (e *Enroller) Ensure(ctx context.Context) (Report, error) {
	n, err := e.open(ctx)
	if err != nil {
		return e.notBegun(err), err
	}
	defer n.close()
	err = n.walk(ctx, []step{
		{name: "state", do: n.load},
		{name: "sealed", do: n.unseal},
		{name: "machine", do: n.ownMachine},
		{name: "switch", do: n.completeSwitch},
		{name: "identity", do: n.identity},
		{name: "name", do: n.freeName},
		{name: "name", do: n.freeEndpoint},
		{name: "adopt", do: n.adopt, canWait: true},
		{name: "key", do: n.tellStore, always: true},
		{name: "agent", do: n.undoHalf, canWait: true, always: true},
		{name: "key", do: n.findTPM},
		{name: "client", do: n.checkClient},
		{name: "trust", do: n.checkEndpoints, canWait: true},
		{name: "key", do: n.prepareKey, canWait: true},
		{name: "register", do: n.register, canWait: true, director: true},
		{name: "host", do: n.updateHost, canWait: true, always: true, director: true},
		{name: "parameters", do: n.awaited(n.askParameters), canWait: true, director: true},
		{name: "certificate", do: n.obtain},
		{name: "deploy", do: n.deploy, canWait: true},
		{name: "parameters", do: n.awaited(n.lookAtDirector), canWait: true, always: true},
		{name: "agent", do: n.configureAgent, canWait: true, always: true},
		{name: "forget", do: n.forgetKey, canWait: true, always: true},
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
	err = n.walk(ctx, []step{
		{name: "state", do: n.load},
		{name: "machine", do: n.soonOwnMachine},
		{name: "switch", do: n.completeSwitch},
		{name: "agent", do: n.undoHalf},
	})
	return errors.Join(err, n.setback)
}

// Plan says what Ensure would do. It asks the Director for the naming rules, and
// where a certificate is to be had whether it knows this host; the endpoints
// only for their certificates. It changes nothing, neither there nor here.
func (e *Enroller) Plan(ctx context.Context) (Report, error) {
	n, err := e.look()
	if err != nil {
		return e.notBegun(err), err
	}
	defer n.close()
	err = n.walk(ctx, []step{
		{name: "state", do: n.hideState},
		{name: "machine", do: n.ownMachine},
		{name: "identity", do: n.identity},
		{name: "name", do: n.freeName},
		{name: "name", do: n.freeEndpoint},
		{name: "adopt", do: n.findPair},
		{name: "key", do: n.tellStore},
		{name: "key", do: n.findTPM},
		{name: "client", do: n.checkClient},
		{name: "trust", do: n.checkEndpoints, canWait: true},
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
