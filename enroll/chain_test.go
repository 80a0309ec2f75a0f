package enroll_test

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"icinga-enroll/enroll"
	"icinga-enroll/pki"
)

// issued is a certificate of an intermediate CA.
type issued struct {
	handed       // its ca is the root
	intermediate *x509.Certificate
}

func issueChain(t *testing.T, usages ...x509.ExtKeyUsage) issued {
	t.Helper()
	serial := int64(0)
	sign := func(name string, isCA bool, by *x509.Certificate, byKey crypto.Signer) (*x509.Certificate, crypto.Signer) {
		key, err := pki.GenerateKey(pki.ECDSAP256)
		if err != nil {
			t.Fatal(err)
		}
		serial++
		template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(100 * day), BasicConstraintsValid: true, IsCA: isCA}
		if by == nil {
			by, byKey = template, key
		}
		if !isCA {
			template.ExtKeyUsage = usages
		}
		der, err := x509.CreateCertificate(rand.Reader, template, by, key.Public(), byKey)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c, key
	}
	root, rootKey := sign("root", true, nil, nil)
	middle, middleKey := sign("intermediate", true, root, rootKey)
	leaf, key := sign(nodeName, false, middle, middleKey)
	return issued{handed{key, leaf, root}, middle}
}

// A peer has only the root: what is between goes behind the certificate, and is
// neither believed nor shown as a CA.
func TestImportPutsAnIntermediateBehindTheCertificate(t *testing.T) {
	tests := map[string]func(t *testing.T, n *node, h issued) enroll.Files{
		"all in one, in any order": func(t *testing.T, _ *node, h issued) enroll.Files {
			return enroll.Files{Certificate: [][]byte{slices.Concat(pemOf(h.ca, h.intermediate, h.cert), h.keyPEM(t))}}
		},
		"--ca has both": func(t *testing.T, _ *node, h issued) enroll.Files {
			return enroll.Files{Certificate: [][]byte{pemOf(h.cert), h.keyPEM(t)}, CA: pemOf(h.intermediate, h.ca)}
		},
		"--ca has the root": func(t *testing.T, _ *node, h issued) enroll.Files {
			return enroll.Files{Certificate: [][]byte{pemOf(h.cert, h.intermediate), h.keyPEM(t)}, CA: pemOf(h.ca)}
		},
		"the root is configured": func(t *testing.T, n *node, h issued) enroll.Files {
			n.Trust.Roots = []*x509.Certificate{h.ca}
			return enroll.Files{Certificate: [][]byte{pemOf(h.cert, h.intermediate), h.keyPEM(t)}}
		},
		"the root's key is pinned": func(t *testing.T, n *node, h issued) enroll.Files {
			n.Trust.Pins = []pki.Pin{pki.PublicKeyPin(h.ca)}
			return enroll.Files{Certificate: [][]byte{pemOf(h.cert, h.intermediate, h.ca), h.keyPEM(t)}}
		},
	}
	for what, files := range tests {
		t.Run(what, func(t *testing.T) {
			n, h := newOfflineNode(t), issueChain(t)
			f := files(t, n, h)
			for range 2 { // the second changes nothing
				if _, err := n.Import(t.Context(), f); err != nil {
					t.Fatal(err)
				}
				if read(t, n.cert(".crt")) != string(pemOf(h.cert, h.intermediate)) {
					t.Error("the intermediate isn't behind the certificate")
				}
				if read(t, filepath.Join(n.CertsDir, "ca.crt")) != string(pemOf(h.ca)) {
					t.Error("ca.crt is not the root alone")
				}
			}
			n.shows(t, h)
		})
	}
}

