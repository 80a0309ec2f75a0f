package service

import (
	"os"
	"path/filepath"
	"testing"
)

// An agent's instance needs root, which the package's template isn't.
func TestInstanceName(t *testing.T) {
	for _, row := range []struct {
		template, own, enabled, fits bool
		want                         string
	}{
		{true, false, false, true, "icinga-enroll@two"},
		{true, false, false, false, "icinga-enroll-two"},
		{true, false, true, false, "icinga-enroll@two"}, // until it is uninstalled
		{true, true, true, true, "icinga-enroll-two"},
		{false, false, false, true, "icinga-enroll-two"},
	} {
		s := systemd{units: t.TempDir(), packaged: []string{t.TempDir()}}
		wants := filepath.Join(s.units, "multi-user.target.wants")
		if err := os.Mkdir(wants, 0o700); err != nil {
			t.Fatal(err)
		}
		for file, there := range map[string]bool{
			filepath.Join(s.packaged[0], "icinga-enroll@.service"): row.template,
			s.file("icinga-enroll-two"):                            row.own,
			filepath.Join(wants, "icinga-enroll@two.service"):      row.enabled,
		} {
			if there {
				if err := os.WriteFile(file, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got := s.instanceName("icinga-enroll", "two", row.fits); got != row.want {
			t.Errorf("%+v: got %s", row, got)
		}
	}
}
