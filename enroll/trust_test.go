package enroll_test

import (
	"context"
	"crypto/x509"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"icinga-enroll/enroll"
	"icinga-enroll/pki"
	"icinga-enroll/pki/pkitest"
	"icinga-enroll/selfservice"
)

// To whom a ticket may go: the parents and the CA server that the Director
// names, or the name that the operator gave.
func TestWhoMayAnswer(t *testing.T) {
	parents := []string{"master1", "master2"}
	tests := map[string]struct {
		endpoints []enroll.Endpoint
		told      func(*selfservice.Parameters)
		address   string
		names     []string
	}{
		"as the Director says":     {address: "192.0.2.1:5665", names: parents},
		"configured, with a name":  {endpoints: []enroll.Endpoint{{Name: "satellite7", Address: "192.0.2.9:5665"}}, address: "192.0.2.9:5665", names: []string{"satellite7"}},
		"configured, without":      {endpoints: []enroll.Endpoint{{Address: "192.0.2.9:5665"}}, address: "192.0.2.9:5665", names: parents},
		"a parent without a host":  {told: func(p *selfservice.Parameters) { p.Parents = []selfservice.Parent{{Name: "sat1"}} }, address: "sat1:5665", names: []string{"master1", "sat1"}},
		"no parent: the CA server": {told: func(p *selfservice.Parameters) { p.Parents = nil }, address: "master1:5665", names: []string{"master1"}},
		"an IPv6 address and another port": {told: func(p *selfservice.Parameters) {
			p.Parents = []selfservice.Parent{{Name: "m6", Host: "2001:db8::1", Port: "5666"}}
		}, address: "[2001:db8::1]:5666", names: []string{"m6", "master1"}},
	}
	for what, tt := range tests {
		t.Run(what, func(t *testing.T) {
			n := newNode(t)
			n.Endpoints = tt.endpoints
			told, _ := n.director.Parameters(t.Context(), n.TemplateKey)
			if tt.told != nil {
				tt.told(&told)
			}
			n.director.parameters = func() (selfservice.Parameters, error) { return told, nil }
			n.mustEnsure(t)
			if n.authority.asked[0] != tt.address || !slices.Equal(n.authority.names, tt.names) {
				t.Errorf("asked %s, which might be %v; want %s, %v", n.authority.asked[0], n.authority.names, tt.address, tt.names)
			}
		})
	}
}

func TestNobodyToAsk(t *testing.T) {
	n := newNode(t)
	n.director.parameters = func() (selfservice.Parameters, error) { return selfservice.Parameters{ParentZone: "empty"}, nil }
	if _, err := n.Ensure(t.Context()); err == nil || !strings.Contains(err.Error(), "ca.endpoints") {
		t.Errorf("error is %v, want one that names the setting", err)
	}
	if len(n.authority.asked) > 0 {
		t.Errorf("asked %v", n.authority.asked)
	}
}

// Trust on first use is one use: from then on that CA is the pin.
func TestFirstCAIsThePinFromThenOn(t *testing.T) {
	n := newNode(t)
	first := n.authority.ca
	n.Trust = pki.Trust{FirstUse: true}
	n.mustEnsure(t)
	other, err := pkitest.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	n.authority.ca, n.Wish = other, enroll.Rekey
	before := read(t, n.cert(".crt"))
	if r := n.mustEnsure(t); r.Setback == nil || !strings.Contains(r.Setback.Error(), "isn't used") {
		t.Errorf("setback is %v", r.Setback)
	}
	if read(t, n.cert(".crt")) != before {
		t.Error("the certificate of another CA is in place")
	}
	if roots := n.authority.trust.Roots; n.authority.trust.FirstUse || len(roots) != 1 || !roots[0].Equal(first.Certificate()) {
		t.Errorf("endpoints are judged by %+v, want the CA of the first use", n.authority.trust)
	}
}

// What an answer says of other CAs must not become the agent's trust.
func TestForeignCAOfAnAnswerIsLeftOut(t *testing.T) {
	n := newNode(t)
	foreign, err := pkitest.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	n.authority.request = func(_ string, req pki.Request) (pki.Issued, error) {
		issued, err := n.authority.sign(req.Certificate.PublicKey, nodeName)
		issued.CA = []*x509.Certificate{foreign.Certificate()}
		return issued, err
	}
	r := n.mustEnsure(t)
	ca := read(t, n.CertsDir+"/ca.crt")
	if strings.Contains(ca, string(pki.EncodeCertificates(foreign.Certificate()))) {
		t.Error("ca.crt holds the foreign CA")
	}
	if ca != string(pki.EncodeCertificates(n.authority.ca.Certificate())) {
		t.Error("ca.crt doesn't hold the pinned CA")
	}
	if !slices.ContainsFunc(r.Steps, func(s enroll.Step) bool { return s.Warning && strings.Contains(s.Text, "aren't trusted") }) {
		t.Error("nobody is told")
	}
}

