package enroll_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"icinga-enroll/enroll"
	"icinga-enroll/enroll/secret"
	"icinga-enroll/pki"
	"icinga-enroll/pki/pkitest"
)

// What was handed over in any of these forms is in force afterwards, and kept
// by the next run, which has no other word on the CA.
func TestImportTakes(t *testing.T) {
	tests := map[string]func(t *testing.T, n *node, h handed) enroll.Files{
		"PEM in any order": func(t *testing.T, _ *node, h handed) enroll.Files {
			return enroll.Files{Certificate: [][]byte{slices.Concat(pemOf(h.ca, h.cert), h.keyPEM(t))}}
		},
		"three files": func(t *testing.T, _ *node, h handed) enroll.Files {
			return enroll.Files{Certificate: [][]byte{h.keyPEM(t), pemOf(h.ca), pemOf(h.cert)}}
		},
		"DER, with key and CA apart": func(t *testing.T, _ *node, h handed) enroll.Files {
			return enroll.Files{Certificate: [][]byte{h.cert.Raw}, CA: h.ca.Raw, Key: h.keyPEM(t)}
		},
		"PKCS#12": func(t *testing.T, _ *node, h handed) enroll.Files {
			return enroll.Files{Certificate: [][]byte{h.pkcs12(t, "sesame")}, Password: secret.New("sesame")}
		},
		"for the key in place": func(t *testing.T, n *node, h handed) enroll.Files {
			n.write(t, n.cert(".key"), h.keyPEM(t))
			return enroll.Files{Certificate: [][]byte{pemOf(h.cert)}, CA: pemOf(h.ca)}
		},
		"for a key that another has taken the place of": func(t *testing.T, n *node, h handed) enroll.Files {
			other := handOver(t, n.authority.ca, nodeName, -day, day)
			n.write(t, n.cert(".key"), other.keyPEM(t))
			n.write(t, n.cert(".key.0123abcd"), h.keyPEM(t))
			return enroll.Files{Certificate: [][]byte{pemOf(h.cert)}, CA: pemOf(h.ca)}
		},
		"the certificate alone, where the CA is configured": func(t *testing.T, n *node, h handed) enroll.Files {
			n.Trust.Roots = []*x509.Certificate{h.ca}
			return enroll.Files{Certificate: [][]byte{h.cert.Raw}, Key: h.keyPEM(t)}
		},
		"for the key of a waiting request, one of several": func(t *testing.T, n *node, h handed) enroll.Files {
			n.write(t, n.state("request.key"), h.keyPEM(t))
			other := handOver(t, n.authority.ca, "web2.example.com", -day, day)
			return enroll.Files{Certificate: [][]byte{pemOf(other.cert, h.cert)}, CA: pemOf(h.ca)}
		},
	}
	for what, files := range tests {
		t.Run(what, func(t *testing.T) {
			n := newOfflineNode(t)
			h := handOver(t, n.authority.ca, nodeName, -day, 300*day)
			r, err := n.Import(t.Context(), files(t, n, h))
			if err != nil {
				t.Fatal(err)
			}
			if r.State != enroll.Enrolled || !r.Changed || r.Certificate.Fingerprint != pki.Fingerprint(h.cert) {
				t.Errorf("the report is %+v", r)
			}
			if read(t, n.cert(".key")) != string(h.keyPEM(t)) || read(t, filepath.Join(n.CertsDir, "ca.crt")) != string(pemOf(h.ca)) {
				t.Error("key or CA in place are not those that were handed over")
			}
			if exists(n.state("switch.pem")) || exists(n.state("request.key")) && exists(n.state("request.crt")) {
				t.Error("journal or request are left")
			}
			n.Tickets = []enroll.TicketSource{enroll.TicketNone}
			if again := n.mustEnsure(t); again.Changed || again.Certificate.Fingerprint != pki.Fingerprint(h.cert) {
				t.Errorf("the next run has not kept it: %+v", again)
			}
		})
	}
}

