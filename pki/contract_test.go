package pki_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/pki"
)

// authority is an Icinga CA with its endpoints: the fake, or the real one.
type authority interface {
	master() pki.Endpoint
	satellite(t *testing.T) pki.Endpoint
	certificate() *x509.Certificate
	ticket(t *testing.T, cn string) secret.Text
	// pending returns the fingerprints of the requests that wait.
	pending(t *testing.T) []string
	// admin approves, removes or restores a request.
	admin(t *testing.T, verb, fingerprint string)
	// sign makes an old certificate.
	sign(t *testing.T, key crypto.Signer, cn string, daysPast, daysLeft int) *x509.Certificate
}

// scene is one node and its certificate request.
type scene struct {
	authority
	client   *pki.Client
	endpoint pki.Endpoint
	cn       string
	key      crypto.Signer
	request  *x509.Certificate
}

type step func(t *testing.T, s *scene)

// contract is what Icinga 2.13.6 answers: each row is a new name with a new key
// and a new request certificate, and what happens to it.
var contract = []struct {
	name  string
	steps []step
}{
	{"a valid ticket", []step{ask(valid, issued), isPending(false)}},
	{"a valid ticket again", []step{ask(valid, issued), ask(valid, issued)}},
	{"a ticket is not remembered", []step{ask(valid, issued), ask(none, pending)}},
	{"a bad ticket", []step{ask(wrong, refused("Invalid ticket for CN '{cn}'.")), isPending(false)}},
	{"the ticket of another case", []step{ask(upper, refused("Invalid ticket for CN '{cn}'."))}},
	{"no ticket", []step{ask(none, pending), isPending(true), ask(none, pending)}},
	{"no ticket, then one", []step{ask(none, pending), ask(wrong, refused("Invalid ticket")), ask(valid, issued)}},
	{"approved", []step{ask(none, pending), admin("sign"), isPending(false), ask(none, issued), ask(wrong, issued)}},
	{"another request for an approved name", []step{ask(none, pending), admin("sign"), newKey(pki.ECDSAP256), ask(none, pending)}},
	{"removed", []step{ask(none, pending), admin("remove"), isPending(false),
		ask(none, refused("Ticket for CN {cn} declined by administrator.")),
		ask(valid, refused("Ticket for CN {cn} declined by administrator.")),
		ask(wrong, refused("Ticket for CN {cn} declined by administrator."))}},
	{"restored", []step{ask(none, pending), admin("remove"), admin("restore"), isPending(true), ask(none, pending), ask(valid, issued)}},
	{"restored and approved", []step{ask(none, pending), admin("remove"), admin("restore"), admin("sign"), ask(none, issued)}},

	{"renewal with 10 days left", []step{signed(387, 10), ask(none, issued)}},
	{"renewal with 10 days left and a bad ticket", []step{signed(387, 10), ask(wrong, issued)}},
	{"renewal with 29 days left", []step{signed(368, 29), ask(none, issued)}},
	{"renewal with 31 days left", []step{signed(366, 31), ask(none, notDue), ask(valid, notDue)}},
	{"renewal after expiry", []step{signed(400, -3), ask(none, pending), ask(valid, issued)}},
	{"renewal of a certificate that is not valid yet", []step{signed(-2, 300), ask(none, pending), ask(valid, issued)}},
	{"rekey of a certificate that is not due", []step{signed(100, 297), newKey(pki.Ed25519), ask(none, pending), ask(valid, issued)}},

	{"ecdsa-p256", []step{newKey(pki.ECDSAP256), ask(valid, issued)}},
	{"ecdsa-p384", []step{newKey(pki.ECDSAP384), ask(valid, issued)}},
	{"ed25519", []step{newKey(pki.Ed25519), ask(valid, issued)}},
	{"rsa-3072", []step{newKey(pki.RSA3072), ask(valid, issued)}},
	{"rsa-4096", []step{newKey(pki.RSA4096), ask(valid, issued)}},

	{"a second common name is signed too, and not accepted", []step{secondName("trusted-master"), ask(valid, fails("2 common names"))}},
	{"a name that is not ASCII is signed, and can't be read", []step{suffix("-ü"), ask(valid, fails("not plain ASCII"))}},
	{"a name of 64 characters", []step{suffix(strings.Repeat("x", 64)), ask(valid, issued)}},

	{"satellite: a valid ticket", []step{satellite, ask(valid, pending), poll(valid, issued)}},
	{"satellite: a bad ticket stays pending", []step{satellite, ask(wrong, pending), ask(wrong, pending)}},
	{"satellite: approved at the master", []step{satellite, ask(none, pending), awaitPending, admin("sign"), poll(none, issued)}},
	{"satellite: removed at the master stays pending", []step{satellite, ask(none, pending), awaitPending, admin("remove"), ask(none, pending), ask(none, pending)}},
}