// A clock that is behind makes a good pair look not valid yet: that is no
// reason to replace it.
func TestPairThatIsNotValidYetIsNotReplaced(t *testing.T) {
	n := newNode(t)
	n.mustEnsure(t)
	before := read(t, n.cert(".key"))
	later := n.Now
	n.Now = func() time.Time { return later().Add(-day) }
	if _, err := n.Ensure(t.Context()); !enroll.IsTemporary(err) {
		t.Errorf("error is %v, want a temporary one", err)
	}
	if read(t, n.cert(".key")) != before || len(n.authority.asked) != 1 {
		t.Error("it was replaced")
	}
}

func TestUnusableFilesAreReplacedNotFatal(t *testing.T) {
	tests := map[string]map[string]string{
		"an empty certificate":       {".crt": "", ".key": "keep"},
		"a key that is none":         {".crt": "keep", ".key": "-----BEGIN nothing-----"},
		"a certificate that is none": {".crt": "hello", ".key": "keep"},
	}
	for what, files := range tests {
		t.Run(what, func(t *testing.T) {
			n := newNode(t)
			n.mustEnsure(t)
			for ext, text := range files {
				if text == "keep" {
					continue
				}
				if err := os.WriteFile(n.cert(ext), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if r := n.mustEnsure(t); !r.Changed {
				t.Error("nothing was done about it")
			}
			if n.director.tickets != 2 {
				t.Errorf("%d tickets, want a second one", n.director.tickets)
			}
		})
	}
}

// A registration whose answer was lost isn't sent again while nobody looks on.
func TestLostRegistrationIsNotRepeatedByTheDaemon(t *testing.T) {
	n := newNode(t)
	n.Daemon = true
	n.director.register = func(context.Context) error { return selfservice.ErrAnswerLost }
	for range 3 {
		if _, err := n.Ensure(t.Context()); err == nil || enroll.IsTemporary(err) {
			t.Errorf("error is %v, want one that somebody must act on", err)
		}
	}
	if n.director.registered != 1 {
		t.Errorf("sent %d times", n.director.registered)
	}
	n.Daemon, n.director.register = false, nil // somebody runs once
	n.mustEnsure(t)
}

// But it is where the Director tells, to a user in Icinga Web, that the host isn't
// there: a crash before it was sent looks like a lost answer.
func TestRegistrationThatDidNotArriveIsRepeatedByTheDaemon(t *testing.T) {
	n := newNode(t)
	n.Daemon = true
	n.director.register = func(context.Context) error { return selfservice.ErrAnswerLost }
	if _, err := n.Ensure(t.Context()); !errors.Is(err, selfservice.ErrAnswerLost) {
		t.Fatal(err)
	}
	n.Controller, n.director.register = &leaver{}, nil
	n.mustEnsure(t)
}

// A ticket that was refused isn't shown again while nobody looks on: masters log it.
func TestRefusedTicketIsNotShownAgainByTheDaemon(t *testing.T) {
	n := newNode(t)
	n.Daemon = true
	n.authority.request = func(string, pki.Request) (pki.Issued, error) {
		return pki.Issued{}, &pki.RefusedError{Message: "Invalid ticket for CN 'web1.example.com'."}
	}
	for range 3 {
		if _, err := n.Ensure(t.Context()); err == nil {
			t.Error("no error")
		}
	}
	if len(n.authority.asked) != 1 {
		t.Errorf("shown %d times", len(n.authority.asked))
	}
	n.Daemon, n.authority.request = false, nil
	n.mustEnsure(t)
}

// Who pins another CA doesn't want the one before any more: neither this
// program nor the agent, which believes all that is in ca.crt.
func TestAnotherPinEndsTheTrustInTheCABefore(t *testing.T) {
	n := newNode(t)
	former := n.authority.ca
	n.mustEnsure(t)
	next, err := pkitest.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	n.authority.ca = next
	n.Trust = pki.Trust{Pins: []pki.Pin{pki.PublicKeyPin(next.Certificate())}}
	r := n.mustEnsure(t)
	if !slices.ContainsFunc(r.Steps, func(s enroll.Step) bool { return strings.Contains(s.Text, "isn't believed any more") }) {
		t.Errorf("nobody is told: %v", r.Steps)
	}
	if read(t, n.CertsDir+"/ca.crt") != string(pki.EncodeCertificates(next.Certificate())) {
		t.Error("ca.crt holds the former CA")
	}
	before := read(t, n.cert(".crt"))
	n.authority.ca, n.Wish = former, enroll.Rekey
	if r := n.mustEnsure(t); r.Setback == nil || read(t, n.cert(".crt")) != before {
		t.Errorf("the former CA's certificate was taken (setback %v)", r.Setback)
	}
}
