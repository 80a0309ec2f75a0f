// Package pkitest is a fake Icinga 2 CA and an endpoint that speaks Icinga's
// protocol and its HTTP API, for tests and demonstrations. It answers as Icinga
// 2.13.6 was observed to answer, JSON-RPC of a client without a certificate; the
// contract tests of package pki run against both.
package pkitest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1" // Icinga's tickets are made so
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	day          = 24 * time.Hour
	leafLifetime = 397 * day
	renewWithin  = 30 * day
)

// CA is a fake Icinga CA: its key, and the requests it was asked.
type CA struct {
	// Salt is the TicketSalt of the master's configuration. "" means that the
	// CA has none and every ticket is pending.
	Salt string
	// Now is the CA's clock; nil means time.Now. Set it before a server uses
	// the CA.
	Now func() time.Time

	key         *ecdsa.PrivateKey
	certificate *x509.Certificate

	mu       sync.Mutex
	requests map[string]*request // by fingerprint
}

// request is a request that was made without a ticket.
type request struct {
	certificate *x509.Certificate
	signed      []byte // DER, nil while pending
	removed     bool
}

// Entry is a line of `icinga2 ca list --all`.
type Entry struct {
	Fingerprint, Subject string
	Signed, Removed      bool
}

// NewCA returns a CA with a new key, a salt, and 15 years to live.
func NewCA() (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	certificate, err := selfSign(key, time.Now())
	if err != nil {
		return nil, err
	}
	return &CA{Salt: rand.Text(), key: key, certificate: certificate, requests: map[string]*request{}}, nil
}

// Renew gives the CA a new certificate for its key, 15 years from now, as an
// Icinga 2 since 2.13.9 and 2.14.1 does by itself when it has 397 days left.
func (ca *CA) Renew() error {
	certificate, err := selfSign(ca.key, ca.now())
	if err != nil {
		return err
	}
	ca.mu.Lock()
	defer ca.mu.Unlock()
	ca.certificate = certificate
	return nil
}

func selfSign(key *ecdsa.PrivateKey, now time.Time) (*x509.Certificate, error) {
	template := &x509.Certificate{
		Subject:         pkix.Name{CommonName: "Icinga CA"},
		NotBefore:       now.Add(-time.Hour),
		NotAfter:        now.Add(15 * 365 * day),
		ExtraExtensions: []pkix.Extension{onlyCA},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// onlyCA is CA:TRUE, critical, and nothing else: Go's own template would add a
// subject key identifier, which Icinga's CA does not have.
var onlyCA = pkix.Extension{
	Id:       asn1.ObjectIdentifier{2, 5, 29, 19},
	Critical: true,
	Value:    []byte{0x30, 0x03, 0x01, 0x01, 0xff},
}

// Certificate returns the CA's own certificate.
func (ca *CA) Certificate() *x509.Certificate {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	return ca.certificate
}

// Ticket returns the ticket for a common name, as `icinga2 pki ticket` does.
func (ca *CA) Ticket(cn string) string {
	sum, err := pbkdf2.Key(sha1.New, cn, []byte(ca.Salt), 50000, sha1.Size)
	if err != nil { // only with parameters that FIPS 140 forbids
		panic("pkitest: " + err.Error())
	}
	return hex.EncodeToString(sum)
}

// Sign issues a certificate as Icinga does, with the dates given.
func (ca *CA) Sign(key crypto.PublicKey, cn string, notBefore, notAfter time.Time) (*x509.Certificate, error) {
	subject, err := asn1.Marshal(pkix.Name{CommonName: cn}.ToRDNSequence())
	if err != nil {
		return nil, err
	}
	der, err := ca.issue(subject, cn, key, notBefore, notAfter)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// issue copies the subject as a whole, and makes of the name what it is told:
// for a name that is not ASCII the result is a certificate Go can't parse.
func (ca *CA) issue(subject []byte, cn string, key crypto.PublicKey, notBefore, notAfter time.Time) ([]byte, error) {
	names, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 2, Bytes: []byte(cn)}})
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		RawSubject:            subject,
		NotBefore:             notBefore,
		NotAfter:              notAfter,
		BasicConstraintsValid: true,
		ExtraExtensions:       []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: names}},
	}
	return x509.CreateCertificate(rand.Reader, template, ca.certificate, key, ca.key)
}

// Identity returns a new key with a certificate for cn and the CA's own behind
// it, as an Icinga endpoint presents them.
func (ca *CA) Identity(cn string, notBefore, notAfter time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := ca.Sign(key.Public(), cn, notBefore, notAfter)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{leaf.Raw, ca.certificate.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// List returns every request that was made without a ticket.
func (ca *CA) List() []Entry {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	var list []Entry
	for fingerprint, r := range ca.requests {
		list = append(list, Entry{fingerprint, r.certificate.Subject.String(), r.signed != nil, r.removed})
	}
	slices.SortFunc(list, func(a, b Entry) int { return strings.Compare(a.Fingerprint, b.Fingerprint) })
	return list
}

// Approve signs a pending request, as `icinga2 ca sign` does.
func (ca *CA) Approve(fingerprint string) error {
	return ca.change(fingerprint, func(r *request) (err error) {
		r.signed, err = ca.issueFor(r.certificate)
		return err
	})
}

// Remove declines a pending request, as `icinga2 ca remove` does. A signed one
// stays.
func (ca *CA) Remove(fingerprint string) error {
	return ca.change(fingerprint, func(r *request) error {
		if r.signed != nil {
			return fmt.Errorf("request %s is already signed", fingerprint)
		}
		r.removed = true
		return nil
	})
}

// Restore makes a removed request pending again, as `icinga2 ca restore` does.
func (ca *CA) Restore(fingerprint string) error {
	return ca.change(fingerprint, func(r *request) error {
		r.removed = false
		return nil
	})
}

func (ca *CA) change(fingerprint string, change func(*request) error) error {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	r := ca.requests[fingerprint]
	if r == nil {
		return fmt.Errorf("no request has the fingerprint %q", fingerprint)
	}
	return change(r)
}

func (ca *CA) now() time.Time {
	if ca.Now == nil {
		return time.Now()
	}
	return ca.Now()
}

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}
