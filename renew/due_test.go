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

func TestDue(t *testing.T) {
	tests := []struct {
		what     string
		lifetime time.Duration
		earliest time.Duration // before the end
		latest   time.Duration
	}{
		{"an Icinga CA's 397 days", 397 * day, 30 * day, 25 * day},
		{"15 years, as before Icinga 2.12.7", 15 * 365 * day, 30 * day, 25 * day},
		{"47 days", 47 * day, 47 * day / 3, 47 * day / 3 * 5 / 6},
		{"10 days", 10 * day, 10 * day / 3, 10 * day / 3 * 5 / 6},
		{"one minute", time.Minute, 20 * time.Second, 16 * time.Second},
		{"no time at all", 0, 0, 0},
		{"an end before its beginning", -day, 0, -day},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			cert := leaf(tt.lifetime)
			for i := range 200 {
				due := renew.Due(cert, fmt.Sprintf("node%d.example.com", i))
				before := cert.NotAfter.Sub(due)
				if before > tt.earliest || before < tt.latest {
					t.Fatalf("node%d is due %s before the end, want between %s and %s", i, before, tt.latest, tt.earliest)
				}
			}
		})
	}
}

func TestDueIsSpreadAndStable(t *testing.T) {
	cert := leaf(397 * day)
	perDay := map[int]int{}
	for i := range 3000 {
		name := fmt.Sprintf("node%d.example.com", i)
		due := renew.Due(cert, name)
		if again := renew.Due(cert, name); !again.Equal(due) {
			t.Fatalf("%s is due at %s and at %s", name, due, again)
		}
		perDay[int(cert.NotAfter.Sub(due)/day)]++
	}
	for before, hosts := range perDay {
		if hosts > 3000/5*3/2 {
			t.Errorf("%d of 3000 hosts are due %d days before the end: want about a fifth of them", hosts, before)
		}
	}
}
