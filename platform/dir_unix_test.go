//go:build unix

package platform

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func wantMode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	info, err := os.Lstat(path)
	must(t, err)
	if got := info.Mode().Perm(); got != want {
		t.Errorf("%s has mode %o, want %o", path, got, want)
	}
}

func TestModesAreExact(t *testing.T) {
	path := ownFolder(t)
	d := openDir(t, path)
	for _, mask := range []int{0, 0o027, 0o077} {
		old := syscall.Umask(mask)
		public := d.WriteFile("public", nil, 0o644, Owner{})
		private := d.WriteFile("private", nil, 0o600, Owner{})
		made, err := MakeDir(filepath.Join(path, "way", "folder"), 0o750)
		syscall.Umask(old)
		must(t, public, private, err)
		must(t, made.Close())
		wantMode(t, filepath.Join(path, "public"), 0o644)
		wantMode(t, filepath.Join(path, "private"), 0o600)
		wantMode(t, filepath.Join(path, "way"), 0o755)
		wantMode(t, filepath.Join(path, "way", "folder"), 0o750)
		must(t, os.RemoveAll(filepath.Join(path, "way")))
	}
}

func TestMakeDirLeavesWhatExists(t *testing.T) {
	path := filepath.Join(ownFolder(t), "folder")
	must(t, os.Mkdir(path, 0o700), os.Chmod(path, 0o701))
	d, err := MakeDir(path, 0o750)
	must(t, err)
	must(t, d.Close())
	wantMode(t, path, 0o701)
}

func TestPlantedLinkIsReplacedNotFollowed(t *testing.T) {
	path := ownFolder(t)
	d := openDir(t, path)
	for _, target := range []string{filepath.Join(t.TempDir(), "victim"), filepath.Join(path, "victim")} {
		link := filepath.Join(path, "name")
		must(t, os.WriteFile(target, []byte("precious"), 0o600), os.Symlink(target, link))

		_, err := d.ReadFile("name")
		wantError(t, err, "a symbolic link, not a regular file")
		_, err = d.Lock(t.Context(), "name")
		wantError(t, err, "a symbolic link, not a regular file")

		write(t, d, "name", "new")
		if got := read(t, d, "name"); got != "new" {
			t.Errorf("got %q", got)
		}
		if got, err := os.ReadFile(target); string(got) != "precious" {
			t.Errorf("the link's target became %q (%v)", got, err)
		}
		must(t, d.Remove("name"))
	}
}

func TestLinkIsRemovedNotItsTarget(t *testing.T) {
	path := ownFolder(t)
	d := openDir(t, path)
	write(t, d, "victim", "precious")
	must(t, os.Symlink("victim", filepath.Join(path, "name")), d.Remove("name"))
	wantNames(t, d, "victim")
}

func TestReadingNeverHangs(t *testing.T) {
	path := ownFolder(t)
	d := openDir(t, path)
	write(t, d, "file", "")
	seen, err := d.root.Lstat("file")
	must(t, err, os.Remove(filepath.Join(path, "file")))
	must(t, syscall.Mkfifo(filepath.Join(path, "file"), 0o600), os.Mkdir(filepath.Join(path, "folder"), 0o700))

	_, err = d.ReadFile("file")
	wantError(t, err, "a FIFO, not a regular file")
	_, err = d.ReadFile("folder")
	wantError(t, err, "a folder, not a regular file")
	// It became a FIFO after it was looked at.
	if _, err = d.openSeen("file", seen, os.O_RDONLY); !errors.Is(err, errReplaced) {
		t.Errorf("got %v", err)
	}
}

func TestFileSwappedForALinkIsNotRead(t *testing.T) {
	path := ownFolder(t)
	d := openDir(t, path)
	write(t, d, "secret", "of somebody else")
	write(t, d, "file", "")
	seen, err := d.root.Lstat("file")
	must(t, err, d.Remove("file"), os.Symlink("secret", filepath.Join(path, "file")))
	if _, err = d.openSeen("file", seen, os.O_RDONLY); !errors.Is(err, errReplaced) {
		t.Errorf("got %v", err)
	}
}

