package platform

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/windows"
)

// openWithoutWaiting: no file in a folder makes its reader wait here.
const openWithoutWaiting = 0

const (
	settleFor  = 2 * time.Second
	settlePoll = 20 * time.Millisecond
)

func openFolder(path string) (*os.Root, error) { return os.OpenRoot(path) }

func makeFolder(path string, perm fs.FileMode) (*os.Root, error) {
	if err := os.MkdirAll(path, perm); err != nil {
		return nil, err
	}
	return os.OpenRoot(path)
}

// account is what an [Owner] is here: nothing.
type account struct{}

func ownerOf(fs.FileInfo) Owner { return Owner{account{}} }

// give does nothing: a file has the owner and the rights that its folder hands
// down. A mode could only make it read-only, and then not replaceable.
func give(*os.File, fs.FileMode, Owner) error { return nil }

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
