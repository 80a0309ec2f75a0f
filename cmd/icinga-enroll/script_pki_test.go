package main

import (
	"crypto/x509"
	"os"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"icinga-enroll/pki"
	"icinga-enroll/pki/pkitest"
)

func pkiPin(s *script) string { return pki.PublicKeyPin(s.CA.Certificate()).String() }

func pemOf(cert *x509.Certificate) []byte { return pki.EncodeCertificates(cert) }

// newPair returns a key and its certificate, in PEM.
func newPair(ts *testscript.TestScript, ca *pkitest.CA, name string, age, left time.Duration) (keyPEM, certPEM []byte) {
	key, err := pki.GenerateKey(pki.ECDSAP256)
	ts.Check(err)
	cert, err := ca.Sign(key.Public(), name, time.Now().Add(-age), time.Now().Add(left))
	ts.Check(err)
	keyPEM, err = pki.EncodeKey(key)
	ts.Check(err)
	return keyPEM, pemOf(cert)
}

// ticketuser NAME PASSWORD-FILE makes an ApiUser that may make tickets.
func cmdTicketUser(ts *testscript.TestScript, _ bool, args []string) {
	s := scriptOf(ts)
	word := strings.TrimSpace(ts.ReadFile(args[1]))
	s.Master.AddAPIUser(pkitest.APIUser{Name: args[0], Password: word, Permissions: []string{"actions/generate-ticket"}})
	s.audit.secret(password, word)
}

// signed NAME FILE writes a key and its certificate by the sandbox's CA, which
// somebody has made elsewhere.
func cmdSigned(ts *testscript.TestScript, _ bool, args []string) {
	key, cert := newPair(ts, scriptOf(ts).CA, args[0], time.Hour, 2400*time.Hour)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), append(key, cert...), 0o600))
}
