//go:build e2e && linux

package enroll_test

import (
	"crypto/x509/pkix"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"icinga-enroll/enroll"
	"icinga-enroll/enroll/secret"
	"icinga-enroll/pki"
	"icinga-enroll/pki/pkitest"
)

func newChip(t *testing.T) *pkitest.SWTPM {
	t.Helper()
	dir, err := os.MkdirTemp("", "tpm") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	chip := &pkitest.SWTPM{Dir: dir}
	if err := chip.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(chip.Stop)
	return chip
}

// newChipClient is an API client whose keys are in a TPM, and have an auth value.
func newChipClient(t *testing.T) (*node, *pkitest.SWTPM) {
	t.Helper()
	chip := newChip(t)
	n := newNode(t)
	asClient(n, nil)
	n.Keys = pki.Keys{InTPM: true, TPM: &pki.TPM{Device: chip.Socket(), Auth: secret.New("sesame")}}
	return n, chip
}

// A certificate is of no use without its key: what has one stays in force, and the
// request waits for the TPM.
func TestAKeyThatCannotBeUsedReplacesNone(t *testing.T) {
	for what, row := range map[string]struct {
		spoil     func(*node, *pkitest.SWTPM)
		temporary bool
	}{
		"the TPM is gone":      {func(_ *node, chip *pkitest.SWTPM) { chip.Stop() }, true},
		"another auth value":   {func(n *node, _ *pkitest.SWTPM) { n.Keys.TPM.Auth = secret.New("simsalabim") }, false},
		"no auth value at all": {func(n *node, _ *pkitest.SWTPM) { n.Keys.TPM.Auth = secret.Text{} }, false},
	} {
		t.Run(what, func(t *testing.T) {
			n, chip := newChipClient(t)
			inTPM := n.Keys
			n.Keys = pki.Keys{TPM: inTPM.TPM}
			n.mustEnsure(t)
			before := read(t, n.cert(".key")) + read(t, n.cert(".crt"))
			n.Keys, n.Wish = inTPM, enroll.Rekey
			n.authority.request = func(_ string, req pki.Request) (pki.Issued, error) {
				row.spoil(n, chip)
				return n.authority.sign(req.Certificate.PublicKey, nodeName)
			}
			r, err := n.Ensure(t.Context())
			if err != nil || !errors.Is(r.Setback, pki.ErrTPM) || enroll.IsTemporary(r.Setback) != row.temporary {
				t.Fatalf("got %v, %v", r.Setback, err)
			}
			if read(t, n.cert(".key"))+read(t, n.cert(".crt")) != before || exists(n.state("switch.pem")) {
				t.Error("the pair was replaced by one that can't be used")
			}
			key := read(t, n.state("request.key"))
			if row.temporary {
				if err := chip.Start(); err != nil {
					t.Fatal(err)
				}
			}
			inTPM.TPM.Auth, n.authority.request = secret.New("sesame"), nil
			n.mustEnsure(t)
			if read(t, n.cert(".key")) != key {
				t.Error("the request's key is not the one in place")
			}
		})
	}
}

// Nobody is asked to sign for a key that can't be used now.
func TestARequestWaitsForItsTPM(t *testing.T) {
	n, chip := newChipClient(t)
	n.authority.request = func(string, pki.Request) (pki.Issued, error) { return pki.Issued{}, &pki.PendingError{} }
	if _, err := n.Ensure(t.Context()); !errors.Is(err, pki.ErrPending) {
		t.Fatal(err)
	}
	n.authority.request = nil
	asked, key := len(n.authority.asked), read(t, n.state("request.key"))
	chip.Stop()
	if _, err := n.Ensure(t.Context()); !errors.Is(err, pki.ErrTPM) || !enroll.IsTemporary(err) {
		t.Errorf("got %v", err)
	}
	if len(n.authority.asked) != asked || exists(n.cert(".crt")) {
		t.Error("the CA was asked, or the certificate is in place")
	}
	if err := chip.Start(); err != nil {
		t.Fatal(err)
	}
	n.mustEnsure(t)
	if read(t, n.cert(".key")) != key {
		t.Error("the key is another than the request's")
	}
}

