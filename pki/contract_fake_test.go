package pki_test

import (
	"crypto"
	"crypto/x509"
	"testing"
	"time"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/pki"
	"icinga-enroll/pki/pkitest"
)

func TestContractFake(t *testing.T) {
	a := newFake(t)
	runContract(t, a)
	runWire(t, a)
	runAPIContract(t, a)
	runAPIWire(t, a)
}

type fake struct {
	ca                      *pkitest.CA
	masterAt, satelliteUnit *pkitest.Server
}

func newFake(t *testing.T) *fake {
	ca := newCA(t)
	f := &fake{ca, newServer(t, ca, "fake-master"),
		newServer(t, ca, "fake-satellite", func(s *pkitest.Server) { s.Satellite = true })}
	f.masterAt.SetEndpoint(pkitest.Endpoint{Name: "fake-satellite", Connected: true})
	return f
}

func (f *fake) master() pki.Endpoint {
	return pki.Endpoint{Address: f.masterAt.Addr(), Names: []string{"fake-master"}}
}

func (f *fake) satellite(*testing.T) pki.Endpoint {
	return pki.Endpoint{Address: f.satelliteUnit.Addr(), Names: []string{"fake-satellite"}}
}

func (f *fake) certificate() *x509.Certificate { return f.ca.Certificate() }

func (f *fake) ticket(_ *testing.T, cn string) secret.Text { return secret.New(f.ca.Ticket(cn)) }

func (f *fake) pending(*testing.T) []string {
	var fingerprints []string
	for _, entry := range f.ca.List() {
		if !entry.Signed && !entry.Removed {
			fingerprints = append(fingerprints, entry.Fingerprint)
		}
	}
	return fingerprints
}

func (f *fake) admin(t *testing.T, verb, fingerprint string) {
	acts := map[string]func(string) error{"sign": f.ca.Approve, "remove": f.ca.Remove, "restore": f.ca.Restore}
	noError(t, acts[verb](fingerprint))
}

func (f *fake) sign(t *testing.T, key crypto.Signer, cn string, daysPast, daysLeft int) *x509.Certificate {
	c, err := f.ca.Sign(key.Public(), cn, time.Now().AddDate(0, 0, -daysPast), time.Now().AddDate(0, 0, daysLeft))
	noError(t, err)
	return c
}

func (f *fake) addUser(_ *testing.T, u pkitest.APIUser) { f.masterAt.AddAPIUser(u) }

func (f *fake) withoutSalt(t *testing.T) *pki.API {
	ca := newCA(t)
	ca.Salt = ""
	server := newServer(t, ca, "saltless")
	server.AddAPIUser(pkitest.APIUser{Name: "root", Password: "sesame", Permissions: []string{"*"}})
	return &pki.API{Address: server.Addr(), Names: []string{"saltless"}, Trust: trusting(ca).Trust, User: "root", Password: secret.New("sesame")}
}
