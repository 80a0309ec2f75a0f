package platform

import (
	"strings"
	"testing"
)

// The sandbox of a unit is no mount that somebody could make writable.
func TestReadOnlyInAUnit(t *testing.T) {
	for unit, want := range map[string]string{
		"icinga-enroll.service":         "icinga-enroll service install",
		"icinga-enroll-two.service":     "icinga-enroll service install",
		"icinga-enroll@grafana.service": "systemctl edit icinga-enroll@grafana.service",
		"icinga-enroll-renew.service":   "systemctl edit icinga-enroll-renew.service",
		"":                              "mount it writable",
		"somebodys.service":             "mount it writable",
	} {
		if got := readOnlyIn(unit); !strings.Contains(got, want) {
			t.Errorf("%s: %s", unit, got)
		}
	}
}
