//go:build unix

package platform

import (
	"os/exec"
	"syscall"
)

// endTogether has the whole process group of cmd killed, not only its leader.
func endTogether(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
