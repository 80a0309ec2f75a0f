//go:build e2e && linux

package pki_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/pem"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/pki"
	"icinga-enroll/pki/pkitest"
)

func newTPM(t *testing.T) (*pkitest.SWTPM, pki.Keys) {
	t.Helper()
	dir, err := os.MkdirTemp("", "tpm") // a socket's path is short
	noError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	chip := &pkitest.SWTPM{Dir: dir}
	noError(t, chip.Start())
	t.Cleanup(chip.Stop)
	return chip, pki.Keys{InTPM: true, TPM: &pki.TPM{Device: chip.Socket()}}
}

func tpm2(t *testing.T, chip *pkitest.SWTPM, name string, args ...string) {
	t.Helper()
	noError(t, chip.Tool(name, args...))
}

// read is the key as the next run reads it from its file.
func read(t *testing.T, keys pki.Keys, key crypto.Signer) crypto.Signer {
	t.Helper()
	text, err := pki.EncodeKey(key)
	noError(t, err)
	key, err = keys.Parse(text)
	noError(t, err)
	return key
}

func generate(t *testing.T, keys pki.Keys) crypto.Signer {
	t.Helper()
	key, err := keys.Generate()
	noError(t, err)
	return read(t, keys, key)
}

// signs has the key sign what TLS, requests and certificates have signed.
func signs(t *testing.T, key crypto.Signer) {
	t.Helper()
	short, long := sha256.Sum256([]byte("text")), sha512.Sum512([]byte("text"))
	for hash, digest := range map[crypto.Hash][]byte{crypto.SHA256: short[:], crypto.SHA512: long[:]} {
		signature, err := key.Sign(nil, digest, hash)
		noError(t, err)
		if !ecdsa.VerifyASN1(key.Public().(*ecdsa.PublicKey), digest, signature) {
			t.Errorf("the signature of a %v is wrong", hash)
		}
	}
}

func TestAKeyInATPMIsAKey(t *testing.T) {
	_, keys := newTPM(t)
	key := generate(t, keys)
	signs(t, key)
	if !pki.InTPM(key) || pki.InTPM(newKeyOf(t, pki.ECDSAP256)) {
		t.Error("it isn't told from one in a file")
	}
	cert, err := pki.RequestCertificate(key, "client", time.Now())
	noError(t, err)
	noError(t, cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature))
	_, err = pki.CSR(key, "client")
	noError(t, err)
}

// There is room for three keys, and for three sessions.
func TestNothingStaysInTheTPM(t *testing.T) {
	_, keys := newTPM(t)
	for range 8 {
		signs(t, generate(t, keys))
		noError(t, keys.Ready())
		_, err := keys.TPM.ID()
		noError(t, err)
	}
}

// What killed programs leave is what the advice flushes.
func TestATPMThatIsFullIsEmptied(t *testing.T) {
	chip, keys := newTPM(t)
	for what, row := range map[string]struct {
		fill  func() error
		empty string
	}{
		"of keys":     {func() error { return chip.Tool("tpm2_createprimary", "-C", "o", "-G", "ecc") }, "-t"},
		"of sessions": {func() error { return chip.Tool("tpm2_startauthsession", "-S", chip.Dir+"/session") }, "-s"},
	} {
		for range 64 {
			if err := row.fill(); err != nil {
				break
			}
		}
		_, err := keys.Generate()
		if !errors.Is(err, pki.ErrTPM) || !temporary(t, err) || !strings.Contains(err.Error(), row.empty) || strings.Contains(err.Error(), "/dev/") {
			t.Errorf("full %s: %v", what, err)
		}
		tpm2(t, chip, "tpm2_flushcontext", row.empty)
		signs(t, generate(t, keys))
	}
}

func TestATPM12IsToldSo(t *testing.T) {
	chip, keys := newTPM(t)
	chip.Stop()
	chip.Old = true
	noError(t, chip.Start())
	if err := keys.Ready(); !errors.Is(err, pki.ErrTPM) || temporary(t, err) || !strings.Contains(err.Error(), "it is a TPM 1.2") {
		t.Errorf("got %v", err)
	}
}

func TestAnAuthValueIsAskedFor(t *testing.T) {
	chip, keys := newTPM(t)
	free := generate(t, keys)
	keys.TPM.Auth = secret.New("sesame")
	key := generate(t, keys)
	signs(t, key)
	tpm2(t, chip, "tpm2_dictionarylockout", "--setup-parameters", "--max-tries=2", "--recovery-time=3600", "--lockout-recovery-time=3600")
	for _, wrong := range []secret.Text{{}, {}, {}, secret.New("simsalabim"), secret.New("hocuspocus")} { // two are guesses
		keys.TPM.Auth = wrong
		if err := pki.CheckKey(read(t, keys, key)); !errors.Is(err, pki.ErrTPM) || temporary(t, err) || !strings.Contains(err.Error(), "key.tpm_auth_file") {
			t.Errorf("with the auth value %v: %v", wrong, err)
		}
	}
	for _, any := range []secret.Text{{}, secret.New("abracadabra")} {
		keys.TPM.Auth = any
		noError(t, pki.CheckLoads(read(t, keys, key))) // which is no use of it, locked or not
	}
	keys.TPM.Auth = secret.New("sesame")
	for what, err := range map[string]error{"a key": pki.CheckKey(read(t, keys, key)), "before a new one": keys.Ready()} {
		if !errors.Is(err, pki.ErrTPM) || errors.Is(err, pki.ErrTPMGone) || !temporary(t, err) || !strings.Contains(err.Error(), "--clear-lockout") {
			t.Errorf("locked, %s: %v", what, err)
		}
	}
	noError(t, pki.Keys{InTPM: true, TPM: &pki.TPM{Device: chip.Socket()}}.Ready()) // a key without one isn't
	signs(t, free)                                                                  // others' wrong guesses don't lock it
	tpm2(t, chip, "tpm2_dictionarylockout", "--clear-lockout")
	signs(t, key)
	noError(t, keys.Ready())
}

