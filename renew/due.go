// Package renew decides when a certificate is due and does the waiting.
package renew

import (
	"crypto/x509"
	"hash/fnv"
	"time"
)

const day = 24 * time.Hour

// Due returns when a certificate should be renewed with the same key: 30 days
// before its end, or a third of its lifetime where that is shorter, and then
// later by a part of a sixth of that span that depends on the host's name
// alone. So hosts that enrolled in the same minute don't come back in the same
// minute, and one host keeps its date across restarts.
//
// Never earlier, since an Icinga 2 CA answers "valid and uptodate" to who asks
// with more than 30 days left.
func Due(leaf *x509.Certificate, host string) time.Time {
	lifetime := leaf.NotAfter.Sub(leaf.NotBefore)
	window := min(30*day, lifetime/3)
	return leaf.NotAfter.Add(-window).Add(spread(host, window/6))
}

// spread picks a duration in [0, span) by the name of the host.
func spread(host string, span time.Duration) time.Duration {
	if span <= 0 {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(host))
	return time.Duration(h.Sum64() % uint64(span)) //nolint:gosec // span is positive
}