// What is refused says why in words of its own, is not worth trying again, and
// changes nothing.
func TestImportRefuses(t *testing.T) {
	otherCA, err := pkitest.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		files func(t *testing.T, n *node, h handed) enroll.Files
		want  string
	}{
		"another key beside it": {func(t *testing.T, n *node, h handed) enroll.Files {
			other := handOver(t, n.authority.ca, nodeName, -day, day)
			return enroll.Files{Certificate: [][]byte{pemOf(h.cert, h.ca), other.keyPEM(t)}}
		}, "is for another key than the one at hand"},
		"another key given": {func(t *testing.T, n *node, h handed) enroll.Files {
			other := handOver(t, n.authority.ca, nodeName, -day, day)
			return enroll.Files{Certificate: [][]byte{pemOf(h.cert, h.ca)}, Key: other.keyPEM(t)}
		}, "is for another key"},
		"another key in place": {func(t *testing.T, n *node, h handed) enroll.Files {
			n.write(t, n.cert(".key"), handOver(t, n.authority.ca, nodeName, -day, day).keyPEM(t))
			return enroll.Files{Certificate: [][]byte{pemOf(h.cert, h.ca)}}
		}, "is for another key than the one here"},
		"no key anywhere": {func(_ *testing.T, _ *node, h handed) enroll.Files {
			return enroll.Files{Certificate: [][]byte{pemOf(h.cert, h.ca)}}
		}, "the private key is missing"},
		"expired": {func(t *testing.T, n *node, _ handed) enroll.Files {
			h := handOver(t, n.authority.ca, nodeName, -3*time.Hour, -time.Hour)
			return enroll.Files{Certificate: [][]byte{pemOf(h.cert, h.ca), h.keyPEM(t)}}
		}, "have a new one signed"},
		"not yet valid": {func(t *testing.T, n *node, _ handed) enroll.Files {
			h := handOver(t, n.authority.ca, nodeName, time.Hour, day)
			return enroll.Files{Certificate: [][]byte{pemOf(h.cert, h.ca), h.keyPEM(t)}}
		}, "import it when it is"},
		"no CA": {func(t *testing.T, _ *node, h handed) enroll.Files {
			return enroll.Files{Certificate: [][]byte{pemOf(h.cert), h.keyPEM(t)}}
		}, "the CA's certificate is missing"},
		"a CA that has not signed it": {func(t *testing.T, _ *node, h handed) enroll.Files {
			return enroll.Files{Certificate: [][]byte{pemOf(h.cert), h.keyPEM(t)}, CA: pemOf(otherCA.Certificate())}
		}, "the CA's certificate is missing"},
		"--ca is another than the bundle's": {func(t *testing.T, _ *node, h handed) enroll.Files {
			return enroll.Files{Certificate: [][]byte{pemOf(h.cert, h.ca), h.keyPEM(t)}, CA: pemOf(otherCA.Certificate())}
		}, "not signed by a trusted CA"},
		"the configured CA is another": {func(t *testing.T, n *node, h handed) enroll.Files {
			n.Trust.Roots = []*x509.Certificate{otherCA.Certificate()}
			return enroll.Files{Certificate: [][]byte{pemOf(h.cert, h.ca), h.keyPEM(t)}}
		}, "not signed by a trusted CA"},
		"a node's certificate as CA": {func(t *testing.T, _ *node, h handed) enroll.Files {
			return enroll.Files{Certificate: [][]byte{pemOf(h.cert), h.keyPEM(t)}, CA: pemOf(h.cert)}
		}, "is not a CA's certificate"},
		"the CA's in the node's place": {func(t *testing.T, _ *node, h handed) enroll.Files {
			return enroll.Files{Certificate: [][]byte{pemOf(h.ca)}}
		}, "there are only certificates of CAs"},
		"encrypted key": {func(_ *testing.T, _ *node, h handed) enroll.Files {
			key := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")})
			return enroll.Files{Certificate: [][]byte{pemOf(h.cert, h.ca)}, Key: key}
		}, "the private key is encrypted"},
		"encrypted key in the bundle": {func(_ *testing.T, _ *node, h handed) enroll.Files {
			key := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")})
			return enroll.Files{Certificate: [][]byte{pemOf(h.cert, h.ca), key}}
		}, "the private key is encrypted"},
		"PKCS#12 with another password": {func(t *testing.T, _ *node, h handed) enroll.Files {
			return enroll.Files{Certificate: [][]byte{h.pkcs12(t, "sesame")}, Password: secret.New("simsim")}
		}, "the password is not that of the PKCS#12 file"},
		"PKCS#12 without the password": {func(t *testing.T, _ *node, h handed) enroll.Files {
			return enroll.Files{Certificate: [][]byte{h.pkcs12(t, "sesame")}}
		}, "has a password, and none was given"},
		"text": {func(*testing.T, *node, handed) enroll.Files {
			return enroll.Files{Certificate: [][]byte{[]byte("Dear Alice,\nplease find attached\n")}}
		}, "neither PEM nor"},
		"nothing": {func(*testing.T, *node, handed) enroll.Files {
			return enroll.Files{Certificate: [][]byte{{}}}
		}, "the file is empty"},
		"nothing as CA": {func(t *testing.T, _ *node, h handed) enroll.Files {
			return enroll.Files{Certificate: [][]byte{pemOf(h.cert), h.keyPEM(t)}, CA: []byte{}}
		}, "the CA's file: "},
		"the request": {func(t *testing.T, _ *node, h handed) enroll.Files {
			csr, err := pki.CSR(h.key, nodeName)
			if err != nil {
				t.Fatal(err)
			}
			return enroll.Files{Certificate: [][]byte{csr}, CA: pemOf(h.ca)}
		}, "have the CA sign it"},
		"another's": {func(t *testing.T, n *node, _ handed) enroll.Files {
			h := handOver(t, n.authority.ca, "web2.example.com", -day, day)
			return enroll.Files{Certificate: [][]byte{pemOf(h.cert, h.ca), h.keyPEM(t)}}
		}, `is for "web2.example.com", not for "web1.example.com"`},
		"a name with a comma": {func(t *testing.T, n *node, h handed) enroll.Files {
			n.Name = "web1,DNS:master1"
			return enroll.Files{Certificate: [][]byte{pemOf(h.cert, h.ca), h.keyPEM(t)}}
		}, "can't be a node's name"},
		"a name that isn't ASCII": {func(t *testing.T, n *node, h handed) enroll.Files {
			n.Name = "wéb1.example.com"
			return enroll.Files{Certificate: [][]byte{pemOf(h.cert, h.ca), h.keyPEM(t)}}
		}, "can't be a node's name"},
		"older than what is in place": {func(t *testing.T, n *node, h handed) enroll.Files {
			newer := handOver(t, n.authority.ca, nodeName, -time.Hour, day)
			if _, err := n.Import(t.Context(), enroll.Files{Certificate: [][]byte{pemOf(newer.cert, newer.ca), newer.keyPEM(t)}}); err != nil {
				t.Fatal(err)
			}
			return enroll.Files{Certificate: [][]byte{pemOf(h.cert, h.ca), h.keyPEM(t)}}
		}, "the certificate in place is newer"},
		"another name than the settled one": {func(t *testing.T, n *node, h handed) enroll.Files {
			f := enroll.Files{Certificate: [][]byte{pemOf(h.cert, h.ca), h.keyPEM(t)}}
			if _, err := n.Import(t.Context(), f); err != nil {
				t.Fatal(err)
			}
			n.Name = "web2.example.com"
			return f
		}, "this machine is enrolled as web1.example.com"},
	}
	for what, tt := range tests {
		t.Run(what, func(t *testing.T) {
			n := newOfflineNode(t)
			files := tt.files(t, n, handOver(t, n.authority.ca, nodeName, -day, 300*day))
			before := n.listing(t)
			_, err := n.Import(t.Context(), files)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("the error is %v, want one with %q", err, tt.want)
			}
			if enroll.IsTemporary(err) {
				t.Error("it says that trying again helps")
			}
			after := n.listing(t)
			for file, data := range after {
				if before[file] != data {
					t.Errorf("%s was changed", file)
				}
			}
			if len(after) != len(before) {
				t.Errorf("files went: %d before, %d after", len(before), len(after))
			}
		})
	}
}

