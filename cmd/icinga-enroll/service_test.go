package main

import (
	"slices"
	"strings"
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

// The unit of a package runs as an account that can't give the key to another.
func TestAPackagesInstanceGivesNoFilesAway(t *testing.T) {
	for _, row := range []struct {
		service, owner, group string
		refused               bool
	}{
		{"icinga-enroll@grafana", "", "grafana", true},
		{"icinga-enroll@grafana", "grafana", "", true},
		{"icinga-enroll@grafana", "", "", false},
		{"icinga-enroll-grafana", "", "grafana", false},
	} {
		c := loaded{instance: instance{service: row.service}}
		c.Key.Owner, c.Key.Group = row.owner, row.group
		err := c.needsNoRoot()
		if (err != nil) != row.refused || err != nil && !strings.Contains(err.Error(), "systemctl edit icinga-enroll@grafana") {
			t.Errorf("%+v: %v", row, err)
		}
	}
}
