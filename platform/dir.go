package platform

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Dir is an open folder in which files are replaced whole or not at all. It
// stays the folder that it was when it was opened, whatever somebody does to
// its path afterwards. Names are names in this folder, never paths.
//
// A Dir may be used by several goroutines at once.
type Dir struct {
	root *os.Root
	path string
}

// Owner is the account and group that a file belongs to. The zero Owner is the
// account that runs this program. Only root can give files away: in any other
// process every Owner means the zero one. On Windows any other one is the agent.
type Owner struct{ account }

// OpenDir opens the folder at path. If it isn't there, the error is
// [fs.ErrNotExist].
//
// Symbolic links on the way are followed as long as only root and this
// program's own account can have made them. Below a folder that anybody else
// can change none is: there a link could lead root to any place. Permissions
// are judged by owner and mode (a POSIX ACL that lets others write shows in
// the mode; an ACL of macOS or NFSv4 does not).
//
// On Windows path is opened as it is.
func OpenDir(path string) (*Dir, error) {
	return newDir("open", path, openFolder)
}

// MakeDir opens the folder at path as [OpenDir] does and makes what is missing
// of it. A new folder gets the owner of the folder it is made in, so a certs
// folder inside the agent's data folder becomes the agent's. The last folder
// gets exactly the mode perm, whatever the umask is, and folders made on the
// way get 0755. What exists is left as it is.
//
// Windows knows no such modes. There others can read a new folder, and not write
// to it, if perm lets them read; with any other perm it inherits its rights.
func MakeDir(path string, perm fs.FileMode) (*Dir, error) {
	return newDir("make", path, func(path string) (*os.Root, error) {
		return makeFolder(path, perm.Perm())
	})
}

func newDir(doing, path string, open func(string) (*os.Root, error)) (*Dir, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("%s the folder %s: %w: give its path from the root", doing, path, err)
	}
	root, err := open(absolute)
	if err != nil {
		return nil, explain(doing+" the folder "+absolute, err)
	}
	return &Dir{root, absolute}, nil
}

// Path returns the absolute path by which the folder was opened. It is for
// people: by now something else may be there.
func (d *Dir) Path() string { return d.path }

// Close closes the folder. Locks taken in it stay.
func (d *Dir) Close() error { return d.root.Close() }

// Owner returns the owner of the folder, on Windows the agent.
func (d *Dir) Owner() (Owner, error) {
	info, err := d.root.Stat(".")
	if err != nil {
		return Owner{}, explain("find the owner of the folder "+d.path, err)
	}
	return ownerOf(info), nil
}

// Names returns the names of everything in the folder, sorted. One that starts
// with ".icinga-enroll-" is a file being written, or left by a process that was
// killed while it wrote.
func (d *Dir) Names() ([]string, error) {
	names, err := readNames(d.root)
	if err != nil {
		return nil, explain("list the folder "+d.path, err)
	}
	slices.Sort(names)
	return names, nil
}

func readNames(root *os.Root) ([]string, error) {
	f, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return f.Readdirnames(-1)
}

// How far [Dir.Files] looks: further than any folder of an Icinga agent goes that
// people keep.
const (
	maxDepth = 8
	maxFiles = 10000
)

// Files returns the names of the files and the links in the folder and in those below
// it, from here and with slashes. It follows no link; what can't be read, and what a
// process has left that was killed, isn't among them, nor what is below maxDepth
// folders or beyond maxFiles files.
func (d *Dir) Files() (names []string) {
	_ = fs.WalkDir(d.root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case len(names) == maxFiles:
			return fs.SkipAll
		case err != nil:
			return nil //nolint:nilerr // as the comment says
		case entry.IsDir() && strings.Count(name, "/") >= maxDepth:
			return fs.SkipDir
		case entry.IsDir(), strings.HasPrefix(entry.Name(), temporaryPrefix):
			return nil
		case entry.Type().IsRegular(), entry.Type()&fs.ModeSymlink != 0:
			names = append(names, name)
		}
		return nil
	})
	return names
}

// Remove removes the file name for good: it is gone after a power cut, too.
// If there is none, that is no error. A symbolic link is removed itself.
func (d *Dir) Remove(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	err := d.remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = syncFolder(d.root)
	}
	if err != nil {
		return explain("remove "+d.join(name), err)
	}
	return nil
}

// Public reports whether accounts other than the file's owner and group may read
// or change it. On Windows the mode doesn't tell.
func (d *Dir) Public(name string) (bool, error) {
	info, err := d.root.Lstat(name)
	if err != nil {
		return false, explain("look at "+d.join(name), err)
	}
	return info.Mode().Perm()&0o007 != 0 && runtime.GOOS != "windows", nil
}

// Leftovers returns the names of the files that processes have left here which
// were killed while they wrote, and of those that are being written. They may hold
// keys.
func (d *Dir) Leftovers() ([]string, error) {
	names, err := d.Names()
	return slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, temporaryPrefix) }), err
}

// Sweep removes the leftovers. Nobody may be writing meanwhile.
func (d *Dir) Sweep() error {
	names, err := d.Leftovers()
	for _, name := range names {
		if err == nil {
			err = d.Remove(name)
		}
	}
	return err
}

// join returns the path of name for messages.
func (d *Dir) join(name string) string { return filepath.Join(d.path, name) }

// checkName refuses whatever is not one element of a path on every operating
// system.
func checkName(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\\\x00") {
		return fmt.Errorf("%q can't be the name of a file: use a name that is not empty, no dots alone, and without slashes", name)
	}
	return nil
}
