package pki_test

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"icinga-enroll/pki"
)

// newChip answers every command with a code and nothing more, as a TPM does that
// refuses it; 0 is one that dies.
func newChip(t *testing.T, code uint32) *pki.TPM {
	t.Helper()
	dir, err := os.MkdirTemp("", "tpm") // a socket's path is short
	noError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	file := filepath.Join(dir, "socket")
	listener, err := net.Listen("unix", file)
	noError(t, err)
	done := make(chan struct{})
	t.Cleanup(func() { _ = listener.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			refuse(conn, code)
			_ = conn.Close()
		}
	}()
	return &pki.TPM{Device: file}
}

func refuse(conn net.Conn, code uint32) {
	command := make([]byte, 4096)
	for {
		if _, err := conn.Read(command); err != nil || code == 0 {
			return
		}
		tag := []byte{0x80, 0x01}
		if code&0x180 == 0 {
			tag = []byte{0x00, 0xc4} // a TPM 1.2's
		}
		answer := binary.BigEndian.AppendUint32(append(tag, 0, 0, 0, 10), code)
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}

// A TPM's codes are those of its specification, part 2, 6.6.
func TestWhatIsWrongWithATPM(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	noError(t, os.WriteFile(file, nil, 0o600))
	for what, row := range map[string]struct {
		tpm       *pki.TPM
		want      string
		temporary bool
	}{
		"none":                         {&pki.TPM{Device: file + "-none"}, "key.tpm_device names " + file + "-none, which isn't there", true},
		"no device":                    {&pki.TPM{Device: file}, ": correct key.tpm_device: " + file + " is neither a device nor a socket", false},
		"a TPM 1.2":                    {newChip(t, 0x1e), "it is a TPM 1.2", false},
		"no TPM":                       {newChip(t, 0x2e312034), "is no TPM: correct key.tpm_device", false}, // as "HTTP/1.1 400" is read
		"a TPM 1.2 by swtpm":           {newChip(t, 0x0a), "it is a TPM 1.2", false},
		"one that dies":                {newChip(t, 0), "doesn't answer, or not to the end: is the emulator running, and is this its data channel?", true},
		"one that was not started":     {newChip(t, 0x100), "tpm2_startup", true},
		"one that is broken":           {newChip(t, 0x101), "reboot", false},
		"one that is locked":           {newChip(t, 0x921), "--clear-lockout", true},
		"one that is busy":             {newChip(t, 0x908), "TPM_RC_YIELDED", true},
		"one that is full":             {newChip(t, 0x902), "programs have filled it: flush what they have left (tpm2_flushcontext -t", true},
		"one that is full of sessions": {newChip(t, 0x903), "tpm2_flushcontext -l", true},
		"one without session handles":  {newChip(t, 0x905), "programs have filled it", true},
		"one without object handles":   {newChip(t, 0x906), "programs have filled it", true},
		"owner hierarchy is disabled":  {newChip(t, 0x185), "the TPM's owner hierarchy is switched off", false},
	} {
		t.Run(what, func(t *testing.T) {
			key, err := pki.Keys{TPM: row.tpm}.Parse([]byte(tss2Key))
			noError(t, err)
			err = pki.CheckKey(key)
			if !errors.Is(err, pki.ErrTPM) || errors.Is(err, pki.ErrKeyLost) || !strings.Contains(err.Error(), row.want) || temporary(t, err) != row.temporary {
				t.Errorf("a key in it: %v", err)
			}
			inTPM := pki.Keys{InTPM: true, TPM: row.tpm}
			_, madeErr := inTPM.Generate()
			_, certErr := pki.RequestCertificate(key, "client", time.Now())
			_, csrErr := pki.CSR(key, "client")
			for what, err := range map[string]error{"a new key": madeErr, "before a new key": inTPM.Ready(), "a request certificate": certErr, "a CSR": csrErr} {
				if !errors.Is(err, pki.ErrTPM) || !strings.Contains(err.Error(), row.want) || temporary(t, err) != row.temporary {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}

// One that answers isn't gone, and no reason to do without it.
func TestATPMThatIsGoneIsToldFromOneThatAnswers(t *testing.T) {
	for what, row := range map[string]struct {
		tpm  *pki.TPM
		gone bool
	}{
		"none":             {&pki.TPM{Device: filepath.Join(t.TempDir(), "none")}, true},
		"one that dies":    {newChip(t, 0), true},
		"one that is full": {newChip(t, 0x902), false},
		"a broken one":     {newChip(t, 0x101), false},
		"no device":        {&pki.TPM{Device: t.TempDir()}, false},
	} {
		if err := (pki.Keys{InTPM: true, TPM: row.tpm}).Ready(); !errors.Is(err, pki.ErrTPM) || errors.Is(err, pki.ErrTPMGone) != row.gone {
			t.Errorf("%s: %v", what, err)
		}
	}
}
