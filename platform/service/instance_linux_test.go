package service

import (
	"os"
	"path/filepath"
	"testing"
)

// An agent's instance needs root, which the package's template isn't.
func TestInstanceName(t *testing.T) {
	for _, row := range []struct {
		template, own, fits bool
		want                string
	}{
		{true, false, true, "icinga-enroll@two"},
		{true, false, false, "icinga-enroll-two"},
		{true, true, true, "icinga-enroll-two"},
		{false, false, true, "icinga-enroll-two"},
	} {
		s := systemd{units: t.TempDir(), packaged: []string{t.TempDir()}}
		for file, there := range map[string]bool{
			filepath.Join(s.packaged[0], "icinga-enroll@.service"): row.template,
			s.file("icinga-enroll-two"):                            row.own,
		} {
			if there {
				if err := os.WriteFile(file, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got := s.instanceName("icinga-enroll", "two", func() bool { return row.fits }); got != row.want {
			t.Errorf("%+v: got %s", row, got)
		}
	}
}
