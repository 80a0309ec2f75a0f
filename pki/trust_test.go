package pki_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"icinga-enroll/pki"
)

func TestParsePin(t *testing.T) {
	digits := strings.Repeat("0123456789abcdef", 4)
	colons := strings.ToUpper(digits[:2] + ":" + digits[2:4] + ":" + digits[4:])
	for in, want := range map[string]string{
		digits:                          digits,
		" " + colons + "\n":             digits,
		"spki:" + digits:                "spki:" + digits,
		"SPKI: " + colons:               "spki:" + digits,
		"":                              "",
		"spki:":                         "",
		digits[:40]:                     "",
		digits + "00":                   "",
		"sha256:" + digits:              "",
		strings.Repeat("x", 64):         "",
		"spki:spki:" + digits:           "",
		digits[:63] + "\u0660":          "",
		digits[:32] + " " + digits[32:]: "",
	} {
		pin, err := pki.ParsePin(in)
		if want == "" {
			if err == nil || temporary(t, err) {
				t.Errorf("%q: taken as %s", in, pin)
			}
			continue
		}
		noError(t, err)
		if pin.String() != want {
			t.Errorf("%q: %s, want %s", in, pin, want)
		}
	}
}

func TestFingerprintIsThePinOfTheCertificate(t *testing.T) {
	c := newCA(t).Certificate()
	if got := pki.CertificatePin(c).String(); got != pki.Fingerprint(c) || len(got) != 64 {
		t.Errorf("pin %s, fingerprint %s", got, pki.Fingerprint(c))
	}
}

// certify makes a certificate as the test wants it, signed by parent's key.
func certify(t testing.TB, template, parent *x509.Certificate, key crypto.PublicKey, signer crypto.Signer) *x509.Certificate {
	t.Helper()
	template.SerialNumber = new(big.Int).SetBytes([]byte(rand.Text()[:8]))
	template.BasicConstraintsValid = true
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, signer)
	noError(t, err)
	c, err := x509.ParseCertificate(der)
	noError(t, err)
	return c
}

func named(cn string, ca bool) *x509.Certificate {
	return &x509.Certificate{Subject: pkix.Name{CommonName: cn}, IsCA: ca}
}

// hierarchy is a CA, its renewal with the same key, a node, and what others
// could present in their place.
type hierarchy struct {
	key                          crypto.Signer
	ca, renewed, node            *x509.Certificate
	otherCA, otherNode           *x509.Certificate
	agent, agentsChild           *x509.Certificate
	forgedCA, intermediate, deep *x509.Certificate
}

func newHierarchy(t *testing.T) hierarchy {
	key, other, agent := newKeyOf(t, pki.ECDSAP256), newKeyOf(t, pki.ECDSAP256), newKeyOf(t, pki.ECDSAP256)
	var h hierarchy
	h.key = key
	h.ca = certify(t, named("Icinga CA", true), named("Icinga CA", true), key.Public(), key)
	h.renewed = certify(t, named("Icinga CA", true), named("Icinga CA", true), key.Public(), key)
	h.node = certify(t, named("master", false), h.ca, agent.Public(), key)
	h.otherCA = certify(t, named("Icinga CA", true), named("Icinga CA", true), other.Public(), other)
	h.otherNode = certify(t, named("master", false), h.otherCA, agent.Public(), other)
	h.agent = certify(t, named("agent", false), h.ca, agent.Public(), key)
	h.agentsChild = certify(t, named("master", false), h.agent, other.Public(), agent)
	h.forgedCA = certify(t, named("Icinga CA", true), named("Icinga CA", true), key.Public(), key)
	h.forgedCA = tampered(t, h.forgedCA)
	h.intermediate = certify(t, named("Intermediate", true), h.ca, other.Public(), key)
	h.deep = certify(t, named("master", false), h.intermediate, agent.Public(), other)
	return h
}

// tampered has the subject and key of c, and a signature that is not c's.
func tampered(t *testing.T, c *x509.Certificate) *x509.Certificate {
	raw := append([]byte(nil), c.Raw...)
	raw[len(raw)-1] ^= 1
	forged, err := x509.ParseCertificate(raw)
	noError(t, err)
	return forged
}