// Whoever has had a request for it signed elsewhere brings the certificate, but only
// to the TPM that has the key.
func TestAKeyInATPMIsImported(t *testing.T) {
	n, chip := newChipClient(t)
	n.Trust, n.authority.request = pki.Trust{}, func(string, pki.Request) (pki.Issued, error) { return pki.Issued{}, errors.New("asked") }
	key, err := n.Keys.Generate()
	if err != nil {
		t.Fatal(err)
	}
	text, err := pki.EncodeKey(key)
	if err != nil {
		t.Fatal(err)
	}
	issued, err := n.authority.sign(key.Public(), nodeName)
	if err != nil {
		t.Fatal(err)
	}
	files := enroll.Files{Certificate: [][]byte{pemOf(issued.Certificate)}, CA: pemOf(issued.CA[0]), Key: text}
	refused := func(what string, want error, temporary bool) {
		before := n.listing(t)
		if _, err := n.Import(t.Context(), files); !errors.Is(err, want) || enroll.IsTemporary(err) != temporary {
			t.Errorf("%s: %v", what, err)
		}
		if !maps.Equal(n.listing(t), before) {
			t.Errorf("%s: something has changed", what)
		}
	}
	n.Keys.TPM.Auth = secret.New("simsalabim")
	refused("with another auth value", pki.ErrTPM, false)
	n.Keys.TPM.Auth = secret.New("sesame")
	chip.Stop()
	refused("the TPM is gone", pki.ErrTPM, true)
	if err := chip.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Import(t.Context(), files); err != nil {
		t.Fatal(err)
	}
	if read(t, n.cert(".key")) != string(text) {
		t.Errorf("the key is\n%s", read(t, n.cert(".key")))
	}
	if err := chip.Tool("tpm2_clear"); err != nil {
		t.Fatal(err)
	}
	refused("cleared", pki.ErrKeyLost, false)
}

// onlyGuess has the chip take no second wrong auth value.
func onlyGuess(t *testing.T, chip *pkitest.SWTPM) {
	t.Helper()
	if err := chip.Tool("tpm2_dictionarylockout", "--setup-parameters", "--max-tries=2", "--recovery-time=3600", "--lockout-recovery-time=3600"); err != nil {
		t.Fatal(err)
	}
}

// Who wants another auth value, or has lost the one that there was, asks for a new key.
func TestANewKeyForOneThatIsRefused(t *testing.T) {
	n, chip := newChipClient(t)
	n.mustEnsure(t)
	before := read(t, n.cert(".key"))
	onlyGuess(t, chip)
	n.Keys.TPM.Auth = secret.New("simsalabim")
	if _, err := n.Ensure(t.Context()); !errors.Is(err, pki.ErrTPM) || !strings.Contains(err.Error(), "icinga-enroll renew --rekey makes a new key") {
		t.Fatalf("nobody has asked for one: %v", err)
	}
	n.Wish, n.authority.request = enroll.Rekey, func(string, pki.Request) (pki.Issued, error) { return pki.Issued{}, &pki.PendingError{} }
	for range 2 { // of which neither is another wrong guess
		if r, err := n.Ensure(t.Context()); err != nil || !errors.Is(r.Setback, pki.ErrPending) {
			t.Fatal(r.Setback, err)
		}
		n.Wish = enroll.WhenDue
	}
	if read(t, n.cert(".key")) != before {
		t.Error("the old key is gone before there is another")
	}
	key := read(t, n.state("request.key"))
	n.authority.request = nil
	if n.mustEnsure(t); read(t, n.cert(".key")) != key {
		t.Error("approved, it is not the new key")
	}
	n.mustEnsure(t)
}

// Changing the auth value, as often as one likes, is no guess, and neither is leaving
// the chip.
func TestAnAuthValueIsChangedWithoutAGuess(t *testing.T) {
	n, chip := newChipClient(t)
	n.mustEnsure(t)
	if err := chip.Tool("tpm2_dictionarylockout", "--setup-parameters", "--max-tries=1", "--recovery-time=3600", "--lockout-recovery-time=3600"); err != nil {
		t.Fatal(err)
	}
	n.Wish = enroll.Rekey
	for _, next := range []string{"simsalabim", "hocuspocus"} {
		before := read(t, n.cert(".key"))
		n.Keys.TPM.Auth = secret.New(next)
		if n.mustEnsure(t); read(t, n.cert(".key")) == before {
			t.Error("there is no new key")
		}
	}
	n.Keys.InTPM, n.Keys.TPM.Auth = false, secret.New("another")
	if r := n.mustEnsure(t); r.Certificate.KeyStore != enroll.InFile {
		t.Errorf("got %+v", r)
	}
}

