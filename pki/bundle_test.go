package pki_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/pki"
)

// handover is what a fleet's administrator hands over, and what could be among it.
type handover struct {
	key, otherKey                    crypto.Signer
	leaf, otherLeaf, newer           *x509.Certificate
	ca, intermediate, deep, stranger *x509.Certificate
	caOfKey, request                 *x509.Certificate
	encoded                          []byte // key
}

func newHandover(t testing.TB) handover {
	caKey, subKey := newKeyOf(t, pki.ECDSAP256), newKeyOf(t, pki.Ed25519)
	h := handover{key: newKeyOf(t, pki.ECDSAP256), otherKey: newKeyOf(t, pki.Ed25519)}
	h.ca = signedBy(t, named("Fleet CA", true), nil, caKey.Public(), caKey)
	h.intermediate = signedBy(t, named("Fleet Sub CA", true), h.ca, subKey.Public(), caKey)
	h.stranger = signedBy(t, named("Other CA", true), nil, subKey.Public(), subKey)
	h.leaf = signedBy(t, named("user-alice", false), h.ca, h.key.Public(), caKey)
	h.newer = signedBy(t, named("user-alice", false), h.ca, h.key.Public(), caKey)
	h.otherLeaf = signedBy(t, named("user-bob", false), h.ca, h.otherKey.Public(), caKey)
	h.deep = signedBy(t, named("user-alice", false), h.intermediate, h.key.Public(), subKey)
	h.caOfKey = signedBy(t, named("user-alice", true), h.ca, h.key.Public(), caKey)
	var err error
	h.request, err = pki.RequestCertificate(h.key, "user-alice", time.Now())
	noError(t, err)
	h.encoded, err = pki.EncodeKey(h.key)
	noError(t, err)
	return h
}

// signedBy is certify for a nil parent too: self-signed.
func signedBy(t testing.TB, template, parent *x509.Certificate, key crypto.PublicKey, signer crypto.Signer) *x509.Certificate {
	t.Helper()
	if parent == nil {
		parent = template
	}
	return certify(t, template, parent, key, signer)
}

func pemOf(c ...*x509.Certificate) []byte { return pki.EncodeCertificates(c...) }

func joinedPEM(parts ...[]byte) []byte { return bytes.Join(parts, []byte("some text of openssl\n")) }