func runContract(t *testing.T, a authority) {
	for _, row := range contract {
		t.Run(row.name, func(t *testing.T) {
			s := newScene(t, a)
			for _, step := range row.steps {
				step(t, s)
			}
		})
	}
}

func newScene(t *testing.T, a authority) *scene {
	s := &scene{authority: a, endpoint: a.master(), cn: "contract-" + strings.ToLower(rand.Text()[:12])}
	s.client = &pki.Client{Trust: pki.Trust{Roots: []*x509.Certificate{a.certificate()}}}
	newKey(pki.ECDSAP256)(t, s)
	return s
}

func newKey(kind pki.KeyType) step {
	return func(t *testing.T, s *scene) {
		var err error
		s.key, err = pki.GenerateKey(kind)
		noError(t, err)
		s.request, err = pki.RequestCertificate(s.key, s.cn, time.Now())
		noError(t, err)
	}
}

// suffix makes the name longer, to 64 bytes at most.
func suffix(text string) step {
	return func(t *testing.T, s *scene) {
		s.cn = (s.cn + text)[:min(len(s.cn+text), 64)]
		newKey(pki.ECDSAP256)(t, s)
	}
}

// secondName makes a request of which OpenSSL reads the first common name and
// Go the second.
func secondName(second string) step {
	return func(t *testing.T, s *scene) {
		cn := asn1.ObjectIdentifier{2, 5, 4, 3}
		template := &x509.Certificate{
			Subject:  pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{Type: cn, Value: s.cn}, {Type: cn, Value: second}}},
			NotAfter: time.Now().Add(time.Hour),
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, s.key.Public(), s.key)
		noError(t, err)
		s.request, err = x509.ParseCertificate(der)
		noError(t, err)
	}
}

// signed presents a certificate of the CA in place of a self-signed one.
func signed(daysPast, daysLeft int) step {
	return func(t *testing.T, s *scene) { s.request = s.sign(t, s.key, s.cn, daysPast, daysLeft) }
}

func satellite(t *testing.T, s *scene) { s.endpoint = s.authority.satellite(t) }

func admin(verb string) step {
	return func(t *testing.T, s *scene) { s.admin(t, verb, pki.Fingerprint(s.request)) }
}

func isPending(want bool) step {
	return func(t *testing.T, s *scene) {
		t.Helper()
		if got := slices.Contains(s.pending(t), pki.Fingerprint(s.request)); got != want {
			t.Errorf("the CA lists the request: %v, want %v", got, want)
		}
	}
}

// awaitPending waits until a satellite has passed on the request.
func awaitPending(t *testing.T, s *scene) {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if slices.Contains(s.pending(t), pki.Fingerprint(s.request)) {
			return
		}
	}
	t.Fatal("the request did not reach the master")
}

type ticketKind func(t *testing.T, s *scene) secret.Text

func none(*testing.T, *scene) secret.Text      { return secret.Text{} }
func valid(t *testing.T, s *scene) secret.Text { return s.ticket(t, s.cn) }
func wrong(*testing.T, *scene) secret.Text     { return secret.New(strings.Repeat("0", 40)) }
func upper(t *testing.T, s *scene) secret.Text { return s.ticket(t, strings.ToUpper(s.cn)) }

