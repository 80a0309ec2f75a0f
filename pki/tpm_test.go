package pki_test

import (
	"crypto"
	_ "embed"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"icinga-enroll/pki"
)

// tss2Key was made in a TPM that is no more.
//
//go:embed testdata/tss2.key
var tss2Key string

// What is in a TPM is known without that, and stays as it is in its file.
func TestAKeyInATPMSurvivesTheFile(t *testing.T) {
	keys := pki.Keys{TPM: &pki.TPM{}}
	for what, parse := range map[string]func([]byte) (crypto.Signer, error){"Parse": keys.Parse, "ParseFile": keys.ParseFile} {
		for _, text := range []string{tss2Key, string(withAuth(t, tss2Key))} { // that there is an auth value tpm2-openssl 1.1 wants to be told
			key, err := parse([]byte("a comment\n" + text))
			noError(t, err)
			if again, err := pki.EncodeKey(key); err != nil || string(again) != text {
				t.Errorf("%s: %s, %v", what, again, err)
			}
		}
	}
}

func TestKeysInATPMThatAreRefused(t *testing.T) {
	whole, _ := pem.Decode([]byte(tss2Key))
	text := func(der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: whole.Type, Bytes: der}) }
	inTPM := pki.Keys{TPM: &pki.TPM{}}
	for what, row := range map[string]struct {
		keys pki.Keys
		text []byte
		want string
	}{
		"an agent's":           {pki.Keys{}, []byte(tss2Key), "the Icinga agent can't use"},
		"cut off":              {inTPM, text(whole.Bytes[:100]), "no readable key"},
		"empty":                {inTPM, text(nil), "no readable key"},
		"one that is imported": {inTPM, text([]byte(strings.Replace(string(whole.Bytes), "\x81\x05\x0a\x01\x03", "\x81\x05\x0a\x01\x04", 1))), "isn't supported"},
		"below another parent": {inTPM, text([]byte(strings.Replace(string(whole.Bytes), "\x02\x04\x40\x00\x00\x01", "\x02\x04\x40\x00\x00\x0b", 1))), "isn't supported"},
		"one that decrypts":    {inTPM, text([]byte(strings.Replace(string(whole.Bytes), "\x00\x04\x04\x72\x00\x00", "\x00\x02\x04\x72\x00\x00", 1))), "isn't supported"},
	} {
		if _, err := row.keys.Parse(row.text); err == nil || !strings.Contains(err.Error(), row.want) || temporary(t, err) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// withAuth is what a key's file says of one that has an auth value.
func withAuth(t *testing.T, text string) []byte {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	block.Bytes = []byte(strings.Replace(string(block.Bytes), "\xa0\x03\x01\x01\xff", "\xa0\x03\x01\x01\x00", 1))
	return pem.EncodeToMemory(block)
}

// To try none would be a wrong guess, which the chip counts: it isn't opened.
func TestAnAuthValueThatIsNotConfigured(t *testing.T) {
	key, err := pki.Keys{TPM: &pki.TPM{Device: "/gone"}}.Parse(withAuth(t, tss2Key))
	noError(t, err)
	if err := pki.CheckKey(key); !errors.Is(err, pki.ErrNoAuthValue) || !errors.Is(err, pki.ErrTPM) || temporary(t, err) || !strings.Contains(err.Error(), "none is configured here: set key.tpm_auth_file") {
		t.Errorf("got %v", err)
	}
}