func TestPlantedHardLink(t *testing.T) {
	private := facts{uid: 0, mode: 0o755}
	agents := facts{uid: 112, mode: 0o750}
	shared := facts{uid: 112, mode: 0o770}
	for _, test := range []struct {
		what         string
		folder, file facts
		want         bool
	}{
		{"one name", shared, facts{uid: 0}, false},
		{"root's file in root's folder", private, facts{uid: 0, linked: true}, false},
		{"the agent's own file", agents, facts{uid: 112, linked: true}, false},
		{"root's file in the agent's folder", agents, facts{uid: 0, linked: true}, true},
		{"anybody's file in a shared folder", shared, facts{uid: 112, linked: true}, true},
	} {
		if got := planted(test.folder, test.file); got != test.want {
			t.Errorf("%s: got %v", test.what, got)
		}
	}
}

func TestHardLinkInASharedFolderIsRefused(t *testing.T) {
	path := ownFolder(t)
	d := openDir(t, path)
	write(t, d, "precious", "text")
	must(t, os.Link(filepath.Join(path, "precious"), filepath.Join(path, "name")))
	if got := read(t, d, "name"); got != "text" {
		t.Errorf("got %q", got)
	}
	must(t, os.Chmod(path, 0o777))
	_, err := d.ReadFile("name")
	wantError(t, err, "several names (hard links)")
	_, err = d.Lock(t.Context(), "name")
	wantError(t, err, "several names (hard links)")
	if got, err := os.ReadFile(filepath.Join(path, "precious")); string(got) != "text" {
		t.Errorf("the file became %q (%v)", got, err)
	}
}

func TestDirStaysTheFolderItWas(t *testing.T) {
	path, elsewhere := ownFolder(t), ownFolder(t)
	folder, moved := filepath.Join(path, "folder"), filepath.Join(path, "moved")
	must(t, os.Mkdir(folder, 0o755))
	d := openDir(t, folder)
	must(t, os.Rename(folder, moved), os.Symlink(elsewhere, folder))
	write(t, d, "file", "text")
	if got := read(t, openDir(t, moved), "file"); got != "text" {
		t.Errorf("got %q", got)
	}
	wantNames(t, openDir(t, elsewhere))
}

// A folder that is gone can't be written by root either.
func TestProbeSaysWhatIsWrong(t *testing.T) {
	path := filepath.Join(ownFolder(t), "folder")
	must(t, os.Mkdir(path, 0o700))
	d := openDir(t, path)
	must(t, os.Remove(path))
	wantError(t, d.Probe(10), "try whether 10 bytes can be written in "+path, "no such file", "create it")
}

func TestAdvice(t *testing.T) {
	for errno, want := range map[syscall.Errno]string{
		syscall.ENOSPC: "make room",
		syscall.EDQUOT: "make room",
		syscall.EROFS:  "read-only",
		syscall.EACCES: "as root",
		syscall.EPERM:  "as root",
		syscall.ENOENT: "create it",
	} {
		err := explain("write /some/file", &fs.PathError{Op: "openat", Path: "hidden", Err: errno})
		wantError(t, err, "write /some/file", errno.Error(), want)
		if !errors.Is(err, errno) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%v: got %q", errno, err)
		}
		var passes interface{ Temporary() bool }
		if full := want == "make room"; !errors.As(err, &passes) || passes.Temporary() != full {
			t.Errorf("%v: that it may pass is %v", errno, !full)
		}
	}
}

// A key that is to be forgotten has other names, or a process that has it open.
func TestEmptyLeavesNothingButTheFile(t *testing.T) {
	path := ownFolder(t)
	d := openDir(t, path)
	key, other, link := filepath.Join(path, "key"), filepath.Join(path, "other"), filepath.Join(path, "link")
	must(t, os.WriteFile(key, []byte("secret"), 0o640), os.Chmod(key, 0o640), os.Link(key, other), os.Symlink(key, link))
	if err := d.Empty("link"); err == nil || !strings.Contains(err.Error(), "symbolic link") {
		t.Errorf("a link: %v", err)
	}
	must(t, d.Empty("key"))
	for _, file := range []string{key, other} {
		data, err := os.ReadFile(file)
		must(t, err)
		if len(data) > 0 {
			t.Errorf("%s still has %q", file, data)
		}
		wantMode(t, file, 0o640)
	}
	if err := d.Empty("nothing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that isn't there: %v", err)
	}
}

// A process that was killed before it had given the file its mode has left it
// with what the umask takes away.
func TestMarkThatOthersCouldNotSee(t *testing.T) {
	path := ownFolder(t)
	must(t, os.WriteFile(filepath.Join(path, "running"), nil, 0o600))
	release, err := openDir(t, path).Mark(t.Context(), "running")
	must(t, err)
	defer func() { must(t, release()) }()
	wantMode(t, filepath.Join(path, "running"), 0o644)
}
