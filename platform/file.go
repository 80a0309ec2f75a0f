package platform

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
)

const (
	// maxFile is the size in bytes above which a file is not read. Keys,
	// certificates and states have a few KiB.
	maxFile = 1 << 20

	// temporaryPrefix says to an administrator who left such a file.
	temporaryPrefix = ".icinga-enroll-"

	// maxOpen is how often a file is opened anew since it was replaced just
	// then. Nobody replaces a file that fast by accident.
	maxOpen = 100
)

// errReplaced says that a file was replaced between two looks at it.
var errReplaced = errors.New("it is being replaced all the time: find out by whom, then try again")

// ReadFile returns what is in the file name. It must be a regular file of at
// most 1 MiB: a symbolic link is not followed and a FIFO, device or socket not
// opened, so reading never hangs. If there is no such file, the error is
// [fs.ErrNotExist].
//
// A file with several names (hard links) is refused where somebody else could
// have put the second name there: if the file isn't the folder owner's, or
// accounts other than the owner can write to the folder. Else root would read
// a file for an account that must not.
func (d *Dir) ReadFile(name string) ([]byte, error) {
	f, err := d.openRegular(name, os.O_RDONLY)
	if err != nil {
		return nil, explain("read "+d.join(name), err)
	}
	return readWhole(f, d.join(name))
}

// ReadFile returns what is in a regular file of at most 1 MiB that the operator has
// named: a symbolic link is followed, but nothing else is opened in its place that
// could be waited for.
func ReadFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|openWithoutWaiting, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is %s, not a regular file", path, kind(info.Mode()))
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return readWhole(f, path)
}

// readWhole closes f.
func readWhole(f *os.File, path string) ([]byte, error) {
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, explain("read "+path, err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("read %s: it is larger than %d bytes, so it can't be what it should: look what it is and move it away", path, maxFile)
	}
	return data, nil
}

// openRegular opens the regular file name and nothing else that has, or gets
// meanwhile, its name.
func (d *Dir) openRegular(name string, flag int) (*os.File, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	for range maxOpen {
		seen, err := d.root.Lstat(name)
		if err != nil {
			return nil, err
		}
		f, err := d.openSeen(name, seen, flag)
		if !errors.Is(err, errReplaced) {
			return f, err
		}
	}
	return nil, errReplaced
}

// openSeen opens the file name if it still is the one that was seen. os.Root
// follows a symbolic link that stays inside the folder, whatever the flags say;
// a link put there meanwhile shows in that another file gets opened.
func (d *Dir) openSeen(name string, seen fs.FileInfo, flag int) (*os.File, error) {
	if !seen.Mode().IsRegular() {
		return nil, fmt.Errorf("it is %s, not a regular file: look who made it, then remove it", kind(seen.Mode()))
	}
	f, err := d.root.OpenFile(name, flag|openWithoutWaiting, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errReplaced
	}
	if err != nil {
		return nil, err
	}
	if err := d.check(f, seen); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// check reports whether f is the file that was seen, and no other account's.
func (d *Dir) check(f *os.File, seen fs.FileInfo) error {
	now, err := f.Stat()
	if err != nil {
		return err
	}
	// The number of a file that is gone is given to the next one, of any kind.
	if !os.SameFile(seen, now) || !now.Mode().IsRegular() {
		return errReplaced
	}
	folder, err := d.root.Stat(".")
	if err != nil {
		return err
	}
	return refusePlanted(folder, now)
}

// notAFolder says what is where a folder should be, and what to do about it.
func notAFolder(mode fs.FileMode) error {
	return fmt.Errorf("it is %s, not a folder: move it away, or name another folder in the configuration", kind(mode))
}

// kind names a kind of file for people.
func kind(mode fs.FileMode) string {
	switch mode.Type() {
	case 0:
		return "a regular file"
	case fs.ModeDir:
		return "a folder"
	case fs.ModeSymlink:
		return "a symbolic link"
	case fs.ModeNamedPipe:
		return "a FIFO"
	case fs.ModeSocket:
		return "a socket"
	default:
		return "a device"
	}
}

// WriteFile makes the file name with the given contents, mode and owner, or
// replaces the one there is. Whoever opens it sees the old file or the new one,
// never anything between, after a power cut too. It has its mode, whatever the
// umask is, and its owner before it has its name. A symbolic link of that name
// is replaced, not followed.
//
// On Windows a mode that lets others read it means the accounts in Users, any
// other mode SYSTEM, Administrators, the account that runs this and, where
// owner is the folder's, the agent's; the agent's files that others may read
// inherit their rights.
//
// If it fails, the old file is untouched and nothing else is left, with one
// exception: when the last step, writing the folder to the disk, is what
// failed, the new file is in place but may be lost in a power cut.
func (d *Dir) WriteFile(name string, data []byte, perm fs.FileMode, owner Owner) error {
	if err := checkName(name); err != nil {
		return err
	}
	if err := d.replace(name, temporaryPrefix+rand.Text(), data, perm.Perm(), owner, durable); err != nil {
		return explain("write "+d.join(name), err)
	}
	if err := syncFolder(d.root); err != nil {
		return explain("write "+d.join(name), err)
	}
	return nil
}

// CreateFile makes the file name, which may not be there in any form: else the
// error is [fs.ErrExist], and nothing is changed. If it fails later, nothing is
// left.
func (d *Dir) CreateFile(name string, data []byte, perm fs.FileMode) error {
	if err := checkName(name); err != nil {
		return err
	}
	f, err := d.create(name, perm.Perm(), Owner{})
	if err != nil {
		return explain("make "+d.join(name), err)
	}
	if err = fill(f, bytes.NewReader(data), perm.Perm(), Owner{}); err == nil {
		err = durable(f)
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = syncFolder(d.root)
	}
	if err != nil {
		_ = d.root.Remove(name)
		return explain("make "+d.join(name), err)
	}
	return nil
}

// WriteFleeting is WriteFile for what may be lost in a power cut, but must not
// be seen half written: the disk isn't waited for. The folder need not be swept:
// what a killed process has left of the file goes when it is written again. No
// other process may be writing it.
func (d *Dir) WriteFleeting(name string, data []byte, perm fs.FileMode) error {
	if err := checkName(name); err != nil {
		return err
	}
	temporary := temporaryName(name)
	err := d.root.Remove(temporary)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = d.replace(name, temporary, data, perm.Perm(), Owner{}, fleeting)
	}
	if err != nil {
		return explain("write "+d.join(name), err)
	}
	return nil
}

