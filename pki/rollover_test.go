package pki_test

import (
	"crypto/x509"
	"slices"
	"testing"
	"time"

	"icinga-enroll/pki"
)

// A CA that has renewed its own certificate has the same name and key. What
// only looks like it is refused.
func TestSiftKnowsARenewedCAFromAnother(t *testing.T) {
	ca, otherCA := newCA(t), newCA(t)
	old := ca.Certificate()
	noError(t, ca.Renew())
	renewed := ca.Certificate()
	trust := map[string]pki.Trust{
		"root":        {Roots: []*x509.Certificate{old}},
		"fingerprint": {Pins: []pki.Pin{pki.CertificatePin(old)}},
		"public key":  {Pins: []pki.Pin{pki.PublicKeyPin(old)}},
	}
	for what, trust := range trust {
		trusted, foreign := trust.Sift([]*x509.Certificate{old, renewed, otherCA.Certificate()})
		if !slices.ContainsFunc(trusted, old.Equal) || !slices.ContainsFunc(trusted, renewed.Equal) || len(trusted) != 2 {
			t.Errorf("%s: %d are trusted, want the old and the renewed one", what, len(trusted))
		}
		if len(foreign) != 1 || !foreign[0].Equal(otherCA.Certificate()) {
			t.Errorf("%s: %d are foreign, want the other CA", what, len(foreign))
		}
	}
}

func TestStoredCAOutlivesThePinOfItsPredecessor(t *testing.T) {
	ca, otherCA := newCA(t), newCA(t)
	old := ca.Certificate()
	noError(t, ca.Renew())
	key := newKeyOf(t, pki.ECDSAP256)
	node, err := ca.Sign(key.Public(), "node", time.Now(), time.Now().AddDate(1, 0, 0))
	noError(t, err)
	chain := []*x509.Certificate{node, ca.Certificate()} // the old certificate isn't presented any more
	pinned := pki.Trust{Pins: []pki.Pin{pki.CertificatePin(old)}}

	if _, err := pinned.Verify(chain, time.Now()); err == nil {
		t.Error("a pin of the old certificate verifies the new chain: the test shows nothing")
	}
	if _, err := pinned.With([]*x509.Certificate{old, ca.Certificate()}).Verify(chain, time.Now()); err != nil {
		t.Errorf("with what was stored: %v", err)
	}
	// The operator has pinned another CA since: what was stored counts for nothing.
	other := pki.Trust{Pins: []pki.Pin{pki.PublicKeyPin(otherCA.Certificate())}}
	if _, err := other.With([]*x509.Certificate{old, ca.Certificate()}).Verify(chain, time.Now()); err == nil {
		t.Error("a stored CA is believed against the pin")
	}
	if _, err := other.With([]*x509.Certificate{old, ca.Certificate(), otherCA.Certificate()}).Verify(chain, time.Now()); err == nil {
		t.Error("a stored CA is believed against the pin, beside the pinned one")
	}
	// Trust on first use ends with the first use.
	first := pki.Trust{FirstUse: true}.With([]*x509.Certificate{otherCA.Certificate()})
	if _, err := first.Verify(chain, time.Now()); err == nil {
		t.Error("another CA is believed after the first use")
	}
}
