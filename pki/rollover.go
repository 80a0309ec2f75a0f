package pki

import (
	"bytes"
	"crypto/x509"
	"slices"
)

// With returns t grown by those stored CA certificates that t knows, and by the
// renewed ones of these CAs: a pin that names the predecessor still holds after
// a CA has renewed its own certificate. With FirstUse the stored ones, if any,
// are what is trusted from then on. Stored certificates of any other CA count for
// nothing: the operator has pinned another since.
func (t Trust) With(stored []*x509.Certificate) Trust {
	if t.FirstUse && len(t.Roots)+len(t.Pins) == 0 && len(stored) > 0 {
		return Trust{Roots: stored}
	}
	known, _ := t.Sift(stored)
	t.Roots = slices.Concat(t.Roots, known)
	return t
}

// Sift divides the CA certificates of an answer into those that t trusts,
// renewed ones included, and all others, which nobody should be told to trust.
func (t Trust) Sift(answer []*x509.Certificate) (trusted, foreign []*x509.Certificate) {
	if len(answer) == 0 {
		return nil, nil
	}
	known := t.roots(answer)
	for _, c := range answer {
		if slices.ContainsFunc(known, func(k *x509.Certificate) bool { return c.Equal(k) || succeeds(c, k) }) {
			trusted = append(trusted, c)
		} else {
			foreign = append(foreign, c)
		}
	}
	return trusted, foreign
}

// succeeds reports whether next is the certificate with which an Icinga CA has
// replaced its old one: the same subject and key, signed with that key
// (observed on Icinga 2 2.15.6).
func succeeds(next, old *x509.Certificate) bool {
	return selfSignedCA(next) &&
		bytes.Equal(next.RawSubject, old.RawSubject) &&
		bytes.Equal(next.RawSubjectPublicKeyInfo, old.RawSubjectPublicKeyInfo) &&
		next.CheckSignatureFrom(old) == nil
}
