package machine

import (
	"context"
	"os/exec"
	"regexp"
	"time"

	"golang.org/x/sys/unix"
)

var platformUUID = regexp.MustCompile(`"IOPlatformUUID" = "([0-9A-Fa-f-]{36})"`)

// Identify tells what is known of this machine. It changes nothing and never
// fails: what can't be read isn't known.
func Identify() Identity {
	id := Identity{Kind: Physical}
	if guest, err := unix.SysctlUint32("kern.hv_vmm_present"); err == nil && guest == 1 {
		id.Kind = Virtual
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "/usr/sbin/ioreg", "-rd1", "-c", "IOPlatformExpertDevice").Output()
	if found := platformUUID.FindSubmatch(out); err == nil && found != nil {
		id.Hardware = canonicalUUID(string(found[1]))
	}
	return id
}
