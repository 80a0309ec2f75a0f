//go:build unix

package platform

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// openWithoutWaiting lets a FIFO be opened at once.
const openWithoutWaiting = syscall.O_NONBLOCK

// account is what an [Owner] is here.
type account struct {
	uid, gid int
	given    bool
}

func ownerOf(info fs.FileInfo) Owner {
	stat := info.Sys().(*syscall.Stat_t)
	return Owner{account{uid: int(stat.Uid), gid: int(stat.Gid), given: true}}
}

// create makes the file name; owner and exact mode are for give.
func (d *Dir) create(name string, perm fs.FileMode, _ Owner) (f *os.File, err error) {
	err = attempt("create", name, func() error {
		f, err = d.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, perm)
		return err
	})
	return f, err
}

// give sets the owner, then the mode: a change of owner takes bits away from
// the mode.
func give(f *os.File, perm fs.FileMode, owner Owner) error {
	if owner.given && os.Geteuid() == 0 {
		if err := attempt("chown", filepath.Base(f.Name()), func() error { return f.Chown(owner.uid, owner.gid) }); err != nil {
			return err
		}
	}
	return attempt("chmod", filepath.Base(f.Name()), func() error { return f.Chmod(perm) })
}

// setMode changes a mode that is another one.
func setMode(f *os.File, perm fs.FileMode) error {
	info, err := f.Stat()
	if err != nil || info.Mode().Perm() == perm {
		return err
	}
	return attempt("chmod", filepath.Base(f.Name()), func() error { return f.Chmod(perm) })
}

// syncFolder writes the names in a folder to the disk. Some file systems
// (FUSE, network) can't and say so; there is nothing to be done about it.
func syncFolder(root *os.Root) error {
	f, err := root.Open(".")
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	err = attempt("sync", root.Name(), f.Sync)
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		return nil
	}
	return err
}

// settle does what on Windows has to be tried several times.
func settle(do func() error) error { return do() }

func isDiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

func isReadOnly(err error) bool { return errors.Is(err, syscall.EROFS) }
