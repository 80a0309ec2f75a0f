package machine

import (
	"context"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Identify tells what is known of this machine. It changes nothing and never
// fails: what can't be read isn't known.
func Identify() Identity {
	host, _ := unix.Sysctl("kern.hostuuid") // of /etc/hostid, which a copy of the disk has, too
	id := Identity{Kind: Physical, MachineID: canonicalID(strings.ReplaceAll(host, "-", ""))}
	if jailed, err := unix.SysctlUint32("security.jail.jailed"); err == nil && jailed == 1 {
		id.Kind = Container
		return id // the rest is the host's
	}
	if guest, err := unix.Sysctl("kern.vm_guest"); err == nil && guest != "none" {
		id.Kind = Virtual
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, _ := exec.CommandContext(ctx, "/bin/kenv", "-q", "smbios.system.uuid").Output()
	id.Hardware = canonicalUUID(string(out))
	return id
}