// A shell has no credentials: what is done there must not take a key's protection from
// it, nor say of the service that it lacks something.
func TestAKeyKeepsItsAuthValue(t *testing.T) {
	n, _ := newChipClient(t)
	n.mustEnsure(t)
	before, status := read(t, n.cert(".key")), read(t, n.state("status.json"))
	n.Keys.TPM.Auth = secret.Text{}
	for _, wish := range []enroll.Wish{enroll.WhenDue, enroll.Renewal, enroll.Rekey} {
		n.Wish = wish
		if _, err := n.Ensure(t.Context()); !errors.Is(err, pki.ErrNoAuthValue) {
			t.Errorf("got %v", err)
		}
	}
	if read(t, n.cert(".key")) != before || read(t, n.state("status.json")) != status {
		t.Error("something has changed")
	}
	n.Wish, n.Daemon = enroll.WhenDue, true
	if _, err := n.Ensure(t.Context()); !errors.Is(err, pki.ErrNoAuthValue) || read(t, n.state("status.json")) == status {
		t.Errorf("the service doesn't say that it lacks it: %v", err)
	}
}

// What an attempt has left that was killed may be for another kind of key, or for one
// with less protection.
func TestALeftRequestIsNotTakenInThePlaceOfAKeyInTheTPM(t *testing.T) {
	n, _ := newChipClient(t)
	inTPM, inFile, unprotected := n.Keys, pki.Keys{TPM: n.Keys.TPM}, *n.Keys.TPM
	unprotected.Auth = secret.Text{}
	for what, row := range map[string]struct {
		before pki.Keys
		want   string
	}{
		"a file":        {inFile, "its key is ecdsa-p256, and a new one is to be ecdsa-p256 in the TPM"},
		"no auth value": {pki.Keys{InTPM: true, TPM: &unprotected}, "its key has no auth value"},
	} {
		for name, answer := range map[string]error{"failed": errors.New("refused"), "waits": &pki.PendingError{}} {
			n.Keys, n.authority.request = inFile, nil
			n.mustEnsure(t)
			n.Wish = enroll.Rekey
			n.Keys, n.authority.request = row.before, func(string, pki.Request) (pki.Issued, error) { return pki.Issued{}, answer }
			if r, err := n.Ensure(t.Context()); err != nil || !errors.Is(r.Setback, answer) {
				t.Fatal(r.Setback, err)
			}
			left := read(t, n.state("request.key"))
			n.Keys, n.authority.request = inTPM, nil
			r := n.mustEnsure(t)
			now := read(t, n.cert(".key"))
			if r.Certificate.KeyStore != enroll.InTPM || now == left || !said(r, row.want) {
				t.Errorf("%s, %s: %+v", what, name, r)
			}
			if key, err := inTPM.Parse([]byte(now)); err != nil || !pki.HasAuthValue(key) {
				t.Errorf("%s, %s: %v", what, name, err)
			}
		}
	}
}

// A request with a key that is refused costs one try, not two.
func TestACSRTriesAnAuthValueOnce(t *testing.T) {
	n, chip := newChipClient(t)
	n.mustEnsure(t)
	onlyGuess(t, chip)
	n.Keys.TPM.Auth = secret.New("simsalabim")
	if _, err := n.PrepareCSR(t.Context(), pkix.Name{}); !errors.Is(err, pki.ErrTPM) || enroll.IsTemporary(err) {
		t.Errorf("got %v", err)
	}
	n.Keys.TPM.Auth = secret.New("sesame")
	n.mustEnsure(t)
}

// Whoever takes a request to a CA should know before that it has the wrong key.
func TestACSRTellsOfAKeyInTheWrongPlace(t *testing.T) {
	n, _ := newChipClient(t)
	n.Keys.InTPM = false
	var said []string
	n.Observe = func(s enroll.Step) { said = append(said, s.Text) }
	for _, n.Keys.InTPM = range []bool{false, true} {
		if _, err := n.PrepareCSR(t.Context(), pkix.Name{}); err != nil {
			t.Fatal(err)
		}
		want := "key.store is tpm, and this key is still in a file: moving it away, then icinga-enroll csr, makes one in the TPM"
		if slices.Contains(said, want) != n.Keys.InTPM {
			t.Errorf("new keys in the TPM: %v; it said %q", n.Keys.InTPM, said)
		}
	}
}

// A key that the chip wouldn't use stands in the way of the next.
func TestACSRMakesNoKeyWhileTheTPMIsLocked(t *testing.T) {
	n, chip := newChipClient(t)
	lock(t, chip, n.Keys)
	if _, err := n.PrepareCSR(t.Context(), pkix.Name{}); !errors.Is(err, pki.ErrTPM) || !enroll.IsTemporary(err) || exists(n.cert(".key")) {
		t.Errorf("got %v", err)
	}
}