func TestParseBundle(t *testing.T) {
	h := newHandover(t)
	otherEncoded, err := pki.EncodeKey(h.otherKey)
	noError(t, err)
	crlf := bytes.ReplaceAll(joinedPEM(pemOf(h.leaf, h.ca), h.encoded), []byte("\n"), []byte("\r\n"))
	password := secret.New("sesame")
	file, err := pki.EncodePKCS12(pki.Bundle{Key: h.key, Certificate: h.leaf, CA: []*x509.Certificate{h.ca}}, password, false)
	noError(t, err)
	swapped, err := pki.EncodePKCS12(pki.Bundle{Key: h.key, Certificate: h.leaf, CA: []*x509.Certificate{h.stranger, h.ca}}, password, true)
	noError(t, err)
	parameters := []byte(block("EC PARAMETERS", []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}))
	csr, err := pki.CSR(h.key, "user-alice")
	noError(t, err)
	given, none := h.key.Public(), crypto.PublicKey(nil)

	for _, test := range []struct {
		name    string
		key     crypto.PublicKey
		files   [][]byte
		leaf    *x509.Certificate
		ca      []*x509.Certificate
		withKey bool
	}{
		{"three files", none, [][]byte{pemOf(h.leaf), h.encoded, pemOf(h.ca)}, h.leaf, []*x509.Certificate{h.ca}, true},
		{"one file", none, [][]byte{joinedPEM(pemOf(h.leaf, h.ca), h.encoded)}, h.leaf, []*x509.Certificate{h.ca}, true},
		{"one file, the other way round", none, [][]byte{joinedPEM(h.encoded, pemOf(h.ca, h.leaf))}, h.leaf, []*x509.Certificate{h.ca}, true},
		{"everything twice", none, [][]byte{joinedPEM(h.encoded, pemOf(h.ca, h.leaf)), pemOf(h.ca, h.leaf), h.encoded}, h.leaf, []*x509.Certificate{h.ca}, true},
		{"lines of Windows", none, [][]byte{crlf}, h.leaf, []*x509.Certificate{h.ca}, true},
		{"byte order mark", none, [][]byte{slices.Concat([]byte("\ufeff"), pemOf(h.leaf)), pemOf(h.ca)}, h.leaf, []*x509.Certificate{h.ca}, false},
		{"with parameters and a CSR", none, [][]byte{joinedPEM(parameters, h.encoded, csr), pemOf(h.leaf, h.ca)}, h.leaf, []*x509.Certificate{h.ca}, true},
		{"DER", given, [][]byte{h.ca.Raw, h.leaf.Raw}, h.leaf, []*x509.Certificate{h.ca}, false},
		{"DER, one behind the other", given, [][]byte{slices.Concat(h.ca.Raw, h.leaf.Raw)}, h.leaf, []*x509.Certificate{h.ca}, false},
		{"key at hand", given, [][]byte{pemOf(h.leaf), pemOf(h.ca)}, h.leaf, []*x509.Certificate{h.ca}, false},
		{"no key", none, [][]byte{pemOf(h.leaf, h.ca)}, h.leaf, []*x509.Certificate{h.ca}, false},
		{"two users, key at hand", given, [][]byte{pemOf(h.otherLeaf, h.leaf, h.ca)}, h.leaf, []*x509.Certificate{h.ca}, false},
		{"two users, key of one", none, [][]byte{joinedPEM(pemOf(h.otherLeaf, h.leaf, h.ca), h.encoded)}, h.leaf, []*x509.Certificate{h.ca}, true},
		{"two keys, certificate of one", none, [][]byte{joinedPEM(otherEncoded, h.encoded, pemOf(h.ca, h.leaf))}, h.leaf, []*x509.Certificate{h.ca}, true},
		{"intermediate, in the wrong order", none, [][]byte{joinedPEM(pemOf(h.stranger, h.ca, h.intermediate, h.deep), h.encoded)}, h.deep,
			[]*x509.Certificate{h.intermediate, h.ca, h.stranger}, true},
		{"intermediate without the root", given, [][]byte{pemOf(h.deep, h.intermediate)}, h.deep, []*x509.Certificate{h.intermediate}, false},
		{"PKCS#12", none, [][]byte{file}, h.leaf, []*x509.Certificate{h.ca}, true},
		{"PKCS#12, key at hand", given, [][]byte{file}, h.leaf, []*x509.Certificate{h.ca}, true},
		{"PKCS#12, legacy, an odd chain", none, [][]byte{swapped}, h.leaf, []*x509.Certificate{h.ca, h.stranger}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, err := pki.ParseBundle(test.key, password, test.files...)
			noError(t, err)
			if !b.Certificate.Equal(test.leaf) || !slices.EqualFunc(b.CA, test.ca, (*x509.Certificate).Equal) {
				t.Errorf("certificate %q, CA %s", b.Certificate.Subject, subjects(b.CA))
			}
			if (b.Key != nil) != test.withKey || b.Key != nil && !pki.Matches(test.leaf, b.Key.Public()) {
				t.Errorf("the key is %T, or another", b.Key)
			}
		})
	}
}

func subjects(list []*x509.Certificate) string {
	var names []string
	for _, c := range list {
		names = append(names, c.Subject.String())
	}
	return strings.Join(names, "; ")
}

