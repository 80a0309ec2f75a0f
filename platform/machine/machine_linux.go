package machine

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Identify tells what is known of this machine. It changes nothing and never
// fails: what can't be read isn't known.
func Identify() Identity { return system{root: "/"}.identify() }

// system is where this machine is looked at.
type system struct{ root string }

func (s system) identify() Identity {
	id := Identity{Kind: s.kind(), MachineID: canonicalID(s.read("etc/machine-id"))}
	if id.MachineID == "" {
		id.MachineID = canonicalID(s.read("var/lib/dbus/machine-id"))
	}
	if id.Kind == Container {
		return id // the rest is the host's
	}
	id.Hardware = s.hardware()
	id.Instance = canonicalInstance(s.read("var/lib/cloud/data/instance-id"))
	return id
}

func (s system) read(name string) string {
	data, err := os.ReadFile(filepath.Join(s.root, name))
	if err != nil {
		return ""
	}
	return strings.Trim(string(data), "\x00\n \t")
}

func (s system) exists(name string) bool {
	_, err := os.Stat(filepath.Join(s.root, name))
	return err == nil
}

func (s system) kind() Kind {
	switch {
	case s.inContainer():
		return Container
	case s.isVirtual():
		return Virtual
	default:
		return Physical
	}
}

// inContainer goes by what systemd's container interface, Docker, Podman and
// Kubernetes leave for the processes inside; of variables by those of the first
// process alone, since any shell may have one of such a name. (systemd-nspawn's
// stub of a first process shows the host's: there the manager's own word tells.)
func (s system) inContainer() bool {
	for _, mark := range []string{"run/host/container-manager", "run/systemd/container", ".dockerenv", "run/.containerenv", "var/run/secrets/kubernetes.io"} {
		if s.exists(mark) {
			return true
		}
	}
	for entry := range strings.SplitSeq(s.read("proc/1/environ"), "\x00") {
		name, value, _ := strings.Cut(entry, "=")
		if value != "" && (name == "container" || name == "KUBERNETES_SERVICE_HOST") {
			return true
		}
	}
	return false
}

// virtualVendors are the makers that hypervisors name in the firmware.
var virtualVendors = []string{"QEMU", "KVM", "VMware", "Xen", "innotek GmbH", "Oracle Corporation VirtualBox", "Microsoft Corporation Virtual Machine", "Parallels", "Bochs", "BHYVE", "Amazon EC2", "Google Compute Engine", "OpenStack", "DigitalOcean", "Apple Virtualization", "Hetzner vServer", "Alibaba Cloud", "Nutanix AHV"}

// isVirtual asks the processor where that is known to tell, else the firmware:
// a cloud names itself as the maker of its bare metal, too.
func (s system) isVirtual() bool {
	if runtime.GOARCH == "amd64" || runtime.GOARCH == "386" {
		return s.hasFlag("hypervisor")
	}
	if s.exists("proc/device-tree/hypervisor") || s.exists("proc/device-tree/vm,uuid") || s.exists("sys/hypervisor/uuid") || s.onMainframe("Control Program:") {
		return true
	}
	made := s.read("sys/class/dmi/id/sys_vendor") + " " + s.read("sys/class/dmi/id/product_name")
	return slices.ContainsFunc(virtualVendors, func(vendor string) bool { return strings.HasPrefix(made, vendor) })
}

func (s system) hasFlag(flag string) bool {
	for line := range strings.Lines(s.read("proc/cpuinfo")) {
		if key, flags, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "flags" {
			return slices.Contains(strings.Fields(flags), flag)
		}
	}
	return false
}

func (s system) onMainframe(key string) bool { return s.sysinfo(key) != "" }

// sysinfo returns a value of what s390 tells of itself. The deepest hypervisor is the
// first that is named there.
func (s system) sysinfo(key string) string {
	for line := range strings.Lines(s.read("proc/sysinfo")) {
		if _, value, found := strings.Cut(line, key); found {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// hardware returns the first UUID that there is: of SMBIOS, of a POWER or KVM
// device tree, of Xen, of an s390's hypervisor. Only root may read the first.
func (s system) hardware() string {
	for _, text := range []string{
		s.read("sys/class/dmi/id/product_uuid"), s.read("proc/device-tree/vm,uuid"), s.read("sys/hypervisor/uuid"), s.sysinfo("UUID:"),
	} {
		if uuid := canonicalUUID(text); uuid != "" {
			return uuid
		}
	}
	return ""
}
