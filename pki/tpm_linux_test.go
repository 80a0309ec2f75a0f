package pki_test

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
		answer := binary.BigEndian.AppendUint32([]byte{0x80, 0x01, 0, 0, 0, 10}, code)
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
		"no device":                    {&pki.TPM{Device: file}, "key.tpm_device names none", false},
		"a TPM 1.2":                    {newChip(t, 0x1e), "it is a TPM 1.2", false},
		"one that dies":                {newChip(t, 0), "doesn't answer", true},
		"one that was not started":     {newChip(t, 0x100), "tpm2_startup", true},
		"one that is broken":           {newChip(t, 0x101), "reboot", false},
		"one that is locked":           {newChip(t, 0x921), "--clear-lockout", true},
		"one that is busy":             {newChip(t, 0x908), "TPM_RC_YIELDED", true},
		"one that is full":             {newChip(t, 0x902), "tpm2_flushcontext HANDLE", true},
		"one that is full of sessions": {newChip(t, 0x903), "use /dev/tpmrm0", true},
		"one without session handles":  {newChip(t, 0x905), "programs have filled it", true},
		"one without object handles":   {newChip(t, 0x906), "programs have filled it", true},
		"owner hierarchy is disabled":  {newChip(t, 0x185), "owner hierarchy is switched off", false},
	} {
		t.Run(what, func(t *testing.T) {
			key, err := pki.Keys{TPM: row.tpm}.Parse([]byte(tss2Key))
			noError(t, err)
			err = pki.CheckKey(key)
			if !errors.Is(err, pki.ErrTPM) || errors.Is(err, pki.ErrKeyLost) || !strings.Contains(err.Error(), row.want) || temporary(t, err) != row.temporary {
				t.Errorf("a key in it: %v", err)
			}
			_, err = pki.Keys{InTPM: true, TPM: row.tpm}.Generate()
			if !errors.Is(err, pki.ErrTPM) || !strings.Contains(err.Error(), row.want) || temporary(t, err) != row.temporary {
				t.Errorf("a new key: %v", err)
			}
		})
	}
}
