//go:build unix

package platform

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Guarded reports an error if an account other than root can change the file at
// path, or put another in its place: then it decides what root believes or runs.
// What isn't there is in nobody's hands. To any other account than root that is
// no matter: it has its own rights only.
func Guarded(path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil && !info.Mode().IsRegular() && info.Mode()&fs.ModeSocket == 0: // its rights are as they must be, /dev/null's or /tmp's
		return fmt.Errorf("%s is %s, not a regular file: name another one", path, kind(info.Mode()))
	}
	folder, rest, err := followTrusted(path)
	if err != nil || len(rest) == 0 {
		return err
	}
	return guardedIn(folder, rest[0], path)
}

// GuardedFolder is [Guarded] for a folder, in which nobody else can put files either.
func GuardedFolder(path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	folder, rest, err := followTrusted(path)
	switch {
	case err != nil:
		return err
	case len(rest) == 0:
		return onlyRoots(folder)
	}
	return guardedIn(folder, rest[0], path)
}

// guardedIn is about what is in a folder to which the way to path can be trusted.
func guardedIn(folder, name, path string) error {
	at := filepath.Join(folder, name)
	if trustedMode(folder, at) != fs.ModeIrregular {
		return onlyRoots(at)
	}
	above, err := os.Lstat(folder)
	if err == nil && above.Mode()&fs.ModeSticky == 0 {
		err = onlyRoots(folder)
	}
	if err != nil {
		return fmt.Errorf("another account could put its own in the place of %s: %w", path, err)
	}
	if err := onlyRoots(at); err != nil {
		return err
	}
	return fmt.Errorf("%s is a second name of a file or a link in a folder that every account can write to: take a file elsewhere", at)
}

// onlyRoots says what gives another account than root the right to change what
// is at path, which is no link.
func onlyRoots(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	of := factsOf(info)
	switch {
	case of.uid != 0:
		return fmt.Errorf("%s belongs to uid %d, and this runs as root: run chown root %[1]s, or use another one", path, of.uid)
	case of.shared() && of.mode&fs.ModeSocket == 0: // who may write to a socket may talk to it
		return fmt.Errorf("%s can be changed by others than root: run chmod go-w %[1]s, or use another one", path)
	}
	return nil
}
