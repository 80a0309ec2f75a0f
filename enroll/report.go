package enroll

import (
	"cmp"
	"context"
	"errors"
	"time"

	"icinga-enroll/pki"
	"icinga-enroll/selfservice"
)

// Step is one thing that Ensure looked at.
type Step struct {
	Name    string  `json:"step"`
	Text    string  `json:"text"` // "" while it is being done
	Changed bool    `json:"changed"`
	Warning bool    `json:"warning,omitempty"`
	Seconds float64 `json:"seconds"` // how long it took
}

// Condition is where a node stands.
type Condition string

// Where a node may stand.
const (
	Enrolled Condition = "enrolled" // it has a valid certificate
	Pending  Condition = "pending"  // its request waits for approval on the CA
	Failed   Condition = "failed"   // neither: the error says why
	Planned  Condition = "planned"  // nothing was done: a dry run
)

// Certificate is what people ask about a certificate.
type Certificate struct {
	Subject     string    `json:"subject"`
	Issuer      string    `json:"issuer"`
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	Fingerprint string    `json:"fingerprint"` // SHA-256 of the certificate, in hex
	File        string    `json:"file"`
	KeyStore    KeyStore  `json:"key_store,omitempty"` // of its private key
	Unusable    string    `json:"unusable,omitempty"`  // why its private key can't be used; "": it can
}

// KeyStore is where a private key is.
type KeyStore string

// Where a private key may be.
const (
	InFile KeyStore = "file"
	InTPM  KeyStore = "tpm"
)

// Waiting is a request that waits for approval.
type Waiting struct {
	Fingerprint string    `json:"fingerprint"` // as "icinga2 ca list" shows it and "icinga2 ca sign" takes it
	Since       time.Time `json:"since"`
}

// Report is the outcome of an Ensure.
type Report struct {
	Name        string                  `json:"name"`
	State       Condition               `json:"state"`
	Changed     bool                    `json:"changed"` // something was written here or changed on a server
	Registered  bool                    `json:"registered"`
	Certificate *Certificate            `json:"certificate,omitempty"` // in place, an expired one too
	Pending     *Waiting                `json:"pending,omitempty"`
	Parameters  *selfservice.Parameters `json:"parameters,omitempty"` // as the Director told them last, or the configuration's
	Steps       []Step                  `json:"steps"`
	Next        time.Time               `json:"next,omitzero"` // when the certificate is due
	Error       string                  `json:"error,omitempty"`

	// News is what the Director says now and the agent has not been made from.
	News string `json:"changed_in_director,omitempty"`

	// APIClient says that the name is an API client's, as which it was settled.
	APIClient bool `json:"-"`

	// KeyForgotten says that director.forget_template_key has done its work.
	KeyForgotten bool `json:"-"`

	// Unrenewable says that nobody is known who could renew the certificate in force.
	Unrenewable bool `json:"-"`

	// Look is when Ensure should be called again; zero: only for Next.
	Look time.Time `json:"-"`

	// KeyRejected is since when the Director refuses the host key; zero: it doesn't.
	KeyRejected time.Time `json:"-"`
	// Renewed says that a new certificate was put in place.
	Renewed bool `json:"-"`
	// Setback is what went wrong though the node is enrolled: a renewal that is
	// due, a hook. Nil in the good case.
	Setback error `json:"-"`
}

// Missed is what of the Setback whoever ran this has asked for in so many words,
// and must see: an agent that is set up, a deployment, a look at the Director. What
// else went wrong can wait. Nil: nothing.
func (r Report) Missed() error {
	var agent *AgentError
	var deployment *DeployError
	var look *LookError
	if errors.As(r.Setback, &agent) || errors.As(r.Setback, &deployment) || errors.As(r.Setback, &look) {
		return r.Setback
	}
	return nil
}

