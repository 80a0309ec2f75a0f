package machine

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// A variable of somebody's shell makes no container of a machine.
func TestItsOwnEnvironmentTellsNothing(t *testing.T) {
	before := Identify()
	t.Setenv("container", "web1")
	t.Setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
	if after := Identify(); after != before {
		t.Errorf("%+v, was %+v", after, before)
	}
	if got := (system{t.TempDir()}).identify(); got.Kind == Container {
		t.Errorf("%+v", got)
	}
}

func TestIdentifyLinux(t *testing.T) {
	const id, uuid = "0123456789abcdef0123456789abcdef", "4C4C4544-0051-3010-8052-B4C04F4A3132"
	const canonical = "44454c4c-5100-1030-8052-b4c04f4a3132"
	guest := "flags\t\t: fpu hypervisor\n"
	vendor := "QEMU\n"
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "386" {
		guest = ""
	}
	for name, row := range map[string]struct {
		files map[string]string
		want  Identity
	}{
		"physical": {
			files: map[string]string{"etc/machine-id": id, "sys/class/dmi/id/product_uuid": uuid, "proc/cpuinfo": "flags\t\t: fpu\n"},
			want:  Identity{Kind: Physical, MachineID: id, Hardware: canonical},
		},
		"virtual": {
			files: map[string]string{
				"etc/machine-id": id, "sys/class/dmi/id/product_uuid": uuid, "proc/cpuinfo": guest, "sys/class/dmi/id/sys_vendor": vendor,
				"var/lib/cloud/data/instance-id": "i-1",
			},
			want: Identity{Kind: Virtual, MachineID: id, Hardware: canonical, Instance: "i-1"},
		},
		"container: the hardware is the host's": {
			files: map[string]string{"etc/machine-id": id, "sys/class/dmi/id/product_uuid": uuid, "run/systemd/container": "lxc"},
			want:  Identity{Kind: Container, MachineID: id},
		},
		"container by its manager's word": {
			files: map[string]string{"etc/machine-id": id, "run/host/container-manager": "systemd-nspawn\n", "proc/1/environ": "PATH=/bin\x00", "sys/class/dmi/id/product_uuid": uuid},
			want:  Identity{Kind: Container, MachineID: id},
		},
		"container by its first process": {
			files: map[string]string{"proc/1/environ": "PATH=/bin\x00container=systemd-nspawn\x00"},
			want:  Identity{Kind: Container},
		},
		"pod": {files: map[string]string{"proc/1/environ": "KUBERNETES_SERVICE_HOST=10.0.0.1\x00"}, want: Identity{Kind: Container}},
		"first boot": {
			files: map[string]string{"etc/machine-id": "uninitialized\n"},
			want:  Identity{Kind: Physical},
		},
		"without systemd": {
			files: map[string]string{"etc/machine-id": "", "var/lib/dbus/machine-id": id},
			want:  Identity{Kind: Physical, MachineID: id},
		},
	} {
		root := t.TempDir()
		for file, text := range row.files {
			file = filepath.Join(root, file)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := (system{root}).identify(); got != row.want {
			t.Errorf("%s: %+v, want %+v", name, got, row.want)
		}
	}
}
