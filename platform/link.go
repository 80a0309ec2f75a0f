package platform

import (
	"crypto/rand"
	"fmt"
	"io/fs"
	"os"
)

// Link returns where the symbolic link name points to, and "" where name is
// something else. If it isn't there, the error is [fs.ErrNotExist].
func (d *Dir) Link(name string) (target string, err error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	info, err := d.root.Lstat(name)
	if err == nil && info.Mode().Type() != fs.ModeSymlink {
		return "", nil
	}
	if err == nil {
		target, err = d.root.Readlink(name)
	}
	if err != nil {
		return "", explain("read "+d.join(name), err)
	}
	return target, nil
}

// LinkOf returns where the symbolic link name points to, and whose it is, as
// [Dir.Foreign] does. An error says so where something else is in its place, or
// was put there meanwhile.
func (d *Dir) LinkOf(name string) (target, account string, err error) {
	if err := checkName(name); err != nil {
		return "", "", err
	}
	seen, err := d.root.Lstat(name)
	if err == nil {
		target, err = d.root.Readlink(name)
	}
	if err != nil {
		return "", "", explain("read "+d.join(name), err)
	}
	if now, err := d.root.Lstat(name); err != nil || !os.SameFile(seen, now) {
		return "", "", explain("read "+d.join(name), temporaryError{errReplaced})
	}
	return target, foreignOwner(seen), nil
}

// WriteLink makes name a symbolic link to target, or replaces what has the name.
func (d *Dir) WriteLink(name, target string) error {
	if err := checkName(name); err != nil {
		return err
	}
	temporary := temporaryPrefix + rand.Text()
	err := attempt("symlink", name, func() error { return d.root.Symlink(target, temporary) })
	if err == nil {
		if err = d.rename(temporary, name); err != nil {
			_ = d.root.Remove(temporary)
		}
	}
	if err == nil {
		err = syncFolder(d.root)
	}
	if err != nil {
		return explain(fmt.Sprintf("make %s a link to %s", d.join(name), target), err)
	}
	return nil
}

// Attributes returns kind, mode and owner of the file name; of a symbolic link
// its own. If it isn't there, the error is [fs.ErrNotExist].
func (d *Dir) Attributes(name string) (fs.FileMode, Owner, error) {
	info, err := d.root.Lstat(name)
	if err != nil {
		return 0, Owner{}, explain("look at "+d.join(name), err)
	}
	return info.Mode(), ownerOf(info), nil
}

// Give makes the folder owner's, as far as this process may.
func (d *Dir) Give(owner Owner) error {
	f, err := d.root.Open(".")
	if err == nil {
		defer func() { _ = f.Close() }()
		var info fs.FileInfo
		if info, err = f.Stat(); err == nil {
			err = give(f, info.Mode().Perm(), owner)
		}
	}
	if err != nil {
		return explain("give the folder "+d.path+" to another account", err)
	}
	return nil
}

// RemoveAll removes name with all that is in it, and follows no link in there.
// If there is none, that is no error.
func (d *Dir) RemoveAll(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if err := attempt("remove", name, func() error { return d.root.RemoveAll(name) }); err != nil {
		return explain("remove "+d.join(name), err)
	}
	return nil
}
