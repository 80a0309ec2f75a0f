package platform

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// temporaryError is an error that may go away by itself.
type temporaryError struct{ error }

func (temporaryError) Temporary() bool { return true }

func (e temporaryError) Unwrap() error { return e.error }

// explain says what failed, why, and what to do about it. The names inside an
// error of package os are left out: they are those of temporary files. Room on a
// disk comes and goes: for lack of it one tries again.
func explain(doing string, err error) error {
	cause := err
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		cause = path.Err
	}
	if link := (*os.LinkError)(nil); errors.As(err, &link) {
		cause = link.Err
	}
	err = fmt.Errorf("%s: %w%s", doing, cause, advice(cause))
	if isDiskFull(cause) {
		return temporaryError{err}
	}
	return err
}

// IsDiskFull reports whether err is for lack of room, on the disk or in a quota.
func IsDiskFull(err error) bool { return isDiskFull(err) }

func advice(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ": create it, or name another one in the configuration"
	case errors.Is(err, fs.ErrPermission):
		return ": run this as root, or let this account read and write there"
	case isDiskFull(err):
		return ": the disk or the quota is full; make room there"
	case isReadOnly(err):
		return readOnlyHere()
	default:
		return ""
	}
}

const readOnlyMount = ": the file system is mounted read-only; mount it writable, or name another folder in the configuration"
