package pki_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"testing"

	"icinga-enroll/pki"
)

// A key that was handed over may be DER, of each kind that PEM has; what the
// agent reads may not.
func TestKeyFilesInDER(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	text, err := pki.EncodeKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	for what, tt := range map[string]struct {
		data []byte
		want crypto.PublicKey
	}{
		"PKCS#8": {pkcs8, &ec.PublicKey}, "SEC1": {sec1, &ec.PublicKey}, "PKCS#1": {x509.MarshalPKCS1PrivateKey(rsaKey), &rsaKey.PublicKey}, "PEM": {text, &ec.PublicKey},
	} {
		key, err := pki.ParseKeyFile(tt.data)
		if err != nil || !key.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(tt.want) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := pki.ParseKey(tt.data); (err == nil) != (what == "PEM") {
			t.Errorf("%s: where the agent reads the key the error is %v", what, err)
		}
	}
	if _, err := pki.ParseKeyFile([]byte("nothing")); err == nil {
		t.Error("nothing is a key")
	}
}
