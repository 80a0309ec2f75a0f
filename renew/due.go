// Package renew decides when a certificate is due and does the waiting.
package renew

import (
	"crypto/x509"
	"hash/fnv"
	"time"
)

const day = 24 * time.Hour

// agentRenews is when a running Icinga agent begins to renew by itself, with
// the key that it has: a new key has to come before, with a few days to spare.
const agentRenews = 35 * day

// Dates say when something should be done about a certificate.
type Dates struct {
	// Rotation is when a new key should replace the old one, which takes a
	// ticket. It is never after Renewal.
	Rotation time.Time
	// Renewal is when the same key gets a new certificate, which takes none.
	// An Icinga 2 CA answers "valid and uptodate" to who asks with more than
	// 30 days left.
	Renewal time.Time
}

// Due returns the dates of a certificate. Both are moved to later by a part of
// a span that depends on the host's name alone: hosts that enrolled in the same
// minute don't come back in the same minute, and one host keeps its dates
// across restarts.
//
//   - Rotation: 60 days before the end, or half the lifetime where that is
//     shorter, spread over a quarter of that; but not later than 35 days before
//     the end where the lifetime allows it.
//   - Renewal: 30 days before the end, or a third of the lifetime, spread over
//     a sixth of that.
func Due(leaf *x509.Certificate, host string) Dates {
	lifetime := leaf.NotAfter.Sub(leaf.NotBefore)
	rotate := min(60*day, lifetime/2)
	room := rotate / 4
	if rotate > agentRenews {
		room = min(room, rotate-agentRenews)
	}
	renewal := min(30*day, lifetime/3)
	return Dates{
		Rotation: leaf.NotAfter.Add(spread(host, room) - rotate),
		Renewal:  leaf.NotAfter.Add(spread(host, renewal/6) - renewal),
	}
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