// lock is a wrong guess of which the chip takes none.
func lock(t *testing.T, chip *pkitest.SWTPM, keys pki.Keys) {
	t.Helper()
	key, err := keys.Generate()
	if err != nil {
		t.Fatal(err)
	}
	text, err := pki.EncodeKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := chip.Tool("tpm2_dictionarylockout", "--setup-parameters", "--max-tries=1", "--recovery-time=3600", "--lockout-recovery-time=3600"); err != nil {
		t.Fatal(err)
	}
	guess, err := pki.Keys{TPM: &pki.TPM{Device: chip.Socket(), Auth: secret.New("simsalabim")}}.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := pki.CheckKey(guess); !errors.Is(err, pki.ErrTPM) {
		t.Fatal(err)
	}
}

// What is signed while the chip is locked is signed later.
func TestANewKeyWaitsUntilTheTPMIsUnlocked(t *testing.T) {
	n, chip := newChipClient(t)
	inTPM := n.Keys
	n.Keys = pki.Keys{TPM: inTPM.TPM}
	n.mustEnsure(t)
	lock(t, chip, inTPM)
	n.Keys, n.Wish = inTPM, enroll.Rekey
	if r, err := n.Ensure(t.Context()); err != nil || !errors.Is(r.Setback, pki.ErrTPM) || !enroll.IsTemporary(r.Setback) {
		t.Errorf("got %v, %v", r.Setback, err)
	}
	if err := chip.Tool("tpm2_dictionarylockout", "--clear-lockout"); err != nil {
		t.Fatal(err)
	}
	if r := n.mustEnsure(t); r.Certificate.KeyStore != enroll.InTPM {
		t.Errorf("got %+v", r)
	}
}

// A chip that was cleared or taken out is noticed within the hour, without a renewal.
func TestAKeyInATPMIsLookedAtEveryHour(t *testing.T) {
	n, _ := newChipClient(t)
	r := n.mustEnsure(t)
	if look := time.Until(r.Look); look <= 0 || look > time.Hour || !r.Next.After(r.Look) {
		t.Errorf("the next look is in %s", look)
	}
	n.Keys, n.Wish = pki.Keys{TPM: n.Keys.TPM}, enroll.Rekey
	if r := n.mustEnsure(t); !r.Look.IsZero() {
		t.Errorf("a file is looked at on %s", r.Look)
	}
}

// A new auth value is for new keys: who sets it may think that the key has it.
func TestAKeyWithoutTheAuthValueIsTold(t *testing.T) {
	const told = "an auth value is set, and this key has none: icinga-enroll renew --rekey makes one that has it"
	n, _ := newChipClient(t)
	auth := n.Keys.TPM.Auth
	n.Keys.TPM.Auth = secret.Text{}
	n.mustEnsure(t)
	if r := n.mustEnsure(t); said(r, told) {
		t.Errorf("none is set: %+v", r)
	}
	n.Keys.TPM.Auth = auth
	if r := n.mustEnsure(t); !said(r, told) {
		t.Errorf("got %+v", r)
	}
	n.Wish = enroll.Rekey
	n.mustEnsure(t)
	n.Wish = enroll.WhenDue
	if r := n.mustEnsure(t); said(r, told) {
		t.Errorf("it has one: %+v", r)
	}
}

// A wrong device in the configuration is soon put right.
func TestAKeyIsTakenAgainWhenItsTPMIsBack(t *testing.T) {
	n, chip := newChipClient(t)
	n.Keys.TPM.Auth = secret.Text{}
	n.mustEnsure(t)
	key := read(t, n.cert(".key"))
	n.Keys.TPM.Device = newChip(t).Socket()
	n.authority.request = func(string, pki.Request) (pki.Issued, error) { return pki.Issued{}, &pki.PendingError{} }
	for range 2 {
		if _, err := n.Ensure(t.Context()); !errors.Is(err, pki.ErrPending) {
			t.Fatal(err)
		}
	}
	n.Keys.TPM.Device = chip.Socket()
	if r := n.mustEnsure(t); r.Pending != nil || read(t, n.cert(".key")) != key {
		t.Errorf("the certificate in place is not in force: %+v", r)
	}
}