func TestTrustVerify(t *testing.T) {
	h := newHierarchy(t)
	roots := func(c ...*x509.Certificate) pki.Trust { return pki.Trust{Roots: c} }
	pins := func(p ...pki.Pin) pki.Trust { return pki.Trust{Pins: p} }
	certificate, publicKey := pki.CertificatePin, pki.PublicKeyPin
	firstUse := pki.Trust{FirstUse: true}
	chain := func(c ...*x509.Certificate) []*x509.Certificate { return c }
	long := append(append(chain(h.node), repeated(h.agent, 15)...), h.ca)

	for _, test := range []struct {
		name  string
		trust pki.Trust
		chain []*x509.Certificate
		ca    *x509.Certificate
		text  string
	}{
		{"root", roots(h.ca), chain(h.node, h.ca), h.ca, ""},
		{"root, the CA is not presented", roots(h.ca), chain(h.node), h.ca, ""},
		{"one of two roots", roots(h.otherCA, h.ca), chain(h.node), h.ca, ""},
		{"other root", roots(h.otherCA), chain(h.node, h.ca), nil, "not signed by a trusted CA"},
		{"old root, renewed CA presented", roots(h.ca), chain(h.node, h.renewed), h.ca, ""},
		{"certificate pin", pins(certificate(h.ca)), chain(h.node, h.ca), h.ca, ""},
		{"certificate pin of the old CA, renewed one presented", pins(certificate(h.ca)), chain(h.node, h.renewed), nil, certificate(h.ca).String()},
		{"public key pin of the old CA, renewed one presented", pins(publicKey(h.ca)), chain(h.node, h.renewed), h.renewed, ""},
		{"one of two pins", pins(certificate(h.otherCA), publicKey(h.ca)), chain(h.node, h.ca), h.ca, ""},
		{"pin, the CA is not presented", pins(certificate(h.ca)), chain(h.node), nil, "presented was no CA certificate"},
		{"pinned CA appended to another's chain", pins(certificate(h.ca)), chain(h.otherNode, h.otherCA, h.ca), nil, "which did not sign it"},
		{"pinned CA without its own signature", pins(publicKey(h.ca)), chain(h.node, h.forgedCA), nil, "not signed by a trusted CA"},
		{"pin of the node", pins(certificate(h.node)), chain(h.node, h.ca), nil, "not signed by a trusted CA"},
		{"pin of the node, presented twice", pins(certificate(h.node)), chain(h.node, h.node, h.ca), nil, "not signed by a trusted CA"},
		{"pin of a node that signs", pins(certificate(h.agent)), chain(h.agentsChild, h.agent, h.ca), nil, "not signed by a trusted CA"},
		{"a node that signs", roots(h.ca), chain(h.agentsChild, h.agent, h.ca), nil, "which did not sign it"},
		{"through an intermediate", roots(h.ca), chain(h.deep, h.intermediate), h.ca, ""},
		{"certificate pin of an intermediate", pins(certificate(h.intermediate)), chain(h.deep, h.intermediate, h.ca), h.intermediate, ""},
		{"public key pin of an intermediate", pins(publicKey(h.intermediate)), chain(h.deep, h.intermediate, h.ca), nil, "not signed by a trusted CA"},
		{"first use", firstUse, chain(h.node, h.ca), h.ca, ""},
		{"first use, no CA presented", firstUse, chain(h.node), nil, "presented was no CA certificate"},
		{"first use, the CA did not sign", firstUse, chain(h.node, h.otherCA), nil, "not signed by a trusted CA"},
		{"first use, forged CA", firstUse, chain(h.node, h.forgedCA), nil, "not signed by a trusted CA"},
		{"first use beside a pin counts nothing", pki.Trust{FirstUse: true, Pins: []pki.Pin{certificate(h.otherCA)}}, chain(h.node, h.ca), nil, "not signed by a trusted CA"},
		{"first use beside a root counts nothing", pki.Trust{FirstUse: true, Roots: chain(h.otherCA)}, chain(h.node, h.ca), nil, "not signed by a trusted CA"},
		{"nothing trusted", pki.Trust{}, chain(h.node, h.ca), nil, "expected was nothing"},
		{"the zero pin", pins(pki.Pin{}), chain(h.node, h.ca), nil, "not signed by a trusted CA"},
		{"the CA as a node", roots(h.ca), chain(h.ca), nil, "that of a CA"},
		{"no chain", roots(h.ca), nil, nil, "no certificate was presented"},
		{"a CA behind 16 certificates", pins(certificate(h.ca)), long, nil, "not signed by a trusted CA"},
	} {
		ca, err := test.trust.Verify(test.chain, time.Now())
		if test.text == "" {
			if err != nil || !ca.Equal(test.ca) {
				t.Errorf("%s: %v, %v", test.name, ca, err)
			}
			continue
		}
		if !errors.Is(err, pki.ErrUntrusted) || temporary(t, err) || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v, want a permanent ErrUntrusted about %q", test.name, err, test.text)
		}
	}
}

func repeated(c *x509.Certificate, n int) []*x509.Certificate {
	list := make([]*x509.Certificate, n)
	for i := range list {
		list[i] = c
	}
	return list
}