func TestParseBundleRefuses(t *testing.T) {
	h := newHandover(t)
	password := secret.New("sesame")
	file, err := pki.EncodePKCS12(pki.Bundle{Key: h.key, Certificate: h.leaf, CA: []*x509.Certificate{h.ca}}, password, false)
	noError(t, err)
	csr, err := pki.CSR(h.key, "user-alice")
	noError(t, err)
	encrypted := []byte(block("ENCRYPTED PRIVATE KEY", []byte("x")))
	given, none, other := h.key.Public(), crypto.PublicKey(nil), h.otherKey.Public()
	tampered := tampered(t, h.leaf)

	for _, test := range []struct {
		name     string
		key      crypto.PublicKey
		password string
		files    [][]byte
		text     string
	}{
		{"wrong key", other, "", [][]byte{pemOf(h.leaf, h.ca)}, `"CN=user-alice" is for another key`},
		{"wrong key among two users", newKeyOf(t, pki.Ed25519).Public(), "", [][]byte{pemOf(h.leaf, h.otherLeaf, h.ca)}, "none of the certificates is for this key"},
		{"wrong key in the file", none, "", [][]byte{pemOf(h.otherLeaf, h.ca), h.encoded}, `"CN=user-bob" is for another key`},
		{"wrong key beside PKCS#12", other, "sesame", [][]byte{file}, "is for another key"},
		{"no CA", given, "", [][]byte{pemOf(h.leaf)}, "CA's certificate is missing"},
		{"another CA", given, "", [][]byte{pemOf(h.leaf, h.stranger)}, `was signed by "CN=Fleet CA", there is only "CN=Other CA"`},
		{"another CA of the same name", given, "", [][]byte{pemOf(tampered, h.ca)}, "a CA of the same name as the one at hand"},
		{"CA as the leaf", given, "", [][]byte{pemOf(h.caOfKey, h.ca)}, "is that of a CA"},
		{"only CAs", none, "", [][]byte{pemOf(h.ca, h.stranger)}, "only certificates of CAs"},
		{"only CAs for a key", given, "", [][]byte{pemOf(h.ca)}, "only certificates of CAs"},
		{"only the key", none, "", [][]byte{h.encoded}, "no certificate in it"},
		{"only the CSR", given, "", [][]byte{csr}, "have the CA sign it"},
		{"the request certificate", given, "", [][]byte{pemOf(h.request, h.ca)}, "self-signed"},
		{"several leaves", none, "", [][]byte{pemOf(h.leaf, h.otherLeaf, h.ca)}, "several certificates may be meant"},
		{"several for one key", given, "", [][]byte{pemOf(h.leaf, h.newer, h.ca)}, "several certificates may be meant"},
		{"encrypted key", none, "", [][]byte{joinedPEM(pemOf(h.leaf, h.ca), encrypted)}, "private key is encrypted"},
		{"wrong password", none, "sesamee", [][]byte{file}, "password is not that of the PKCS#12 file"},
		{"no password", none, "", [][]byte{file}, "none was given"},
		{"half a PKCS#12", none, "sesame", [][]byte{file[:len(file)/2]}, "PKCS#12 file can't be read"},
		{"BER", none, "sesame", [][]byte{{0x30, 0x80, 0x02, 0x01, 0x03, 0, 0}}, "PKCS#12 file can't be read"},
		{"two thousand million iterations", none, "sesame", [][]byte{{0x30, 14, 0x02, 1, 3, 0x30, 9, 0x04, 1, 0, 0x02, 4, 0x7f, 0xff, 0xff, 0xff}}, "iterations"},
		{"the same inside an octet string", none, "sesame", [][]byte{{0x30, 16, 0x02, 1, 3, 0x04, 11, 0x30, 9, 0x04, 1, 0, 0x02, 4, 0x7f, 0xff, 0xff, 0xff}}, "iterations"},
		{"random bytes that look like iterations", none, "sesame", [][]byte{{0x30, 15, 0x02, 1, 3, 0x04, 10, 0x04, 1, 0, 0x02, 4, 0x7f, 0xff, 0xff, 0xff, 0x55}}, "PKCS#12 file can't be read"},
		{"text", none, "", [][]byte{[]byte("dear colleague, the certificate is attached")}, "neither PEM nor a DER certificate nor PKCS#12"},
		{"half a DER", none, "", [][]byte{h.leaf.Raw[:100]}, "neither PEM nor a DER certificate nor PKCS#12"},
		{"empty", none, "", [][]byte{[]byte(" \n")}, "the file is empty"},
		{"no files", none, "", nil, "no certificate in it"},
		{"cut off", none, "", [][]byte{pemOf(h.leaf)[:200]}, "cut off"},
		{"garbage in PEM", none, "", [][]byte{[]byte(block("CERTIFICATE", []byte("x")))}, "can't be read"},
		{"a chain of 1000", given, "", [][]byte{pemOf(h.leaf), pemOf(thousand(t)...)}, "more than 64 certificates"},
		{"1000 keys", none, "", [][]byte{bytes.Join(keys(t, 20), nil)}, "more than 16 private keys"},
		{"a huge file", none, "", [][]byte{bytes.Repeat([]byte("x"), 1<<20+1)}, "1048577 bytes are too many"},
		{"1000 files", none, "", slices.Repeat([][]byte{pemOf(h.leaf)}, 1000), "1000 files are too many"},
		{"a huge key", none, "", [][]byte{[]byte(block("PRIVATE KEY", make([]byte, 17<<10)))}, "none that Icinga uses"},
		{"a huge public key", none, "", [][]byte{pemOf(hugeRSA(t))}, "RSA key of 20000 bits"},
		{"OpenSSL's trusted certificate", none, "", [][]byte{[]byte(block("TRUSTED CERTIFICATE", h.leaf.Raw))}, "TRUSTED CERTIFICATE"},
		{"which file", none, "", [][]byte{pemOf(h.leaf), []byte("x")}, "file 2 of 2: the file is neither"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, err := pki.ParseBundle(test.key, secret.New(test.password), test.files...)
			if err == nil || temporary(t, err) || !strings.Contains(err.Error(), test.text) {
				t.Fatalf("got %v, %v, want %q", b.Certificate, err, test.text)
			}
			if test.password != "" && strings.Contains(err.Error(), test.password) || len(err.Error()) > 1500 {
				t.Errorf("%v shows the password, or is endless", err)
			}
		})
	}
}

