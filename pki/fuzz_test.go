package pki

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/pki/internal/netstring"
)

// FuzzAnswer: whatever a server says to a request for a certificate, the outcome
// is a certificate with a CA, a request that waits, or an error fit for one line
// of a log that doesn't repeat the ticket.
func FuzzAnswer(f *testing.F) {
	const ticket = "8e75b0ac3bd7d2e4a9e0b1e2c3d4e5f60718293a"
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, ed25519.SeedSize))
	own, err := RequestCertificate(key, "web1.example.com", time.Unix(1_800_000_000, 0))
	if err != nil {
		f.Fatal(err)
	}
	text, err := json.Marshal(string(EncodeCertificates(own)))
	if err != nil {
		f.Fatal(err)
	}
	for _, payload := range []string{
		`{"jsonrpc":"2.0","id":"1","result":{"status_code":0,"cert":` + string(text) + `,"ca":` + string(text) + `}}`,
		`{"jsonrpc":"2.0","id":"1","result":{"status_code":0,"cert":` + string(text) + `}}`,
		`{"jsonrpc":"2.0","id":"1","result":{"status_code":1,"error":"Invalid ticket '` + ticket + `' for CN 'web1'."}}`,
		`{"jsonrpc":"2.0","id":"1","result":{"status_code":2,"ca":` + string(text) + `}}`,
		`{"jsonrpc":"2.0","id":"1","result":{"status_code":2}}`,
		`{"jsonrpc":"2.0","id":"1","error":"Exception: ` + ticket + `\n\t(0) stack"}`,
		`{"jsonrpc":"2.0","id":"1","error":{"a":"\u001b[2J"}}`,
		`{"jsonrpc":"2.0","id":"1","result":{"status_code":3e0,"error":5}}`,
		`{"jsonrpc":"2.0","method":"icinga::Hello","params":{}}`, `null`, `[]`,
	} {
		f.Add([]byte(payload))
	}
	req := Request{Certificate: own, Ticket: secret.New(ticket)}
	f.Fuzz(func(t *testing.T, payload []byte) {
		var answer netstring.Message
		if json.Unmarshal(payload, &answer) != nil {
			return
		}
		issued, err := decodeAnswer(answer, req)
		if err == nil {
			checkReadable(t, append([]*x509.Certificate{issued.Certificate}, issued.CA...))
			if len(issued.CA) == 0 {
				t.Error("a certificate came without a CA")
			}
			return
		}
		checkError(t, err, ticket)
		if pending := (*PendingError)(nil); errors.As(err, &pending) && pending.Fingerprint != Fingerprint(own) {
			t.Errorf("another request waits: %s", pending.Fingerprint)
		}
	})
}

// checkReadable wants certificates that are what they were after a way through
// a file.
func checkReadable(t *testing.T, certificates []*x509.Certificate) {
	t.Helper()
	again, err := ParseCertificates(EncodeCertificates(certificates...))
	if err != nil || len(again) != len(certificates) {
		t.Fatalf("%d certificates became %d (%v)", len(certificates), len(again), err)
	}
	for i, c := range certificates {
		if !c.Equal(again[i]) {
			t.Errorf("certificate %d became another", i)
		}
	}
}

func checkError(t *testing.T, err error, secrets ...string) {
	t.Helper()
	text := err.Error()
	for _, s := range secrets {
		if strings.Contains(text, s) {
			t.Errorf("a secret is in the error: %s", text)
		}
	}
	if len(text) > 2000 || strings.ContainsFunc(text, unicode.IsControl) {
		t.Errorf("an error unfit for a log: %q", text)
	}
}

// FuzzParseKeyFile: a key that is taken is the same key once this program has
// written it, and signs; one that isn't is refused without a byte of it.
func FuzzParseKeyFile(f *testing.F) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{4}, ed25519.SeedSize))
	text, err := EncodeKey(key)
	if err != nil {
		f.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(der)
	f.Add(bytes.ReplaceAll(text, []byte("PRIVATE KEY"), []byte("ENCRYPTED PRIVATE KEY")))
	f.Add(text[:len(text)/2])
	f.Fuzz(func(t *testing.T, file []byte) {
		key, err := ParseKeyFile(file)
		if err != nil {
			checkError(t, err)
			return
		}
		text, err := EncodeKey(key)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseKey(text)
		if err != nil || !again.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(key.Public()) {
			t.Errorf("the key became another: %v", err)
		}
	})
}
