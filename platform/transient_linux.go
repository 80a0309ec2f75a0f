package platform

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"strings"
)

// outsideSandbox wraps a program so that systemd runs it as a transient unit,
// where this process is a service of systemd's (it sets INVOCATION_ID) and root.
// There the program has the environment of a service, and env, and ends with
// the service that this process is.
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
	if unit := ownUnit(); unit != "" {
		wrapped = append(wrapped, "--property=BindsTo="+unit)
	}
	for _, entry := range env {
		wrapped = append(wrapped, "--setenv="+entry)
	}
	return append(append(wrapped, "--"), argv...)
}

// readOnlyHere says who it is that lets this process read only.
func readOnlyHere() string { return readOnlyIn(ownUnit()) }

// readOnlyIn is for a unit of this program's, or a hook's process in it: the unit
// says where they may write. "service install" writes that of a service, but
// neither a template nor what the timer starts.
func readOnlyIn(unit string) string {
	const unlessMounted = " (or is the file system mounted read-only?)"
	if !strings.HasPrefix(unit, "icinga-enroll") {
		return readOnlyMount
	}
	if strings.Contains(unit, "@") || strings.HasSuffix(unit, "-renew.service") {
		return ": " + unit + " may not write there: run systemctl edit " + unit + ", with the lines [Service] and ReadWritePaths= and that folder, and start it again" + unlessMounted
	}
	return ": the service may not write there: run icinga-enroll service install, which lets it, then icinga-enroll service restart" + unlessMounted
}

// ownUnit is the service that systemd runs this process as, which is the name of
// its control group; "" where that can't be seen.
func ownUnit() string {
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(groups)) {
		if unit := path.Base(strings.TrimSpace(line)); strings.HasSuffix(unit, ".service") {
			return unit
		}
	}
	return ""
}
