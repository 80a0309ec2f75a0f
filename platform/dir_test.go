package platform

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// ownFolder returns a folder that nobody else can write to, whatever the umask
// of whoever runs the tests.
func ownFolder(t *testing.T) string {
	t.Helper()
	path, err := filepath.EvalSymlinks(t.TempDir())
	if err == nil {
		err = os.Chmod(path, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func openDir(t *testing.T, path string) *Dir {
	t.Helper()
	d, err := OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func write(t *testing.T, d *Dir, name, text string) {
	t.Helper()
	if err := d.WriteFile(name, []byte(text), 0o600, Owner{}); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, d *Dir, name string) string {
	t.Helper()
	data, err := d.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// wantNames fails unless the folder has exactly these names in it.
func wantNames(t *testing.T, d *Dir, want ...string) {
	t.Helper()
	got, err := d.Names()
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("the folder has %q (%v), want %q", got, err, want)
	}
}

// wantError fails unless err says each of the texts.
func wantError(t *testing.T, err error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one that says %q", texts)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the error %q doesn't say %q", err, text)
		}
	}
}

func TestFilesComeBackAndGo(t *testing.T) {
	d := openDir(t, ownFolder(t))
	write(t, d, "b", "two")
	write(t, d, "a b", "one")
	write(t, d, "b", "three")
	write(t, d, "c", "four")
	wantNames(t, d, "a b", "b", "c")
	if got := read(t, d, "b"); got != "three" {
		t.Errorf("got %q", got)
	}
	for range 2 {
		if err := d.Remove("b"); err != nil {
			t.Error(err)
		}
	}
	wantNames(t, d, "a b", "c")
	if _, err := d.ReadFile("b"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestReaderNeverSeesHalfAFile(t *testing.T) {
	path := ownFolder(t)
	d := openDir(t, path)
	long, short := strings.Repeat("long ", 50_000), "short"
	write(t, d, "file", short)
	done := make(chan error)
	go func() {
		var err error
		for i := 0; i < 100 && err == nil; i++ {
			err = d.WriteFile("file", []byte([]string{long, short}[i%2]), 0o600, Owner{})
		}
		done <- err
	}()
	for {
		if got := read(t, d, "file"); got != long && got != short {
			t.Fatalf("saw a file of %d bytes that nobody wrote", len(got))
		}
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			wantNames(t, d, "file")
			return
		default:
		}
	}
}

func TestFailedWriteLeavesNothing(t *testing.T) {
	path := ownFolder(t)
	if err := os.MkdirAll(filepath.Join(path, "name", "inside"), 0o755); err != nil {
		t.Fatal(err)
	}
	d := openDir(t, path)
	err := d.WriteFile("name", []byte("text"), 0o600, Owner{})
	wantError(t, err, "write "+filepath.Join(path, "name"))
	if strings.Contains(err.Error(), temporaryPrefix) {
		t.Errorf("%q tells of a file that nobody knows", err)
	}
	wantNames(t, d, "name")
}

func TestNamesArePathsNever(t *testing.T) {
	d := openDir(t, ownFolder(t))
	for _, name := range []string{"", ".", "..", "a/b", `a\b`, "/etc/passwd", "a\x00b", "../a"} {
		_, read := d.ReadFile(name)
		_, lock := d.Lock(t.Context(), name)
		written := d.WriteFile(name, nil, 0o600, Owner{})
		for _, err := range []error{read, lock, written, d.Remove(name)} {
			wantError(t, err, "can't be the name of a file")
		}
	}
}

func TestSizeLimit(t *testing.T) {
	d := openDir(t, ownFolder(t))
	data := bytes.Repeat([]byte("x"), maxFile+1)
	write(t, d, "file", string(data[1:]))
	if got := read(t, d, "file"); len(got) != maxFile {
		t.Errorf("got %d bytes of a file of exactly the limit", len(got))
	}
	wantError(t, d.WriteFile("file", data, 0o600, Owner{}), "not read again")
	if err := os.WriteFile(d.join("file"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := d.ReadFile("file")
	wantError(t, err, "larger than 1048576 bytes")
}

func TestMissingFolder(t *testing.T) {
	path := filepath.Join(ownFolder(t), "some", "where")
	_, err := OpenDir(path)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	wantError(t, err, path, "create it")
	d, err := MakeDir(path, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	write(t, d, "file", "text")
	if got := read(t, openDir(t, path), "file"); got != "text" {
		t.Errorf("got %q", got)
	}
	wantNames(t, openDir(t, filepath.Dir(path)), "where")
	if d.Path() != path {
		t.Errorf("its path is %q, want %q", d.Path(), path)
	}
}

func TestProbeLeavesNothing(t *testing.T) {
	d := openDir(t, ownFolder(t))
	if err := d.Probe(100_000); err != nil {
		t.Error(err)
	}
	wantNames(t, d)
}

func TestSweepRemovesOnlyWhatAKilledWriterLeft(t *testing.T) {
	path := t.TempDir()
	d, err := OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	for _, name := range []string{".icinga-enroll-ABC", "web1.example.com.key", ".hidden"} {
		if err := os.WriteFile(filepath.Join(path, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Sweep(); err != nil {
		t.Fatal(err)
	}
	names, err := d.Names()
	if err != nil || !slices.Equal(names, []string{".hidden", "web1.example.com.key"}) {
		t.Errorf("left are %v (%v)", names, err)
	}
}

func TestCreateFileReplacesNothing(t *testing.T) {
	d := openDir(t, ownFolder(t))
	write(t, d, "old", "mine")
	if err := d.CreateFile("old", []byte("other"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("the error is %v, want fs.ErrExist", err)
	}
	if err := d.CreateFile("new", []byte("text"), 0o600); err != nil {
		t.Error(err)
	}
	if read(t, d, "old") != "mine" || read(t, d, "new") != "text" {
		t.Errorf("old holds %q, new %q", read(t, d, "old"), read(t, d, "new"))
	}
	wantNames(t, d, "new", "old")
}

// The folder is others', too, such as node_exporter's, and so not swept.
func TestFleetingFileLeftHalfWrittenIsReplaced(t *testing.T) {
	path := ownFolder(t)
	d := openDir(t, path)
	write(t, d, temporaryName("file"), "half of a")
	if err := d.WriteFleeting("file", []byte("whole"), 0o644); err != nil {
		t.Fatal(err)
	}
	wantNames(t, d, "file")
}

func TestFileOnTheWay(t *testing.T) {
	path := ownFolder(t)
	write(t, openDir(t, path), "file", "")
	for _, way := range []string{"file", "file/folder"} {
		_, opened := OpenDir(filepath.Join(path, way))
		_, made := MakeDir(filepath.Join(path, way), 0o755)
		wantError(t, opened, filepath.Join(path, "file")+": it is a regular file, not a folder")
		wantError(t, made, filepath.Join(path, "file")+": it is a regular file, not a folder")
	}
}

// What is below a folder is found without following a link out of it, and what a
// killed process has left is none of it.
func TestFilesBelowAFolder(t *testing.T) {
	path := ownFolder(t)
	deep := filepath.Join(path, strings.Repeat("d/", maxDepth))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(path, "a", "b.key"), 0o700))
	must(os.MkdirAll(filepath.Join(deep, "deeper"), 0o700))
	for _, name := range []string{"z", "a/b.key/c", "a/b", "a/" + temporaryPrefix + "x", strings.Repeat("d/", maxDepth) + "deeper/x"} {
		must(os.WriteFile(filepath.Join(path, filepath.FromSlash(name)), nil, 0o600))
	}
	want := []string{"a/b", "a/b.key/c", "z"}
	if err := os.Symlink(t.TempDir(), filepath.Join(path, "link")); err == nil { // not everybody may make one on Windows
		want = []string{"a/b", "a/b.key/c", "link", "z"}
	}
	if got := openDir(t, path).Files(); !slices.Equal(got, want) {
		t.Errorf("below it are %q, want %q", got, want)
	}
}