func TestAKeyOfAnotherTPMIsLost(t *testing.T) {
	chip, keys := newTPM(t)
	_, others := newTPM(t)
	key := generate(t, keys)
	if err := pki.CheckLoads(read(t, others, key)); !errors.Is(err, pki.ErrKeyLost) {
		t.Errorf("loaded in another TPM: %v", err)
	}
	if err := pki.CheckKey(read(t, others, key)); !errors.Is(err, pki.ErrKeyLost) || errors.Is(err, pki.ErrTPM) || temporary(t, err) {
		t.Errorf("in another TPM: %v", err)
	}
	id, err := keys.TPM.ID()
	noError(t, err)
	if other, err := others.TPM.ID(); err != nil || other == id {
		t.Errorf("the other TPM is %q, too (%v)", other, err)
	}
	tpm2(t, chip, "tpm2_clear")
	if err := pki.CheckKey(key); !errors.Is(err, pki.ErrKeyLost) || temporary(t, err) {
		t.Errorf("cleared: %v", err)
	}
	if same, err := keys.TPM.ID(); err != nil || same != id {
		t.Errorf("cleared, it is %q and was %q (%v)", same, id, err)
	}
	signs(t, generate(t, keys))
}

// Windows has a password for the owner's hierarchy, and a storage key that stays.
func TestAnOwnerWithAPassword(t *testing.T) {
	chip, keys := newTPM(t)
	before := generate(t, keys)
	srk := chip.Dir + "/srk"
	tpm2(t, chip, "tpm2_createprimary", "-C", "o", "-G", "rsa2048", "-c", srk)
	tpm2(t, chip, "tpm2_changeauth", "-c", "owner", "mine")
	_, made := keys.Generate()
	for what, err := range map[string]error{"a new key": made, "before it": keys.Ready()} {
		if !errors.Is(err, pki.ErrTPM) || temporary(t, err) || !strings.Contains(err.Error(), "no storage key is kept in the chip") {
			t.Errorf("without a storage key, %s: %v", what, err)
		}
	}
	if err := pki.CheckKey(before); !errors.Is(err, pki.ErrTPM) || temporary(t, err) || !strings.Contains(err.Error(), "if a storage key is kept at 0x81000001, icinga-enroll renew --rekey makes a key below that") {
		t.Errorf("a key of before: %v", err)
	}
	tpm2(t, chip, "tpm2_evictcontrol", "-C", "o", "-P", "mine", "-c", srk, "0x81000001")
	tpm2(t, chip, "tpm2_flushcontext", "-t")
	noError(t, keys.Ready())
	key := generate(t, keys)
	signs(t, key)
	tpm2(t, chip, "tpm2_clear")
	if err := pki.CheckKey(key); !errors.Is(err, pki.ErrKeyLost) {
		t.Errorf("cleared: %v", err)
	}
}

func TestSeveralUseATPMAtOnce(t *testing.T) {
	_, keys := newTPM(t)
	key := generate(t, keys)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := pki.CheckKey(key); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestATPMThatIsGoneComesBack(t *testing.T) {
	chip, keys := newTPM(t)
	key := generate(t, keys)
	chip.Stop()
	if err := pki.CheckKey(key); !errors.Is(err, pki.ErrTPM) || !temporary(t, err) {
		t.Errorf("gone: %v", err)
	}
	noError(t, chip.Start())
	signs(t, key)
}

// What isn't as the chip has made it may be refused in many ways.
func TestAKeyInATPMWhoseFileIsDamaged(t *testing.T) {
	_, keys := newTPM(t)
	text, err := pki.EncodeKey(generate(t, keys))
	noError(t, err)
	whole, _ := pem.Decode(text)
	end := len(whole.Bytes)
	refusals := map[bool]int{}
	for at := end - 200; at < end; at++ { // the private part, which is as long
		der := slices.Clone(whole.Bytes)
		der[at] ^= 0x55
		key, err := keys.Parse(pem.EncodeToMemory(&pem.Block{Type: whole.Type, Bytes: der}))
		if err != nil {
			continue
		}
		err = pki.CheckKey(key)
		damaged := errors.Is(err, pki.ErrTPM) && strings.Contains(err.Error(), "its file is damaged")
		if !damaged && !errors.Is(err, pki.ErrKeyLost) || temporary(t, err) {
			t.Errorf("byte %d: %v", at, err)
		}
		refusals[damaged]++
	}
	if refusals[true] == 0 || refusals[false] == 0 {
		t.Errorf("refused as damaged and as lost: %v", refusals)
	}
}