// At three in the morning both sides of the comparison must be in the message.
func TestUntrustedShowsBothSides(t *testing.T) {
	h := newHierarchy(t)
	_, err := pki.Trust{Pins: []pki.Pin{pki.PublicKeyPin(h.otherCA)}}.Verify([]*x509.Certificate{h.node, h.ca}, time.Now())
	for _, want := range []string{"CN=master", "CN=Icinga CA", pki.CertificatePin(h.ca).String(),
		pki.PublicKeyPin(h.ca).String(), "expected was " + pki.PublicKeyPin(h.otherCA).String()} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not show %s", err, want)
		}
	}
}

// sha256sum prints no "spki:": where only that is missing, it is said.
// Anybody on the way can present one, and errors go to the status, to hooks and to logs.
func TestAnEndlessNameIsNotShown(t *testing.T) {
	h := newHierarchy(t)
	long := named("master", false)
	long.Subject.Organization = []string{strings.Repeat(`\`, 100_000)}
	issued := certify(t, long, h.ca, h.agent.PublicKey, h.key)
	longCA := named("Icinga CA", true)
	longCA.Subject.Organization = long.Subject.Organization
	other := newKeyOf(t, pki.ECDSAP256)
	ca := certify(t, longCA, longCA, other.Public(), other)
	trust := pki.Trust{Roots: []*x509.Certificate{h.ca}}
	for what, chain := range map[string][]*x509.Certificate{"a node's": {issued, h.ca}, "a CA's": {h.otherNode, ca}, "an issuer's": {certify(t, named("master", false), ca, h.agent.PublicKey, other)}} {
		if _, err := trust.Verify(chain, time.Now()); !errors.Is(err, pki.ErrUntrusted) || len(err.Error()) > 1000 {
			t.Errorf("%s: %.1000v", what, err)
		}
	}
	if _, err := trust.VerifyIssued(pki.Issued{Certificate: issued}, h.agent.PublicKey, "master", time.Now()); err == nil || len(err.Error()) > 1000 {
		t.Errorf("issued: %.1000v", err)
	}
}

func TestAPublicKeysPinWithoutItsPrefix(t *testing.T) {
	h := newHierarchy(t)
	right := pki.PublicKeyPin(h.ca).String()
	bare, err := pki.ParsePin(strings.TrimPrefix(right, "spki:"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = pki.Trust{Pins: []pki.Pin{bare}}.Verify([]*x509.Certificate{h.node, h.ca}, time.Now())
	if !errors.Is(err, pki.ErrUntrusted) || !strings.Contains(err.Error(), "write \"spki:\" before its digits ("+right+")") {
		t.Errorf("the error is %v", err)
	}
}

func TestTrustVerifyDates(t *testing.T) {
	ca, now := newCA(t), time.Now()
	key := newKeyOf(t, pki.ECDSAP256)
	for _, test := range []struct {
		from, to time.Duration
		text     string
	}{
		{-time.Hour, time.Hour, ""},
		{4 * time.Minute, time.Hour, ""},
		{6 * time.Minute, time.Hour, "is not valid before"},
		{-time.Hour, time.Minute, ""},
		{-time.Hour, -time.Minute, "has expired"},
		{-30 * 24 * time.Hour, -24 * time.Hour, "has expired"},
	} {
		c, err := ca.Sign(key.Public(), "node", now.Add(test.from), now.Add(test.to))
		noError(t, err)
		_, err = pki.Trust{Roots: []*x509.Certificate{ca.Certificate()}}.Verify([]*x509.Certificate{c}, now)
		if test.text == "" && err != nil {
			t.Errorf("%v to %v: %v", test.from, test.to, err)
		}
		if test.text != "" && (!errors.Is(err, pki.ErrUntrusted) || temporary(t, err) != (test.text == "is not valid before") || !strings.Contains(err.Error(), test.text)) {
			t.Errorf("%v to %v: %v, want %q", test.from, test.to, err, test.text)
		}
	}
}

// A CA that has expired itself is named, not the node.
func TestExpiredCAIsNamed(t *testing.T) {
	key := newKeyOf(t, pki.ECDSAP256)
	old := named("Old CA", true)
	old.NotBefore, old.NotAfter = time.Now().AddDate(-2, 0, 0), time.Now().AddDate(-1, 0, 0)
	ca := certify(t, old, old, key.Public(), key)
	node := certify(t, named("node", false), ca, key.Public(), key)
	_, err := pki.Trust{Roots: []*x509.Certificate{ca}}.Verify([]*x509.Certificate{node}, time.Now())
	if err == nil || !strings.Contains(err.Error(), `"CN=Old CA" has expired`) {
		t.Errorf("got %v", err)
	}
}

func TestVerifyIssued(t *testing.T) {
	ca, otherCA, now := newCA(t), newCA(t), time.Now()
	key, otherKey := newKeyOf(t, pki.ECDSAP256), newKeyOf(t, pki.ECDSAP256)
	trust := pki.Trust{Pins: []pki.Pin{pki.PublicKeyPin(ca.Certificate())}}
	day := 24 * time.Hour
	good, err := ca.Sign(key.Public(), "node", now, now.Add(day))
	noError(t, err)
	h := newHierarchy(t)

	for _, test := range []struct {
		name  string
		trust pki.Trust
		give  func() (*x509.Certificate, error)
		ca    *x509.Certificate
		peer  *x509.Certificate
		text  string
	}{
		{"good", trust, func() (*x509.Certificate, error) { return good, nil }, ca.Certificate(), nil, ""},
		{"good, CA known from the connection only", trust, func() (*x509.Certificate, error) { return good, nil }, otherCA.Certificate(), ca.Certificate(), ""},
		{"signed in the future, a little", trust, func() (*x509.Certificate, error) {
			return ca.Sign(key.Public(), "node", now.Add(4*time.Minute), now.Add(day))
		}, ca.Certificate(), nil, ""},
		{"other name", trust, func() (*x509.Certificate, error) { return ca.Sign(key.Public(), "other", now, now.Add(day)) }, ca.Certificate(), nil, `for "other"`},
		{"name in another case", trust, func() (*x509.Certificate, error) { return ca.Sign(key.Public(), "Node", now, now.Add(day)) }, ca.Certificate(), nil, `for "Node"`},
		{"no name", trust, func() (*x509.Certificate, error) { return ca.Sign(key.Public(), "", now, now.Add(day)) }, ca.Certificate(), nil, "common names"},
		{"other key", trust, func() (*x509.Certificate, error) { return ca.Sign(otherKey.Public(), "node", now, now.Add(day)) }, ca.Certificate(), nil, "another key"},
		{"other CA", trust, func() (*x509.Certificate, error) { return otherCA.Sign(key.Public(), "node", now, now.Add(day)) }, otherCA.Certificate(), nil, "not signed by a trusted CA"},
		{"expired", trust, func() (*x509.Certificate, error) {
			return ca.Sign(key.Public(), "node", now.Add(-2*day), now.Add(-day))
		}, ca.Certificate(), nil, "has expired"},
		{"not yet valid", trust, func() (*x509.Certificate, error) {
			return ca.Sign(key.Public(), "node", now.Add(time.Hour), now.Add(day))
		}, ca.Certificate(), nil, "is not valid before"},
		{"none", trust, func() (*x509.Certificate, error) { return nil, nil }, ca.Certificate(), nil, "no certificate"},
		{"first use, other CA than the connection's", pki.Trust{FirstUse: true}, func() (*x509.Certificate, error) { return otherCA.Sign(key.Public(), "node", now, now.Add(day)) },
			otherCA.Certificate(), ca.Certificate(), "not signed by a trusted CA"},
		{"first use, the connection's CA", pki.Trust{FirstUse: true}, func() (*x509.Certificate, error) { return good, nil }, ca.Certificate(), ca.Certificate(), ""},
	} {
		c, err := test.give()
		noError(t, err)
		issued := pki.Issued{Certificate: c, CA: []*x509.Certificate{test.ca}, Peer: pki.Peer{CA: test.peer}}
		_, err = test.trust.VerifyIssued(issued, key.Public(), "node", now)
		if test.text == "" && err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if test.text != "" && (err == nil || temporary(t, err) != (test.name == "not yet valid") || !strings.Contains(err.Error(), test.text)) {
			t.Errorf("%s: %v, want %q", test.name, err, test.text)
		}
	}

	caAsNode := certify(t, named("node", true), h.ca, key.Public(), h.key)
	_, err = pki.Trust{Roots: []*x509.Certificate{h.ca}}.VerifyIssued(pki.Issued{Certificate: caAsNode}, key.Public(), "node", now)
	if err == nil || !strings.Contains(err.Error(), "that of a CA") {
		t.Errorf("a CA certificate was accepted as the node's: %v", err)
	}
}

func ExamplePin() {
	pin, err := pki.ParsePin("SPKI:E3:B0:C4:42:98:FC:1C:14:9A:FB:F4:C8:99:6F:B9:24:27:AE:41:E4:64:9B:93:4C:A4:95:99:1B:78:52:B8:55")
	fmt.Println(pin, err)
	// Output: spki:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 <nil>
}