func (p *pair) describe(file string) *Certificate {
	c := &Certificate{
		Subject:     p.cert.Subject.CommonName,
		Issuer:      p.cert.Issuer.CommonName,
		NotBefore:   p.cert.NotBefore.UTC(),
		NotAfter:    p.cert.NotAfter.UTC(),
		Fingerprint: pki.Fingerprint(p.cert),
		File:        file,
		KeyStore:    InFile,
	}
	if pki.InTPM(p.key) {
		c.KeyStore = InTPM
	}
	if p.unusable != nil {
		c.Unusable = p.unusable.Error()
	}
	return c
}

// notBegun is the report of a run that could not take the state folder.
func (e *Enroller) notBegun(err error) Report {
	return Report{Name: e.Name, State: Failed, Error: err.Error()}
}

func (n *node) report(err error) Report {
	r := Report{
		Name:         cmp.Or(n.name, n.state.Name, n.Name),
		State:        n.condition(err),
		APIClient:    n.state.APIClient || n.APIClient && n.state.Name == "",
		Registered:   n.registered(),
		KeyForgotten: n.registered() && n.keyForgotten(),
		Pending:      n.state.Pending,
		Parameters:   n.parameters(),
		News:         n.state.Agent.Follow.News,
		Look:         n.lookAgain(),
		Steps:        n.steps,

		Renewed: n.reason != "" && !n.stuck,
		Setback: n.setback,
	}
	for _, s := range n.steps {
		r.Changed = r.Changed || s.Changed
	}
	switch {
	case n.pair != nil:
		r.Certificate = n.pair.describe(n.certFile())
		r.Next, r.Unrenewable = n.due(), n.isUnrenewable()
	case n.idle != nil:
		r.Certificate = n.idle.describe(n.certFile())
	}
	if !n.keyAccepted() {
		r.KeyRejected = n.state.KeyRejected
	}
	if err != nil {
		r.Error = err.Error()
	}
	return r
}

func (n *node) condition(err error) Condition {
	switch {
	case errors.Is(err, pki.ErrPending):
		return Pending
	case err != nil:
		return Failed
	case n.readOnly:
		return Planned
	case n.pair != nil:
		return Enrolled
	case n.state.Pending != nil:
		return Pending
	default:
		return Failed
	}
}

// conclude writes the status file and makes the report.
func (n *node) conclude(ctx context.Context, err error) (Report, error) {
	r := n.report(err)
	if ctx.Err() != nil && (err != nil || n.setback != nil) {
		if err == nil && n.pair != nil {
			n.showCertificate()
		}
		return r, err // it was interrupted: that says nothing about this node
	}
	if errors.Is(err, pki.ErrNoAuthValue) && !n.Daemon {
		return r, err // the service may well have it: a shell gets no credential
	}
	before, _ := readStatus(n.dir) // none yet, or damaged: it is written anew
	now := newStatus(r, err, n.Now(), before)
	if now.LastError != nil && before.LastError == nil && !n.toldFailure {
		n.tellFailure(ctx, now.LastError.Message)
		r.Steps = n.steps
	}
	n.toldFailure = now.LastError != nil
	werr := writeStatus(n.dir, now, before)
	switch {
	case werr != nil && err == nil:
		return n.withoutStatus(werr)
	case werr != nil:
		n.note(Step{Name: "status", Text: werr.Error(), Warning: true})
		r.Steps = n.steps
	}
	return r, err
}

// showCertificate writes the status before the hooks run, which may take their
// time, and where a run is interrupted: with the certificate in force, and what was
// said of errors before. Where that can't be done the end of a run says so.
func (n *node) showCertificate() {
	before, _ := readStatus(n.dir)
	r := n.report(nil)
	now := newStatus(r, nil, n.Now(), before)
	now.LastError, now.LastSuccess = before.LastError, before.LastSuccess
	now.NextStep = now.nextStep(r.Unrenewable)
	_ = writeStatus(n.dir, now, before)
}

// withoutStatus is the outcome where the status could not be written, which can
// wait where the certificate is valid.
func (n *node) withoutStatus(err error) (Report, error) {
	if n.pair == nil {
		return n.report(err), err
	}
	n.setback = cmp.Or(n.setback, err)
	n.note(Step{Name: "status", Text: err.Error(), Warning: true})
	return n.report(nil), nil
}
