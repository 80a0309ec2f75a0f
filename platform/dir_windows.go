package platform

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// openWithoutWaiting: no file in a folder makes its reader wait here.
const openWithoutWaiting = 0

const (
	settleFor  = 2 * time.Second
	settlePoll = 20 * time.Millisecond
)

func openFolder(path string) (*os.Root, error) {
	if err := fileOnTheWay(path); err != nil {
		return nil, err
	}
	return os.OpenRoot(path)
}

// makeFolder gives its rights to the first folder that it makes; those in it
// inherit them.
func makeFolder(path string, perm fs.FileMode) (*os.Root, error) {
	if err := fileOnTheWay(path); err != nil {
		return nil, err
	}
	if rights := rightsOfFolder(perm); rights != "" {
		err := makeWithRights(firstMissing(path), rights)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	if err := os.MkdirAll(path, perm); err != nil {
		return nil, err
	}
	return os.OpenRoot(path)
}

// fileOnTheWay says which of path's folders is none: of a file there Windows says
// that the path can't be found.
func fileOnTheWay(path string) error {
	for {
		switch seen, err := os.Stat(path); {
		case err == nil && !seen.IsDir():
			return fmt.Errorf("%s: %w", path, notAFolder(seen.Mode()))
		case err == nil || filepath.Dir(path) == path:
			return nil
		}
		path = filepath.Dir(path)
	}
}

// firstMissing returns the first folder on the way to path that isn't there, or
// path where all are.
func firstMissing(path string) string {
	for {
		above := filepath.Dir(path)
		if _, err := os.Stat(above); above == path || !errors.Is(err, fs.ErrNotExist) {
			return path
		}
		path = above
	}
}

func makeWithRights(folder, rights string) error {
	text, err := windows.UTF16PtrFromString(folder)
	if err != nil {
		return err
	}
	security, err := securityOf(rights)
	if err == nil {
		err = windows.CreateDirectory(text, security)
	}
	if err != nil {
		return &fs.PathError{Op: "mkdir", Path: folder, Err: err}
	}
	return nil
}

// create makes the file name, with its rights from the beginning: whoever opens
// a file keeps it open when its rights are taken away. An os.Root can't do that,
// so it is done by the folder's path; what comes to lie in another folder, should
// one have taken its place, is no less well guarded, and isn't found again.
func (d *Dir) create(name string, perm fs.FileMode, owner Owner) (*os.File, error) {
	path := d.join(name)
	text, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	security, err := securityOf(rightsOfFile(perm, owner.agents))
	if err != nil {
		return nil, err
	}
	const shared = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	handle, err := windows.CreateFile(text, windows.GENERIC_READ|windows.GENERIC_WRITE, shared, security,
		windows.CREATE_NEW, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(handle), path), nil
}

// securityOf is nil, which is to inherit, where there are no rights of its own.
func securityOf(rights string) (*windows.SecurityAttributes, error) {
	if rights == "" {
		return nil, nil
	}
	descriptor, err := windows.SecurityDescriptorFromString(rights)
	if err != nil {
		return nil, err
	}
	security := &windows.SecurityAttributes{SecurityDescriptor: descriptor}
	security.Length = uint32(unsafe.Sizeof(*security))
	return security, nil
}

// account is what an [Owner] is here: whether it is that of the agent's folder.
type account struct{ agents bool }

func ownerOf(fs.FileInfo) Owner { return Owner{account{agents: true}} }

// give does nothing: a file is made with its rights. A mode could only make it
// read-only, and then not replaceable.
func give(*os.File, fs.FileMode, Owner) error { return nil }

func setMode(*os.File, fs.FileMode) error { return nil }

func refusePlanted(_, _ fs.FileInfo) error { return nil }

// syncFolder does nothing: a folder can't be flushed here, NTFS journals names.
func syncFolder(*os.Root) error { return nil }

// settle tries again for two seconds what Windows refuses while somebody else,
// often a virus scanner, has the file open.
func settle(do func() error) error {
	for end := time.Now().Add(settleFor); ; time.Sleep(settlePoll) {
		err := do()
		inUse := errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_ACCESS_DENIED)
		if !inUse || time.Now().After(end) {
			return err
		}
	}
}

func isDiskFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}

func isReadOnly(err error) bool { return errors.Is(err, windows.ERROR_WRITE_PROTECT) }
