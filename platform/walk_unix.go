//go:build unix

package platform

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxLinks is how many symbolic links are followed on the way to a folder, as
// many as Linux does.
const maxLinks = 40

// maker makes the folder name in parent; last says that it is the one wanted
// and not one on the way.
type maker func(parent *os.Root, name string, last bool) error

func openFolder(path string) (*os.Root, error) {
	return walk(path, func(*os.Root, string, bool) error { return fs.ErrNotExist })
}

func makeFolder(path string, perm fs.FileMode) (*os.Root, error) {
	return walk(path, func(parent *os.Root, name string, last bool) error {
		if last {
			return makeIn(parent, name, perm)
		}
		return makeIn(parent, name, 0o755)
	})
}

// walk goes to the folder at path by its path as far as that can be trusted,
// and from there on from folder to folder.
func walk(path string, missing maker) (*os.Root, error) {
	folder, rest, err := followTrusted(path)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	for i, name := range rest {
		next, err := enter(root, name)
		if errors.Is(err, fs.ErrNotExist) {
			next, err = makeAndEnter(root, name, i == len(rest)-1, missing)
		}
		_ = root.Close()
		if err != nil {
			return nil, err
		}
		root = next
	}
	return root, nil
}

func makeAndEnter(parent *os.Root, name string, last bool, missing maker) (*os.Root, error) {
	if err := missing(parent, name, last); err != nil {
		return nil, at(parent, name, err)
	}
	return enter(parent, name)
}

// followTrusted goes from "/" along path while only root and we ourselves can
// have put there what it finds, symbolic links included. It returns the folder
// it came to, without any link in its path, and the names that are left.
func followTrusted(path string) (folder string, rest []string, err error) {
	folder, rest = "/", elements(path)
	for links := 0; len(rest) > 0; {
		here := filepath.Join(folder, rest[0])
		// ".." only comes from a link's target. The folder's own path has no
		// links in it, so its parent is the one in its path.
		if rest[0] == ".." {
			folder, rest = here, rest[1:]
			continue
		}
		switch trustedMode(folder, here).Type() {
		case fs.ModeDir:
			folder, rest = here, rest[1:]
		case fs.ModeSymlink:
			if links++; links > maxLinks {
				return "", nil, fmt.Errorf("more than %d symbolic links on the way: name the folder that is meant in the configuration", maxLinks)
			}
			target, err := os.Readlink(here)
			if err != nil {
				return "", nil, err
			}
			if filepath.IsAbs(target) {
				folder = "/"
			}
			rest = slices.Concat(elements(target), rest[1:])
		default:
			return folder, rest, nil
		}
	}
	return folder, rest, nil
}

// trustedMode returns the mode of what is at path, directly in folder, or
// [fs.ModeIrregular] if it isn't there or somebody else can have put it there.
func trustedMode(folder, path string) fs.FileMode {
	parent, err := os.Lstat(folder)
	if err != nil {
		return fs.ModeIrregular
	}
	entry, err := os.Lstat(path)
	if err != nil || !settled(factsOf(parent), factsOf(entry), os.Geteuid()) {
		return fs.ModeIrregular
	}
	return entry.Mode()
}

func elements(path string) []string {
	return slices.DeleteFunc(strings.Split(path, "/"), func(name string) bool {
		return name == "" || name == "."
	})
}

// enter opens the folder name in parent and follows no link.
func enter(parent *os.Root, name string) (*os.Root, error) {
	seen, err := parent.Lstat(name)
	if err != nil {
		return nil, at(parent, name, err)
	}
	return enterSeen(parent, name, seen)
}

// enterSeen opens the folder name in parent if it still is the one that was
// seen: os.Root follows a link that stays inside parent.
func enterSeen(parent *os.Root, name string, seen fs.FileInfo) (*os.Root, error) {
	if seen.Mode()&fs.ModeSymlink != 0 {
		return nil, refuseLink(parent, name)
	}
	if !seen.IsDir() {
		return nil, at(parent, name, notAFolder(seen.Mode()))
	}
	// With "/." at its end the name is opened as a folder or not at all; without,
	// opening would wait for ever for a FIFO put in its place.
	next, err := parent.OpenRoot(name + "/.")
	if err != nil {
		return nil, at(parent, name, err)
	}
	now, err := next.Stat(".")
	if err == nil && !os.SameFile(seen, now) {
		err = temporaryError{errors.New("it was replaced while it was being opened: find out by whom, then try again")}
	}
	if err != nil {
		_ = next.Close()
		return nil, at(parent, name, err)
	}
	return next, nil
}

func refuseLink(parent *os.Root, name string) error {
	target, err := parent.Readlink(name)
	if err != nil {
		return at(parent, name, err)
	}
	return at(parent, name, fmt.Errorf("it is a symbolic link to %s, in a place where accounts other than root can make links: "+
		"name the folder itself in the configuration, not a link to it", target))
}

// at says where on the way to a folder something went wrong.
func at(parent *os.Root, name string, err error) error {
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		err = path.Err
	}
	return fmt.Errorf("%s: %w", filepath.Join(parent.Name(), name), err)
}

// makeIn makes the folder name in parent, with parent's owner. If there is one by
// now, it is left as it is.
func makeIn(parent *os.Root, name string, perm fs.FileMode) error {
	for range maxOpen {
		err := makeUnderWay(parent, name, perm)
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		// Another process, which makes it just now, has taken ours for a leftover.
		if _, err := parent.Lstat(name); err == nil {
			return nil
		}
	}
	return errReplaced
}

// makeUnderWay sets owner and mode before the folder has its name, so a crash
// between leaves none that the agent can't enter. A folder that is there under
// the other name isn't used: anybody may have made it.
func makeUnderWay(parent *os.Root, name string, perm fs.FileMode) error {
	temporary := temporaryName(name)
	switch err := parent.Remove(temporary); {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%s stands in the way and isn't empty: look what is in it, then remove it", temporary)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := attempt("mkdir", name, func() error { return parent.Mkdir(temporary, 0o700) }); err != nil {
		return err
	}
	err := inherit(parent, temporary, perm)
	if err == nil {
		err = attempt("rename", name, func() error { return parent.Rename(temporary, name) })
	}
	if err != nil {
		_ = parent.Remove(temporary)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(parent)
}

// inherit gives the new folder name to the owner of parent.
func inherit(parent *os.Root, name string, perm fs.FileMode) error {
	above, err := parent.Stat(".")
	if err != nil {
		return err
	}
	folder, err := enter(parent, name)
	if err != nil {
		return err
	}
	defer func() { _ = folder.Close() }()
	if err := refuseForeign(folder); err != nil {
		return err
	}
	f, err := folder.Open(".")
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return give(f, perm, ownerOf(above))
}

// refuseForeign reports an error unless the folder is empty. One who can write
// to its parent could have put another folder of root's in its place, to be
// given that one.
func refuseForeign(folder *os.Root) error {
	names, err := readNames(folder)
	if err != nil {
		return err
	}
	if len(names) > 0 {
		return fmt.Errorf("somebody put another folder in the place of the new one, %s: find out who can write there", folder.Name())
	}
	return nil
}
