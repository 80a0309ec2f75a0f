package platform

import (
	"fmt"
	"os"
	"os/exec"
)

// outsideSandbox wraps a program so that systemd runs it as a transient unit,
// where this process is a service of systemd's (it sets INVOCATION_ID) and root.
// There the program has the environment of a service, and env.
func outsideSandbox(argv, env []string) []string {
	if os.Getenv("INVOCATION_ID") == "" || os.Getenv("NOTIFY_SOCKET") == "" || os.Geteuid() != 0 {
		return argv
	}
	systemdRun, err := exec.LookPath("systemd-run")
	if err != nil {
		return argv
	}
	wrapped := []string{
		systemdRun, "--quiet", "--pipe", "--wait", "--collect",
		fmt.Sprintf("--property=RuntimeMaxSec=%d", int(commandLimit.Seconds())),
	}
	for _, entry := range env {
		wrapped = append(wrapped, "--setenv="+entry)
	}
	return append(append(wrapped, "--"), argv...)
}
