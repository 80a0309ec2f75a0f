//go:build e2e

package pki_test

import (
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/pki"
)

const filePassword = "ses ame;"

// tool runs a program in dir, with the password in the environment variable PW.
func tool(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "PW="+filePassword)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func writeIn(t *testing.T, dir, name string, content []byte) {
	t.Helper()
	noError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
}

func readIn(t *testing.T, dir, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, name))
	noError(t, err)
	return content
}

func sameBundle(t *testing.T, got, want pki.Bundle) {
	t.Helper()
	if !got.Certificate.Equal(want.Certificate) || !slices.EqualFunc(got.CA, want.CA, (*x509.Certificate).Equal) {
		t.Errorf("read was %q with %s", got.Certificate.Subject, subjects(got.CA))
	}
	if got.Key == nil || !pki.Matches(want.Certificate, got.Key.Public()) {
		t.Errorf("the key is %T, or another", got.Key)
	}
}

func exported(t *testing.T, kind pki.KeyType) pki.Bundle {
	caKey, key := newKeyOf(t, pki.ECDSAP256), newKeyOf(t, kind)
	ca := signedBy(t, named("Fleet CA", true), nil, caKey.Public(), caKey)
	return pki.Bundle{Key: key, Certificate: signedBy(t, named("user-alice", false), ca, key.Public(), caKey), CA: []*x509.Certificate{ca}}
}

// OpenSSL 3 reads both encodings without its legacy provider.
func TestOpenSSLReadsOurPKCS12(t *testing.T) {
	for _, kind := range pki.KeyTypes() {
		want := exported(t, kind)
		for legacy, cipher := range map[bool]string{false: "PBES2, PBKDF2, AES-256-CBC, Iteration 10000, PRF hmacWithSHA256", true: "pbeWithSHA1And3-KeyTripleDES-CBC"} {
			dir := t.TempDir()
			file, err := pki.EncodePKCS12(want, secret.New(filePassword), legacy)
			noError(t, err)
			writeIn(t, dir, "a.p12", file)
			info := tool(t, dir, "openssl", "pkcs12", "-in", "a.p12", "-passin", "env:PW", "-nodes", "-info", "-out", "a.pem")
			if !strings.Contains(info, cipher) {
				t.Errorf("%s: encrypted otherwise than with %s:\n%s", kind, cipher, info)
			}
			got, err := pki.ParseBundle(nil, secret.Text{}, readIn(t, dir, "a.pem"))
			noError(t, err)
			sameBundle(t, got, want)
		}
	}
}

func TestWeReadOpenSSLsPKCS12(t *testing.T) {
	want := exported(t, pki.RSA3072)
	dir := t.TempDir()
	key, err := pki.EncodeKey(want.Key)
	noError(t, err)
	writeIn(t, dir, "key", key)
	writeIn(t, dir, "crt", pki.EncodeCertificates(want.Certificate))
	writeIn(t, dir, "ca", pki.EncodeCertificates(want.CA...))
	whole := []string{"-inkey", "key", "-in", "crt", "-certfile", "ca"}
	for name, args := range map[string][]string{
		"default":           whole,
		"with a name":       append(whole, "-name", "alice ü", "-caname", "the CA"),
		"3DES":              append(whole, "-descert"),
		"legacy, RC2":       append(whole, "-legacy"),
		"unencrypted certs": append(whole, "-certpbe", "NONE"),
		"many iterations":   append(whole, "-iter", "600000"),
	} {
		t.Run(name, func(t *testing.T) {
			tool(t, dir, "openssl", append([]string{"pkcs12", "-export", "-out", "a.p12", "-passout", "env:PW"}, args...)...)
			got, err := pki.ParseBundle(nil, secret.New(filePassword), readIn(t, dir, "a.p12"))
			noError(t, err)
			sameBundle(t, got, want)
		})
	}
	tool(t, dir, "openssl", "pkcs12", "-export", "-out", "a.p12", "-passout", "env:PW", "-nokeys", "-in", "crt", "-certfile", "ca")
	_, err = pki.ParseBundle(nil, secret.New(filePassword), readIn(t, dir, "a.p12"))
	if err == nil || !strings.Contains(err.Error(), "it must hold one private key") {
		t.Errorf("without a key: %v", err)
	}
}

// An encrypted key as openssl writes it, in both of its forms.
func TestOpenSSLsEncryptedKeys(t *testing.T) {
	dir := t.TempDir()
	tool(t, dir, "openssl", "genrsa", "-aes256", "-passout", "env:PW", "-out", "pkcs8", "2048")
	tool(t, dir, "openssl", "rsa", "-in", "pkcs8", "-passin", "env:PW", "-traditional", "-aes256", "-passout", "env:PW", "-out", "pkcs1")
	for _, name := range []string{"pkcs8", "pkcs1"} {
		_, err := pki.ParseBundle(nil, secret.New(filePassword), readIn(t, dir, name))
		if err == nil || !strings.Contains(err.Error(), "private key is encrypted") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Java's keytool (Debian: default-jre-headless) lists and converts what we wrote,
// and we read what it writes.
func TestKeytoolReadsOurPKCS12(t *testing.T) {
	for _, kind := range []pki.KeyType{pki.ECDSAP256, pki.RSA3072, pki.Ed25519} {
		want := exported(t, kind)
		for _, legacy := range []bool{false, true} {
			dir := t.TempDir()
			file, err := pki.EncodePKCS12(want, secret.New(filePassword), legacy)
			noError(t, err)
			writeIn(t, dir, "a.p12", file)
			list := tool(t, dir, "keytool", "-J-Duser.language=en", "-list", "-v", "-storetype", "PKCS12", "-keystore", "a.p12", "-storepass:env", "PW")
			for _, part := range []string{"PrivateKeyEntry", "Certificate chain length: 2", "Owner: CN=user-alice", "Owner: CN=Fleet CA"} {
				if !strings.Contains(list, part) {
					t.Errorf("%s, legacy %v: keytool does not say %q:\n%s", kind, legacy, part, list)
				}
			}
			tool(t, dir, "keytool", "-importkeystore", "-srckeystore", "a.p12", "-srcstoretype", "PKCS12", "-srcstorepass:env", "PW",
				"-destkeystore", "b.p12", "-deststoretype", "PKCS12", "-deststorepass:env", "PW")
			got, err := pki.ParseBundle(nil, secret.New(filePassword), readIn(t, dir, "b.p12"))
			noError(t, err)
			sameBundle(t, got, want)
		}
	}
}
