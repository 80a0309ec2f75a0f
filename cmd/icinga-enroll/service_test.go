package main

import (
	"slices"
	"testing"
)

// systemd hides from a service what isn't said.
func TestTheServiceSeesItsTPM(t *testing.T) {
	for _, row := range []struct {
		store, device string
		want          []string
	}{
		{"file", "", nil},
		{"tpm", "", []string{"/dev/tpmrm0"}},
		{"tpm", "/dev/tpmrm1", []string{"/dev/tpmrm1"}},
		{"tpm", "/run/swtpm/socket", nil},
	} {
		var c loaded
		c.Key.Store, c.Key.TPMDevice = row.store, row.device
		if got := c.service("config.yml").Devices; !slices.Equal(got, row.want) {
			t.Errorf("key.store %s, key.tpm_device %q: %q, want %q", row.store, row.device, got, row.want)
		}
	}
}