func thousand(t *testing.T) []*x509.Certificate {
	key := newKeyOf(t, pki.Ed25519)
	chain := make([]*x509.Certificate, 1000)
	for i := range chain {
		chain[i] = signedBy(t, named(fmt.Sprint("CA ", i), true), nil, key.Public(), key)
	}
	return chain
}

func keys(t *testing.T, n int) [][]byte {
	list := make([][]byte, n)
	for i := range list {
		var err error
		list[i], err = pki.EncodeKey(newKeyOf(t, pki.Ed25519))
		noError(t, err)
	}
	return list
}

func hugeRSA(t *testing.T) *x509.Certificate {
	n := new(big.Int).SetBit(big.NewInt(1), 19999, 1)
	return signedBy(t, named("huge", false), named("CA", true), &rsa.PublicKey{N: n, E: 65537}, newKeyOf(t, pki.Ed25519))
}

func TestPKCS12SurvivesTheFile(t *testing.T) {
	h := newHandover(t)
	caKey := newKeyOf(t, pki.ECDSAP384)
	ca := signedBy(t, named("CA", true), nil, caKey.Public(), caKey)
	for _, kind := range pki.KeyTypes() {
		key := newKeyOf(t, kind)
		b := pki.Bundle{Key: key, Certificate: signedBy(t, named("user", false), ca, key.Public(), caKey), CA: []*x509.Certificate{ca, h.ca}}
		for _, legacy := range []bool{false, true} {
			password := secret.New("pässwörd")
			file, err := pki.EncodePKCS12(b, password, legacy)
			noError(t, err)
			if aes256 := []byte{0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a}; bytes.Contains(file, aes256) == legacy {
				t.Errorf("%s, legacy %v: encrypted for the others", kind, legacy)
			}
			again, err := pki.ParseBundle(nil, password, file)
			noError(t, err)
			if !again.Certificate.Equal(b.Certificate) || !pki.Matches(b.Certificate, again.Key.Public()) || !slices.EqualFunc(again.CA, b.CA, (*x509.Certificate).Equal) {
				t.Errorf("%s, legacy %v: another bundle was read than was written", kind, legacy)
			}
		}
	}
}

