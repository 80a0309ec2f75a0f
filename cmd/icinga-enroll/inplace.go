package main

import (
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"icinga-enroll/enroll"
	"icinga-enroll/pki"
	"icinga-enroll/platform"
)

// asItIs returns s with the certificate that is in place now, and in a few
// words what is wrong with that: the last run may be long ago. Where this
// account may not read the certificate, what the last run saw counts.
func asItIs(s enroll.Status, now time.Time) (_ enroll.Status, bad string) {
	if s.Certificate == nil {
		return s, ""
	}
	c := *s.Certificate
	s.Certificate = &c
	bad = lookAgain(&c)
	if bad == "" && now.After(c.NotAfter) {
		bad = "expired"
	}
	return s, bad
}

// lookAgain takes over what the file of c says. The Icinga agent renews by
// itself: a later certificate of the same name and CA is in order.
func lookAgain(c *enroll.Certificate) (bad string) {
	data, err := readInPlace(c.File)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "the certificate's file is gone"
	case errors.Is(err, fs.ErrPermission):
		return ""
	case err != nil:
		return "the certificate's file can't be read: " + err.Error()
	}
	chain, err := pki.ParseCertificates(data)
	if err != nil {
		return "the certificate's file " + c.File + " holds no certificate that can be read"
	}
	is := chain[0]
	if pki.Fingerprint(is) == c.Fingerprint {
		return ""
	}
	if is.Subject.CommonName != c.Subject || is.Issuer.CommonName != c.Issuer || !is.NotBefore.After(c.NotBefore) {
		return "the certificate's file " + c.File + " holds another certificate than the last run has seen: if nobody has put it there on purpose, bring the right one back; then run icinga-enroll once"
	}
	c.NotBefore, c.NotAfter, c.Fingerprint = is.NotBefore.UTC(), is.NotAfter.UTC(), pki.Fingerprint(is)
	return ""
}

// readInPlace reads a file in a folder that may be another account's.
func readInPlace(file string) ([]byte, error) {
	dir, err := platform.OpenDir(filepath.Dir(file))
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }()
	return dir.ReadFile(filepath.Base(file))
}
