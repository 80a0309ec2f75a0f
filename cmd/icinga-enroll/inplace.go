package main

import (
	"errors"
	"io/fs"
	"path/filepath"
	"runtime"
	"strings"
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
	if bad = lookAgain(&c); bad == "" {
		bad = lookAtKey(c.File)
	}
	if bad == "" {
		bad = lookAtCA(filepath.Join(filepath.Dir(c.File), "ca.crt"))
	}
	if bad == "" && now.After(c.NotAfter) {
		bad = "the certificate has expired"
	}
	return s, bad
}

// lookAtKey says what is wrong with the key beside the certificate's file. An
// account that may not read it can tell only that it is there, unless the folder
// is its own: then it is the agent's, which has to.
func lookAtKey(certificate string) (bad string) {
	file := strings.TrimSuffix(certificate, ".crt") + ".key"
	text, err := readInPlace(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "the file of the certificate's key " + file + " is gone"
	case errors.Is(err, fs.ErrPermission) && !isOwnFolder(filepath.Dir(file)):
		return ""
	case err != nil:
		return "the file of the certificate's key " + file + " can't be read: " + err.Error()
	}
	key, err := pki.Keys{TPM: &pki.TPM{}}.Parse(text) // which is not asked
	if err != nil {
		return "the file of the certificate's key " + file + " holds no key that can be read: " + err.Error()
	}
	text, err = readInPlace(certificate)
	if err != nil {
		return ""
	}
	if chain, err := pki.ParseCertificates(text); err == nil && !pki.Matches(chain[0], key.Public()) {
		return "the file " + file + " holds the key of another certificate than the one beside it"
	}
	return ""
}

// lookAtCA says what is wrong with the CA's file: an agent doesn't start without it.
func lookAtCA(file string) (bad string) {
	text, err := readInPlace(file)
	if err == nil {
		_, err = pki.ParseCertificates(text)
	}
	switch {
	case err == nil, errors.Is(err, fs.ErrPermission):
		return ""
	case errors.Is(err, fs.ErrNotExist):
		return "the CA's certificate " + file + " is gone"
	}
	return "the CA's certificate " + file + " can't be read: " + err.Error()
}

// isOwnFolder reports whether the folder is this account's. Windows keeps rights
// elsewhere.
func isOwnFolder(folder string) bool {
	if runtime.GOOS == "windows" {
		return false
	}
	dir, err := platform.OpenDir(folder)
	if err != nil {
		return false
	}
	defer func() { _ = dir.Close() }()
	account, err := dir.Foreign(".")
	return err == nil && account == ""
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