// The request may be the one whose auth value is lost, or whose key is; whoever is
// about to sign it has to know.
func TestARequestOfNoUseIsReplaced(t *testing.T) {
	for what, row := range map[string]struct {
		spoil func(*node, *pkitest.SWTPM) error
		wish  enroll.Wish
	}{
		"another auth value": {func(n *node, _ *pkitest.SWTPM) error { n.Keys.TPM.Auth = secret.New("simsalabim"); return nil }, enroll.Rekey},
		"cleared":            {func(_ *node, chip *pkitest.SWTPM) error { return chip.Tool("tpm2_clear") }, enroll.WhenDue},
	} {
		t.Run(what, func(t *testing.T) {
			n, chip := newChipClient(t)
			n.authority.request = func(string, pki.Request) (pki.Issued, error) { return pki.Issued{}, &pki.PendingError{} }
			if _, err := n.Ensure(t.Context()); !errors.Is(err, pki.ErrPending) {
				t.Fatal(err)
			}
			before := read(t, n.state("request.crt"))
			if err := row.spoil(n, chip); err != nil {
				t.Fatal(err)
			}
			n.Wish = row.wish
			r, err := n.Ensure(t.Context())
			if !errors.Is(err, pki.ErrPending) || read(t, n.state("request.crt")) == before || !said(r, "takes its place and is to be signed instead") {
				t.Errorf("got %+v, %v", r, err)
			}
		})
	}
}

func TestARequestIsDiscardedWithoutItsTPM(t *testing.T) {
	for what, spoil := range map[string]func(*node, *pkitest.SWTPM){
		"gone":               func(_ *node, chip *pkitest.SWTPM) { chip.Stop() },
		"another auth value": func(n *node, _ *pkitest.SWTPM) { n.Keys.TPM.Auth = secret.New("simsalabim") },
	} {
		t.Run(what, func(t *testing.T) {
			n, chip := newChipClient(t)
			n.mustEnsure(t)
			key := read(t, n.cert(".key"))
			n.Wish, n.authority.request = enroll.Rekey, func(string, pki.Request) (pki.Issued, error) { return pki.Issued{}, &pki.PendingError{} }
			if r, err := n.Ensure(t.Context()); err != nil || r.Pending == nil {
				t.Fatal(r, err)
			}
			n.Wish = enroll.WhenDue
			spoil(n, chip)
			if discarded, err := n.DiscardRequest(t.Context()); err != nil || !discarded {
				t.Errorf("got %v, %v", discarded, err)
			}
			if exists(n.state("request.key")) || read(t, n.cert(".key")) != key || !strings.Contains(read(t, n.state("state.json")), nodeName) {
				t.Error("the request is still there, or the node's key or name isn't")
			}
			if s, err := enroll.ReadStatus(n.StateDir); err != nil || s.Pending != nil || s.Certificate == nil || s.Certificate.Unusable == "" {
				t.Errorf("the status is %+v, %v", s, err)
			}
		})
	}
}

// Once it is discarded, the status says again what is wrong with the key in place.
func TestADiscardedRequestLeavesTheReasonForIt(t *testing.T) {
	n, _ := newChipClient(t)
	n.mustEnsure(t)
	n.Keys.TPM.Auth = secret.New("simsalabim")
	n.Wish, n.authority.request = enroll.Rekey, func(string, pki.Request) (pki.Issued, error) { return pki.Issued{}, &pki.PendingError{} }
	if r, err := n.Ensure(t.Context()); err != nil || !errors.Is(r.Setback, pki.ErrPending) {
		t.Fatal(r.Setback, err)
	}
	n.Wish = enroll.WhenDue
	if _, err := n.DiscardRequest(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := enroll.ReadStatus(n.StateDir)
	if err != nil || s.Pending != nil || s.LastError == nil || !strings.Contains(s.LastError.Message, "auth value is not the one") {
		t.Errorf("the status is %+v, %v", s, err)
	}
}

// A password of the owner's that came later takes the key, and a new one is made below
// the storage key that he keeps in the chip.
func TestANewKeyBelowTheOwnersStorageKey(t *testing.T) {
	n, chip := newChipClient(t)
	n.mustEnsure(t)
	before, srk := read(t, n.cert(".key")), chip.Dir+"/srk"
	for _, tool := range [][]string{
		{"tpm2_createprimary", "-C", "o", "-G", "ecc", "-c", srk},
		{"tpm2_evictcontrol", "-C", "o", "-c", srk, "0x81000001"},
		{"tpm2_flushcontext", "-t"},
		{"tpm2_changeauth", "-c", "owner", "mine"},
	} {
		if err := chip.Tool(tool[0], tool[1:]...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.Ensure(t.Context()); !errors.Is(err, pki.ErrTPM) || !strings.Contains(err.Error(), "icinga-enroll renew --rekey makes a key below") {
		t.Fatal(err)
	}
	n.Wish = enroll.Rekey
	if n.mustEnsure(t); read(t, n.cert(".key")) == before {
		t.Error("the key is the old one")
	}
	n.Wish = enroll.WhenDue
	n.mustEnsure(t)
}
