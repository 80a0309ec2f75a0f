//go:build e2e && linux

package pkitest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"time"
)

// SWTPM is swtpm, a TPM 2.0 without hardware: not a fake, but the reference code.
// It has no resource manager, as the kernel gives hardware one: who forgets a key
// in it finds it full.
type SWTPM struct {
	Dir string // what it holds, which stays when it is stopped
	Old bool   // it is a TPM 1.2

	process *exec.Cmd
	said    bytes.Buffer
}

// Socket is where it is spoken to as a device is.
func (s *SWTPM) Socket() string { return filepath.Join(s.Dir, "socket") }

// Start switches the TPM in dir on, a new one where the folder is empty.
func (s *SWTPM) Start() error {
	control := s.Socket() + ".ctrl" // where the tools of tpm2-tools look for it
	args := []string{"socket", "--tpmstate", "dir=" + s.Dir, "--flags", "not-need-init,startup-clear",
		"--server", "type=unixio,path=" + s.Socket(), "--ctrl", "type=unixio,path=" + control}
	if !s.Old {
		args = append(args, "--tpm2")
	}
	s.process = exec.Command("swtpm", args...)
	s.process.Stderr = &s.said
	if err := s.process.Start(); err != nil {
		return err
	}
	for begun := time.Now(); time.Since(begun) < 10*time.Second; time.Sleep(time.Millisecond) {
		if conn, err := net.Dial("unix", s.Socket()); err == nil {
			return conn.Close()
		}
	}
	s.Stop()
	return errors.New("swtpm doesn't listen: " + s.said.String())
}

// Stop is a TPM that is gone. A command that it is at is not answered.
func (s *SWTPM) Stop() {
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
}

// Tool runs one of the programs of tpm2-tools on it.
func (s *SWTPM) Tool(name string, args ...string) error {
	out, err := exec.Command(name, append(args, "-T", "swtpm:path="+s.Socket())...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}
