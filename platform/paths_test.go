package platform

import (
	"path/filepath"
	"runtime"
	"testing"
)

func TestPathsAreAbsolute(t *testing.T) {
	paths := DefaultPaths()
	for _, path := range []string{paths.Config, paths.State, paths.Certs, paths.Agent} {
		if !filepath.IsAbs(path) {
			t.Errorf("%q is not absolute", path)
		}
	}
}

// People write these into their automation.
func TestPathsOnLinuxStay(t *testing.T) {
	want := Paths{"/etc/icinga-enroll/config.yml", "/var/lib/icinga-enroll", "/var/lib/icinga2/certs", "/etc/icinga2"}
	if got := DefaultPaths(); runtime.GOOS == "linux" && got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Two instances share neither configuration nor state.
func TestPathsOfAnInstance(t *testing.T) {
	got := Paths{Config: "/etc/icinga-enroll/config.yml", State: "/var/lib/icinga-enroll", Certs: "/certs", Agent: "/agent"}.Instance("grafana")
	want := Paths{filepath.FromSlash("/etc/icinga-enroll/grafana.yml"), filepath.FromSlash("/var/lib/icinga-enroll/instances/grafana"), "/certs", "/agent"}
	if got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}
