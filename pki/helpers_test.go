package pki_test

import (
	"crypto"
	"errors"
	"testing"

	"icinga-enroll/pki"
	"icinga-enroll/pki/pkitest"
)

func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// temporary returns what the error says of itself; it must say something.
func temporary(t testing.TB, err error) bool {
	t.Helper()
	var says interface{ Temporary() bool }
	if !errors.As(err, &says) {
		t.Fatalf("%v does not say whether it is temporary", err)
	}
	return says.Temporary()
}

func newCA(t testing.TB) *pkitest.CA {
	t.Helper()
	ca, err := pkitest.NewCA()
	noError(t, err)
	return ca
}

func newServer(t testing.TB, ca *pkitest.CA, name string, configure ...func(*pkitest.Server)) *pkitest.Server {
	t.Helper()
	server, err := pkitest.NewServer(ca, name, configure...)
	noError(t, err)
	t.Cleanup(server.Close)
	return server
}

func newKeyOf(t testing.TB, kind pki.KeyType) crypto.Signer {
	t.Helper()
	key, err := pki.GenerateKey(kind)
	noError(t, err)
	return key
}