// Empty leaves nothing in the file name, whose owner and rights stay: on the
// disk, before it returns, and under every other name that the file has.
func (d *Dir) Empty(name string) error {
	f, err := d.openRegular(name, os.O_WRONLY)
	if err == nil {
		if err = attempt("truncate", name, func() error { return f.Truncate(0) }); err == nil {
			err = durable(f)
		}
		_ = f.Close() // what was to be written is on the disk
	}
	if err != nil {
		return explain("empty "+d.join(name), err)
	}
	return nil
}

// temporaryName is what the next process finds where one was killed before it had
// made name.
func temporaryName(name string) string { return temporaryPrefix + name }

func (d *Dir) replace(name, temporary string, data []byte, perm fs.FileMode, owner Owner, finish func(*os.File) error) error {
	if len(data) > maxFile {
		return fmt.Errorf("it would have %d bytes, and more than %d are not read again: what it is made from is larger than it can be in earnest", len(data), maxFile)
	}
	if err := d.writeTemporary(temporary, bytes.NewReader(data), perm, owner, finish); err != nil {
		return err
	}
	if err := d.rename(temporary, name); err != nil {
		_ = d.root.Remove(temporary)
		return err
	}
	return nil
}

func (d *Dir) rename(from, to string) error {
	return attempt("rename", to, func() error { return settle(func() error { return d.root.Rename(from, to) }) })
}

func (d *Dir) remove(name string) error {
	return attempt("remove", name, func() error { return settle(func() error { return d.root.Remove(name) }) })
}

// durable and fleeting are what is done with a file before it gets its name.
func durable(f *os.File) error { return attempt("sync", filepath.Base(f.Name()), f.Sync) }

func fleeting(*os.File) error { return nil }

// writeTemporary makes a file. It leaves nothing if it fails.
func (d *Dir) writeTemporary(name string, data io.Reader, perm fs.FileMode, owner Owner, finish func(*os.File) error) error {
	f, err := d.create(name, perm, owner)
	if err != nil {
		return err
	}
	if err = fill(f, data, perm, owner); err == nil {
		err = finish(f)
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		_ = d.root.Remove(name)
	}
	return err
}

// fill sets owner and mode first, so that the contents are never readable to
// anybody who mustn't read them.
func fill(f *os.File, data io.Reader, perm fs.FileMode, owner Owner) error {
	if err := give(f, perm, owner); err != nil {
		return err
	}
	_, err := io.Copy(contents(f), data)
	return err
}

// Probe reports whether a file of size bytes can be written here now, by
// writing one and removing it. The error says which of a full disk, a
// read-only file system or a lack of permission it is, and what to do.
func (d *Dir) Probe(size int64) error {
	release, err := d.Reserve(size)
	if err == nil {
		err = release()
	}
	return err
}

// Reserve is Probe that keeps the room, so that nobody else takes it before
// release is called. What a killed process has kept is removed by [Dir.Sweep].
func (d *Dir) Reserve(size int64) (release func() error, err error) {
	explained := func(err error) error {
		if err == nil {
			return nil
		}
		return explain(fmt.Sprintf("try whether %d bytes can be written in %s", size, d.path), err)
	}
	// Random bytes, since a file system may store zeros in no space at all; not
	// the kernel's, which are many times as dear.
	var seed [32]byte
	_, _ = rand.Read(seed[:])
	name := temporaryPrefix + rand.Text()
	if err := d.writeTemporary(name, io.LimitReader(mathrand.NewChaCha8(seed), size), 0o600, Owner{}, durable); err != nil {
		return nil, explained(err)
	}
	return func() error { return explained(d.remove(name)) }, nil
}

// IsSameFile reports whether two paths lead to one file or folder that is there.
func IsSameFile(one, other string) bool {
	a, aerr := os.Stat(one)
	b, berr := os.Stat(other)
	return aerr == nil && berr == nil && os.SameFile(a, b)
}
