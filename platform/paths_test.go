package platform

import (
	"path/filepath"
	"runtime"
	"testing"
)

func TestPathsAreAbsolute(t *testing.T) {
	paths := DefaultPaths()
	for _, path := range []string{paths.Config, paths.State, paths.Certs} {
		if !filepath.IsAbs(path) {
			t.Errorf("%q is not absolute", path)
		}
	}
}

// People write these into their automation.
func TestPathsOnLinuxStay(t *testing.T) {
	want := Paths{"/etc/icinga-enroll/config.yml", "/var/lib/icinga-enroll", "/var/lib/icinga2/certs"}
	if got := DefaultPaths(); runtime.GOOS == "linux" && got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}