// A crash between the writing of the journal and of the first file.
func TestASwitchThatWasCutShortKeepsTheChain(t *testing.T) {
	n, h := newOfflineNode(t), issueChain(t)
	n.Trust.Roots = []*x509.Certificate{h.ca}
	n.Tickets = []enroll.TicketSource{enroll.TicketNone}
	behind := strings.ReplaceAll(string(pemOf(h.intermediate)), "CERTIFICATE", "ICINGA-ENROLL CHAIN")
	n.write(t, n.state("switch.pem"), slices.Concat(h.keyPEM(t), pemOf(h.cert, h.ca), []byte(behind)))
	n.mustEnsure(t)
	if read(t, n.cert(".crt")) != string(pemOf(h.cert, h.intermediate)) || read(t, filepath.Join(n.CertsDir, "ca.crt")) != string(pemOf(h.ca)) {
		t.Error("in place are not the certificate with the intermediate, and the root")
	}
	if exists(n.state("switch.pem")) {
		t.Error("the journal is left")
	}
}

// shows fails unless a parent and an export get the whole chain.
func (n *node) shows(t *testing.T, h issued) {
	t.Helper()
	n.APIClient = true
	n.Endpoints = []enroll.Endpoint{{Name: "master1", Address: "192.0.2.1:5665"}}
	n.ParentAPI = func(_ pki.Endpoint, _ pki.Trust, own tls.Certificate) enroll.ParentAPI {
		if len(own.Certificate) != 2 || string(own.Certificate[1]) != string(h.intermediate.Raw) {
			t.Errorf("shown are %d certificates", len(own.Certificate))
		}
		return api{}
	}
	if _, _, err := n.WhoAmI(t.Context()); err != nil {
		t.Error(err)
	}
	file := filepath.Join(t.TempDir(), "out")
	if err := n.Export(t.Context(), enroll.Export{Format: enroll.ExportPEM, File: file}); err != nil || !strings.HasSuffix(read(t, file), string(pemOf(h.cert, h.intermediate, h.ca))) {
		t.Errorf("exported is not the whole chain (%v)", err)
	}
}

// Without the root it works as long as nobody has to verify it by OpenSSL.
func TestImportOfAnIntermediateWithoutItsRoot(t *testing.T) {
	n, h := newOfflineNode(t), issueChain(t)
	r, err := n.Import(t.Context(), enroll.Files{Certificate: [][]byte{pemOf(h.cert, h.intermediate), h.keyPEM(t)}})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(r.Steps, func(s enroll.Step) bool { return s.Warning && strings.Contains(s.Text, "root") }) {
		t.Errorf("nothing is said: %+v", r.Steps)
	}
}

// A server takes no certificate from a client that isn't for clients, and says so
// in the handshake only. The agent, too, connects to its parents.
func TestAnImportedCertificateIsForClients(t *testing.T) {
	server, client := x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth
	for what, tt := range map[string]struct {
		usages  []x509.ExtKeyUsage
		refused bool
	}{
		"any":                {nil, false},
		"clients":            {[]x509.ExtKeyUsage{client}, false},
		"servers":            {[]x509.ExtKeyUsage{server}, true},
		"servers or clients": {[]x509.ExtKeyUsage{server, client}, false},
	} {
		for profile, isClient := range map[string]bool{"agent": false, "API client": true} {
			t.Run(profile+": "+what, func(t *testing.T) {
				n := newOfflineNode(t)
				n.APIClient = isClient
				h := issueChain(t, tt.usages...)
				_, err := n.Import(t.Context(), enroll.Files{Certificate: [][]byte{pemOf(h.cert, h.intermediate, h.ca), h.keyPEM(t)}})
				if tt.refused != (err != nil) || tt.refused && !strings.Contains(err.Error(), "clientAuth") {
					t.Errorf("the error is %v", err)
				}
				if exists(n.cert(".crt")) == tt.refused {
					t.Errorf("in place: %v", tt.refused)
				}
				if !isClient {
					return
				}
				n = newNode(t)
				asClient(n, nil)
				n.lay(t, h)
				_, err = n.Ensure(t.Context())
				if adopted := !errors.Is(err, pki.ErrPending); adopted == tt.refused {
					t.Errorf("laid beside its key, adopted is %t (%v)", adopted, err)
				}
			})
		}
	}
}