func TestEncodePKCS12Refuses(t *testing.T) {
	h := newHandover(t)
	good := pki.Bundle{Key: h.key, Certificate: h.leaf, CA: []*x509.Certificate{h.ca}}
	for text, change := range map[string]func(b *pki.Bundle, password *secret.Text){
		"needs a certificate":   func(b *pki.Bundle, _ *secret.Text) { b.Certificate = nil },
		"needs the private key": func(b *pki.Bundle, _ *secret.Text) { b.Key = nil },
		"is for another key":    func(b *pki.Bundle, _ *secret.Text) { b.Key = h.otherKey },
		"needs a password":      func(_ *pki.Bundle, password *secret.Text) { *password = secret.Text{} },
		"letters and digits":    func(_ *pki.Bundle, password *secret.Text) { *password = secret.New("sesame\U0001f511") },
	} {
		b, password := good, secret.New("sesame")
		change(&b, &password)
		if _, err := pki.EncodePKCS12(b, password, false); err == nil || temporary(t, err) || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("got %v, want %q", err, text)
		}
	}
}

func TestCSRWithOrganization(t *testing.T) {
	key := newKeyOf(t, pki.Ed25519)
	text, err := pki.CSRFor(key, pkix.Name{CommonName: "user-alice", Organization: []string{"Example, Inc."}, OrganizationalUnit: []string{"a", "b"}})
	noError(t, err)
	block, _ := pem.Decode(text)
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	noError(t, err)
	noError(t, csr.CheckSignature())
	if got := csr.Subject.String(); got != `CN=user-alice,OU=a+OU=b,O=Example\, Inc.` {
		t.Errorf("the subject is %s", got)
	}
	if _, err := pki.CSRFor(key, pkix.Name{Organization: []string{"Example"}}); err == nil {
		t.Error("a CSR without a common name was made")
	}
}

// Whatever a file holds, the answer is a bundle whose parts belong together, or
// an error.
func FuzzParseBundle(f *testing.F) {
	caKey, key := fixedKey(1), fixedKey(2) // the same in every process
	ca := signedBy(f, named("CA", true), nil, caKey.Public(), caKey)
	leaf := signedBy(f, named("user", false), ca, key.Public(), caKey)
	text, err := pki.EncodeKey(key)
	noError(f, err)
	for _, legacy := range []bool{false, true} {
		file, err := pki.EncodePKCS12(pki.Bundle{Key: key, Certificate: leaf, CA: []*x509.Certificate{ca}}, secret.New("sesame"), legacy)
		noError(f, err)
		f.Add(file, "sesame")
	}
	f.Add(slices.Concat(pemOf(leaf, ca), text), "")
	f.Add(slices.Concat(leaf.Raw, ca.Raw), "")
	f.Fuzz(func(t *testing.T, file []byte, password string) {
		for _, public := range []crypto.PublicKey{nil, key.Public()} {
			b, err := pki.ParseBundle(public, secret.New(password), file)
			if err != nil {
				_ = temporary(t, err)
				continue
			}
			if b.Certificate.IsCA || len(b.CA) == 0 || b.Certificate.CheckSignatureFrom(b.CA[0]) != nil ||
				b.Key != nil && !pki.Matches(b.Certificate, b.Key.Public()) || public != nil && !pki.Matches(b.Certificate, public) {
				t.Errorf("the parts of the bundle don't belong together")
			}
		}
	})
}

func fixedKey(seed byte) crypto.Signer {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}