type expectation func(t *testing.T, s *scene, got pki.Issued, err error)

func ask(ticket ticketKind, want expectation) step {
	return func(t *testing.T, s *scene) {
		t.Helper()
		got, err := s.client.Request(t.Context(), s.endpoint, pki.Request{Certificate: s.request, Ticket: ticket(t, s)})
		want(t, s, got, err)
	}
}

// poll asks until the answer is not "pending".
func poll(ticket ticketKind, want expectation) step {
	return func(t *testing.T, s *scene) {
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		request := pki.Request{Certificate: s.request, Ticket: ticket(t, s)}
		for {
			got, err := s.client.Request(ctx, s.endpoint, request)
			if !errors.Is(err, pki.ErrPending) {
				want(t, s, got, err)
				return
			}
		}
	}
}

func pending(t *testing.T, s *scene, _ pki.Issued, err error) {
	t.Helper()
	var p *pki.PendingError
	if !errors.As(err, &p) || !errors.Is(err, pki.ErrPending) {
		t.Fatalf("got %v, want pending", err)
	}
	if p.Fingerprint != pki.Fingerprint(s.request) || !strings.Contains(err.Error(), p.Fingerprint) {
		t.Errorf("%v does not name the request %s", err, pki.Fingerprint(s.request))
	}
	if len(p.CA) == 0 || !p.CA[0].Equal(s.certificate()) {
		t.Errorf("the CA of the answer is %v, want %q", p.CA, s.certificate().Subject)
	}
}

func refused(text string) expectation {
	return func(t *testing.T, s *scene, _ pki.Issued, err error) {
		t.Helper()
		want := strings.ReplaceAll(text, "{cn}", s.cn)
		var r *pki.RefusedError
		if !errors.As(err, &r) || !strings.Contains(r.Message, want) || temporary(t, err) {
			t.Fatalf("got %v, want the permanent refusal %q", err, want)
		}
	}
}

func notDue(t *testing.T, s *scene, got pki.Issued, err error) {
	t.Helper()
	refused("valid and uptodate")(t, s, got, err)
	if !errors.Is(err, pki.ErrNotDue) {
		t.Errorf("%v is not ErrNotDue", err)
	}
}

// fails expects that the answer can't be used, whoever finds out.
func fails(text string) expectation {
	return func(t *testing.T, s *scene, got pki.Issued, err error) {
		t.Helper()
		if err == nil {
			_, err = s.client.Trust.VerifyIssued(got, s.key.Public(), s.cn, time.Now())
		}
		if err == nil || !strings.Contains(err.Error(), text) || temporary(t, err) {
			t.Fatalf("got %v, want a permanent error about %q", err, text)
		}
	}
}

func issued(t *testing.T, s *scene, got pki.Issued, err error) {
	t.Helper()
	noError(t, err)
	_, err = s.client.Trust.VerifyIssued(got, s.key.Public(), s.cn, time.Now())
	noError(t, err)
	if !slices.Contains(s.endpoint.Names, got.Peer.Name) || !got.CA[0].Equal(s.certificate()) {
		t.Errorf("answered by %q, CA %q", got.Peer.Name, got.CA[0].Subject)
	}
	c := got.Certificate
	lifetime := c.NotAfter.Sub(c.NotBefore).Round(time.Hour)
	shape := fmt.Sprintf("%v, DNS %q, CA %v, basic constraints %v, usage %d %v, serial under 161 bits %v, fresh %v", lifetime, c.DNSNames,
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage, c.SerialNumber.BitLen() <= 160, time.Since(c.NotBefore) < time.Hour)
	want := fmt.Sprintf("9528h0m0s, DNS %q, CA false, basic constraints true, usage 0 [], serial under 161 bits true, fresh true", []string{s.cn})
	if shape != want {
		t.Errorf("the certificate is\n%s, want\n%s", shape, want)
	}
}