// The CA of an earlier import is in no configuration: where to change it is said.
func TestImportOfAnotherCAThanBefore(t *testing.T) {
	n := newOfflineNode(t)
	bring := func(h handed) error {
		_, err := n.Import(t.Context(), enroll.Files{Certificate: [][]byte{pemOf(h.cert)}, Key: h.keyPEM(t), CA: pemOf(h.ca)})
		return err
	}
	if err := bring(handOver(t, n.authority.ca, nodeName, -day, 300*day)); err != nil {
		t.Fatal(err)
	}
	other, err := pkitest.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	next := handOver(t, other, nodeName, -time.Hour, 300*day)
	if err := bring(next); err == nil || !strings.Contains(err.Error(), "state.json") || !strings.Contains(err.Error(), "ca.file") {
		t.Errorf("the error is %v", err)
	}
	n.Trust = pki.Trust{Roots: []*x509.Certificate{next.ca}}
	if err := bring(next); err != nil {
		t.Error(err)
	}
}

// Of several CAs in what was handed over the one that has signed is believed,
// and shown to the agent.
func TestImportBelievesNoOtherCA(t *testing.T) {
	other, err := pkitest.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	alien := pemOf(other.Certificate())
	for what, pinned := range map[string]bool{"no CA is configured": false, "the CA is configured": true} {
		t.Run(what, func(t *testing.T) {
			n := newOfflineNode(t)
			h := handOver(t, n.authority.ca, nodeName, -day, 300*day)
			f := enroll.Files{Certificate: [][]byte{alien, pemOf(h.cert, h.ca), h.keyPEM(t)}}
			if pinned {
				n.Trust.Pins = []pki.Pin{pki.PublicKeyPin(h.ca)}
				f.CA = alien
			}
			if _, err := n.Import(t.Context(), f); err != nil {
				t.Fatal(err)
			}
			if read(t, filepath.Join(n.CertsDir, "ca.crt")) != string(pemOf(h.ca)) {
				t.Error("ca.crt has another than the CA that has signed")
			}
			later := handOver(t, other, nodeName, -time.Minute, day)
			f = enroll.Files{Certificate: [][]byte{pemOf(later.cert, later.ca), later.keyPEM(t)}}
			if _, err := n.Import(t.Context(), f); err == nil {
				t.Error("the other CA is believed")
			}
		})
	}
}

