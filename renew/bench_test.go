package renew_test

import (
	"testing"

	"icinga-enroll/renew"
)

func BenchmarkDue(b *testing.B) {
	cert := leaf(397 * day)
	for b.Loop() {
		renew.Due(cert, "web1.example.com")
	}
}
