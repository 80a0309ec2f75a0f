//go:build unix

package platform

import (
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

func TestSettled(t *testing.T) {
	const me, agent = 1000, 112
	link := facts{uid: agent, mode: fs.ModeSymlink | 0o777}
	by := func(uid int, entry facts) facts { entry.uid = uid; return entry }
	linked := func(entry facts) facts { entry.linked = true; return entry }
	folder := facts{mode: fs.ModeDir | 0o755, linked: true}
	sticky := fs.ModeSticky | 0o777
	for _, test := range []struct {
		what          string
		uid           int
		mode          fs.FileMode
		entry         facts
		asRoot, asOne bool
	}{
		{"root's folder", 0, 0o755, link, true, true},
		{"my folder", me, 0o755, link, false, true},
		{"the agent's folder", agent, 0o700, by(0, link), false, false},
		{"root's, writable for a group", 0, 0o775, by(0, link), false, false},
		{"root's, writable for all", 0, 0o757, by(0, link), false, false},
		{"sticky, root's link", 0, sticky, by(0, link), true, true},
		{"sticky, my link", 0, sticky, by(me, link), false, true},
		{"sticky, the agent's link", 0, sticky, link, false, false},
		{"sticky, second name for root's link", 0, sticky, linked(by(0, link)), false, false},
		{"sticky, root's folder", 0, sticky, by(0, folder), true, true},
		{"sticky, the agent's folder", 0, sticky, by(agent, folder), false, false},
		{"the agent's sticky folder", agent, sticky, by(0, link), false, false},
	} {
		in := facts{uid: test.uid, mode: fs.ModeDir | test.mode}
		if got := settled(in, test.entry, 0); got != test.asRoot {
			t.Errorf("%s: got %v as root", test.what, got)
		}
		if got := settled(in, test.entry, me); got != test.asOne {
			t.Errorf("%s: got %v as uid %d", test.what, got, me)
		}
	}
}

func TestOwnLinksAreFollowed(t *testing.T) {
	path := ownFolder(t)
	must(t,
		os.MkdirAll(filepath.Join(path, "real", "folder"), 0o755),
		os.MkdirAll(filepath.Join(path, "links", "below"), 0o755),
		os.Symlink(filepath.Join(path, "real"), filepath.Join(path, "links", "absolute")),
		os.Symlink("../../real/./folder/../folder", filepath.Join(path, "links", "below", "relative")),
		os.Symlink("below/relative", filepath.Join(path, "links", "twice")),
		os.Mkdir(filepath.Join(path, "open"), 0o755), os.Chmod(filepath.Join(path, "open"), 0o777),
		os.Symlink("../open/../real/folder", filepath.Join(path, "links", "back")),
		// The kernel's "..", not that of the text: two folders up from "folder".
		os.Symlink("below/relative/../../real/folder", filepath.Join(path, "links", "up")),
	)
	write(t, openDir(t, filepath.Join(path, "real", "folder")), "file", "text")
	for _, way := range []string{"absolute/folder", "below/relative", "twice", "back", "up", "absolute/../absolute/folder"} {
		d := openDir(t, filepath.Join(path, "links")+"/"+way)
		if got := read(t, d, "file"); got != "text" {
			t.Errorf("%s: got %q", way, got)
		}
	}
}

func TestLinksInACircle(t *testing.T) {
	path := ownFolder(t)
	must(t, os.Symlink("b", filepath.Join(path, "a")), os.Symlink("a", filepath.Join(path, "b")))
	_, err := OpenDir(filepath.Join(path, "a"))
	wantError(t, err, "more than 40 symbolic links")
}

// sharedFolder returns a folder that somebody else could have put links in, and
// one elsewhere to link to.
func sharedFolder(t *testing.T) (shared, elsewhere string) {
	t.Helper()
	shared, elsewhere = filepath.Join(ownFolder(t), "shared"), ownFolder(t)
	must(t, os.Mkdir(shared, 0o755), os.Chmod(shared, 0o777))
	return shared, elsewhere
}

func TestOthersLinksAreRefused(t *testing.T) {
	shared, elsewhere := sharedFolder(t)
	must(t,
		os.Mkdir(filepath.Join(shared, "folder"), 0o755),
		os.Mkdir(filepath.Join(elsewhere, "certs"), 0o755),
		os.Symlink(elsewhere, filepath.Join(shared, "out")),
		os.Symlink("folder", filepath.Join(shared, "inside")),
		os.Symlink(elsewhere, filepath.Join(shared, "folder", "out")),
	)
	for _, way := range []string{"out", "out/certs", "inside", "folder/out", "folder/out/certs"} {
		_, opened := OpenDir(filepath.Join(shared, way))
		_, made := MakeDir(filepath.Join(shared, way), 0o755)
		_, below := MakeDir(filepath.Join(shared, way, "new"), 0o755)
		for _, err := range []error{opened, made, below} {
			wantError(t, err, "is a symbolic link to", "name the folder itself")
		}
	}
	wantNames(t, openDir(t, elsewhere), "certs")
	wantNames(t, openDir(t, filepath.Join(shared, "folder")), "out")
}

func TestFoldersOfOthersAreUsed(t *testing.T) {
	shared, _ := sharedFolder(t)
	d, err := MakeDir(filepath.Join(shared, "a", "b"), 0o700)
	must(t, err)
	defer func() { _ = d.Close() }()
	write(t, d, "file", "text")
	if got := read(t, openDir(t, filepath.Join(shared, "a", "b")), "file"); got != "text" {
		t.Errorf("got %q", got)
	}
	wantNames(t, openDir(t, shared), "a")
}

// The operator's file may be in a folder of somebody who wants it to take for ever.
func TestAFileThatIsNamedIsReadToItsEnd(t *testing.T) {
	dir := ownFolder(t)
	file, fifo, huge, link := filepath.Join(dir, "file"), filepath.Join(dir, "fifo"), filepath.Join(dir, "huge"), filepath.Join(dir, "link")
	must(t, os.WriteFile(file, []byte("text"), 0o600), syscall.Mkfifo(fifo, 0o600), os.WriteFile(huge, nil, 0o600), os.Truncate(huge, 900<<30), os.Symlink(file, link))
	for _, path := range []string{file, link} {
		if data, err := ReadFile(path); err != nil || string(data) != "text" {
			t.Errorf("%s: %q, %v", path, data, err)
		}
	}
	_, err := ReadFile(fifo)
	wantError(t, err, fifo+" is a FIFO, not a regular file")
	_, err = ReadFile(huge)
	wantError(t, err, huge, "larger than")
}

func TestFolderSwappedWhileEntered(t *testing.T) {
	path, elsewhere := ownFolder(t), ownFolder(t)
	folder := filepath.Join(path, "folder")
	parent, err := os.OpenRoot(path)
	must(t, err)
	defer func() { _ = parent.Close() }()
	for what, swap := range map[string]func() error{
		"for another folder": func() error { return os.Mkdir(folder, 0o755) },
		"for a link inside":  func() error { return os.Symlink("kept", folder) },
		"for a link outside": func() error { return os.Symlink(elsewhere, folder) },
		"for a FIFO":         func() error { return syscall.Mkfifo(folder, 0o600) },
	} {
		kept := filepath.Join(path, "kept")
		must(t, os.Mkdir(folder, 0o755))
		seen, err := parent.Lstat("folder")
		// It is kept, so that the new one can't get the same inode.
		must(t, err, os.Rename(folder, kept))
		if what == "for a link inside" {
			must(t, os.Rename(kept, kept+"2"), os.Mkdir(kept, 0o755))
		}
		must(t, swap())
		if root, err := enterSeen(parent, "folder", seen); err == nil {
			t.Errorf("%s: entered %s", what, root.Name())
		}
		must(t, os.RemoveAll(folder), os.RemoveAll(kept), os.RemoveAll(kept+"2"))
	}
}

func TestAnotherFolderIsNotGivenAway(t *testing.T) {
	path := ownFolder(t)
	must(t, os.MkdirAll(filepath.Join(path, "new", "precious"), 0o700), os.Chmod(filepath.Join(path, "new"), 0o700))
	parent, err := os.OpenRoot(path)
	must(t, err)
	defer func() { _ = parent.Close() }()
	wantError(t, inherit(parent, "new", 0o777), "another folder in the place of the new one")
	wantMode(t, filepath.Join(path, "new"), 0o700)
}

func TestFolderMadeMeanwhileIsKept(t *testing.T) {
	path := ownFolder(t)
	must(t, os.MkdirAll(filepath.Join(path, "name", "inside"), 0o701))
	parent, err := os.OpenRoot(path)
	must(t, err)
	defer func() { _ = parent.Close() }()
	must(t, makeIn(parent, "name", 0o777))
	wantNames(t, openDir(t, path), "name")
	wantNames(t, openDir(t, filepath.Join(path, "name")), "inside")
}

// A process that was killed while it made a folder has left one of another name.
func TestFolderLeftHalfMadeIsRemoved(t *testing.T) {
	path := ownFolder(t)
	parent, err := os.OpenRoot(path)
	must(t, err)
	defer func() { _ = parent.Close() }()
	must(t, parent.Mkdir(temporaryName("name"), 0o700))
	d, err := MakeDir(filepath.Join(path, "name"), 0o750)
	must(t, err, d.Close())
	wantNames(t, openDir(t, path), "name")
	wantMode(t, filepath.Join(path, "name"), 0o750)
}

func TestFullFolderInTheWayIsLeftAlone(t *testing.T) {
	path := ownFolder(t)
	must(t, os.MkdirAll(filepath.Join(path, temporaryName("name"), "precious"), 0o700))
	_, err := MakeDir(filepath.Join(path, "name"), 0o750)
	wantError(t, err, filepath.Join(path, "name")+": ", "stands in the way", "remove it")
	wantNames(t, openDir(t, filepath.Join(path, temporaryName("name"))), "precious")
}

// The service and a command may start at the same moment.
func TestFolderMadeByManyAtOnce(t *testing.T) {
	path := ownFolder(t)
	var makers sync.WaitGroup
	for range 200 {
		makers.Go(func() {
			d, err := MakeDir(filepath.Join(path, "a", "b"), 0o750)
			if err != nil {
				t.Error(err)
				return
			}
			_ = d.Close()
		})
	}
	makers.Wait()
	wantNames(t, openDir(t, path), "a")
	wantNames(t, openDir(t, filepath.Join(path, "a")), "b")
}