// Whoever looks after the key is told, once, however often the same is imported.
func TestImportTellsHooks(t *testing.T) {
	n := newOfflineNode(t)
	var told []string
	n.Hooks = enroll.Hooks{PostRenew: [][]string{{"tell"}}, Run: func(_ context.Context, _, env []string) (string, error) {
		told = append(told, strings.Join(env, " "))
		return "", nil
	}}
	h := handOver(t, n.authority.ca, nodeName, -day, 300*day)
	files := enroll.Files{Certificate: [][]byte{pemOf(h.cert, h.ca), h.keyPEM(t)}}
	for range 2 {
		if _, err := n.Import(t.Context(), files); err != nil {
			t.Fatal(err)
		}
	}
	if len(told) != 1 || !strings.Contains(told[0], "ICINGA_HOOK_REASON=imported") {
		t.Errorf("told was %q, want once, of what was imported", told)
	}
}

// A node whose certificate was imported is renewed by its CA like any other.
func TestImportedIsRenewed(t *testing.T) {
	n := newOfflineNode(t)
	n.Endpoints = []enroll.Endpoint{{Name: "master1", Address: "192.0.2.1:5665"}}
	n.Tickets = []enroll.TicketSource{enroll.TicketNone}
	h := handOver(t, n.authority.ca, nodeName, -380*day, 10*day)
	if _, err := n.Import(t.Context(), enroll.Files{Certificate: [][]byte{pemOf(h.cert, h.ca), h.keyPEM(t)}}); err != nil {
		t.Fatal(err)
	}
	if r := n.mustEnsure(t); !r.Renewed || r.Certificate.Fingerprint == pki.Fingerprint(h.cert) {
		t.Errorf("not renewed: %+v", r)
	}
	if read(t, n.cert(".key")) != string(h.keyPEM(t)) {
		t.Error("the key was replaced, though nobody makes its users read a new one")
	}
}

// A key is lost for good when it is replaced, and its request may be on its way
// to a CA: it is kept, once, and goes when the machine leaves.
func TestImportKeepsTheKeyThatItReplaces(t *testing.T) {
	n := newOfflineNode(t)
	if _, err := n.PrepareCSR(t.Context(), pkix.Name{}); err != nil {
		t.Fatal(err)
	}
	old := read(t, n.cert(".key"))
	h := handOver(t, n.authority.ca, nodeName, -day, 300*day)
	files := enroll.Files{Certificate: [][]byte{pemOf(h.cert, h.ca), h.keyPEM(t)}}
	said := ""
	for range 2 {
		r, err := n.Import(t.Context(), files)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range r.Steps {
			if s.Name == "key" {
				said += s.Text
			}
		}
	}
	kept, err := filepath.Glob(n.cert(".key.*"))
	if err != nil || len(kept) != 1 || read(t, kept[0]) != old || read(t, n.cert(".key")) != string(h.keyPEM(t)) {
		t.Fatalf("kept are %v (%v)", kept, err)
	}
	if strings.Count(said, kept[0]) != 1 {
		t.Errorf("said was %q, want the name of the file, once", said)
	}
	if err := n.Leave(t.Context(), enroll.LeaveOptions{Local: true}); err != nil || exists(kept[0]) {
		t.Errorf("it has stayed behind (%v)", err)
	}
}

// A request may be on its way to a CA when another certificate comes first: what
// that CA signs is still of use then. A key whose certificate goes with it is not.
func TestEnrollingKeepsTheKeyOfARequest(t *testing.T) {
	n := newNode(t)
	p, err := n.PrepareCSR(t.Context(), pkix.Name{})
	if err != nil {
		t.Fatal(err)
	}
	key, err := pki.ParseKey([]byte(read(t, p.Key)))
	if err != nil {
		t.Fatal(err)
	}
	n.mustEnsure(t)
	kept, err := filepath.Glob(n.cert(".key.*"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("kept are %v (%v), want the key of the request", kept, err)
	}
	h := handed{key: key}
	if h.cert, err = n.authority.ca.Sign(key.Public(), nodeName, time.Now(), time.Now().Add(300*day)); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Import(t.Context(), enroll.Files{Certificate: [][]byte{pemOf(h.cert)}, Key: []byte(read(t, kept[0]))}); err != nil {
		t.Error(err)
	}
	n = newNode(t)
	n.mustEnsure(t)
	n.Wish = enroll.Rekey
	n.mustEnsure(t)
	if kept, _ := filepath.Glob(n.cert(".key.*")); len(kept) > 0 {
		t.Errorf("a new key has left %v", kept)
	}
}
