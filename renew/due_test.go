package renew_test

import (
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	"icinga-enroll/renew"
)

const day = 24 * time.Hour

func leaf(lifetime time.Duration) *x509.Certificate {
	start := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	return &x509.Certificate{NotBefore: start, NotAfter: start.Add(lifetime)}
}

// between is how long before a certificate's end something is due: at the
// earliest, and at the latest.
type between struct{ earliest, latest time.Duration }

func (b between) holds(before time.Duration) bool { return before <= b.earliest && before >= b.latest }

func TestDue(t *testing.T) {
	tests := []struct {
		what     string
		lifetime time.Duration
		rotation between
		renewal  between
	}{
		{"an Icinga CA's 397 days", 397 * day, between{60 * day, 45 * day}, between{30 * day, 25 * day}},
		{"15 years, as before Icinga 2.12.7", 15 * 365 * day, between{60 * day, 45 * day}, between{30 * day, 25 * day}},
		{"90 days", 90 * day, between{45 * day, 35 * day}, between{30 * day, 25 * day}},
		{"80 days: the agent would be first", 80 * day, between{40 * day, 35 * day}, between{80 * day / 3, 80 * day / 3 * 5 / 6}},
		{"70 days: no room before the agent", 70 * day, between{35 * day, 35 * day * 3 / 4}, between{70 * day / 3, 70 * day / 3 * 5 / 6}},
		{"47 days", 47 * day, between{47 * day / 2, 47 * day / 2 * 3 / 4}, between{47 * day / 3, 47 * day / 3 * 5 / 6}},
		{"10 days", 10 * day, between{5 * day, 5 * day * 3 / 4}, between{10 * day / 3, 10 * day / 3 * 5 / 6}},
		{"one minute", time.Minute, between{30 * time.Second, 22 * time.Second}, between{20 * time.Second, 16 * time.Second}},
		{"no time at all", 0, between{0, 0}, between{0, 0}},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			cert := leaf(tt.lifetime)
			for i := range 500 {
				due := renew.Due(cert, fmt.Sprintf("node%d.example.com", i))
				if before := cert.NotAfter.Sub(due.Rotation); !tt.rotation.holds(before) {
					t.Fatalf("node%d: rotation %s before the end, want %v", i, before, tt.rotation)
				}
				if before := cert.NotAfter.Sub(due.Renewal); !tt.renewal.holds(before) {
					t.Fatalf("node%d: renewal %s before the end, want %v", i, before, tt.renewal)
				}
				if due.Rotation.After(due.Renewal) {
					t.Fatalf("node%d: rotation at %s is after renewal at %s", i, due.Rotation, due.Renewal)
				}
			}
		})
	}
}

func TestDueOfACertificateWhoseEndIsBeforeItsBeginning(t *testing.T) {
	cert := leaf(-day)
	if due := renew.Due(cert, "web1"); due.Renewal.After(cert.NotBefore) {
		t.Errorf("due at %s, want before %s: it is expired at any time", due.Renewal, cert.NotBefore)
	}
}

func TestDueIsSpreadAndStable(t *testing.T) {
	cert := leaf(397 * day)
	rotations, renewals := map[int]int{}, map[int]int{}
	for i := range 3000 {
		name := fmt.Sprintf("node%d.example.com", i)
		due := renew.Due(cert, name)
		if again := renew.Due(cert, name); again != due {
			t.Fatalf("%s is due at %v and at %v", name, due, again)
		}
		rotations[int(cert.NotAfter.Sub(due.Rotation)/day)]++
		renewals[int(cert.NotAfter.Sub(due.Renewal)/day)]++
	}
	for what, tt := range map[string]struct {
		perDay map[int]int
		days   int
	}{"rotations": {rotations, 15}, "renewals": {renewals, 5}} {
		for before, hosts := range tt.perDay {
			if mean := 3000 / tt.days; hosts > mean*3/2 {
				t.Errorf("%d of 3000 %s are due %d days before the end, the mean is %d", hosts, what, before, mean)
			}
		}
	}
}
