//go:build linux

package attacks

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"icinga-enroll/testdata/campaign"
)

// precious is what only root may know.
const precious = "precious: of root alone\n"

// fence watches the folder outside: nothing in it may be read, written, made,
// removed or given away.
type fence struct {
	m       *machine
	watch   int // an inotify instance
	victims map[string]string
}

// victims are files of the names that attacks lead to.
func (m *machine) victims() []string {
	return []string{"victim", m.Name + ".key", m.Name + ".crt", "ca.crt", "ticket", "zones.conf", "constants.conf", "icinga2.conf", "api.conf", "notification.conf"}
}

// fill makes what the fence is around.
func (m *machine) fill(t testing.TB) {
	t.Helper()
	for _, name := range m.victims() {
		must(t, os.WriteFile(filepath.Join(m.outside, name), []byte(precious), 0o600))
	}
}

// fenceIn begins to watch.
func (m *machine) fenceIn(t testing.TB) *fence {
	t.Helper()
	watch, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	must(t, err)
	t.Cleanup(func() { _ = unix.Close(watch) })
	f := &fence{m, watch, map[string]string{}}
	for _, path := range append([]string{"."}, m.victims()...) {
		path = filepath.Join(m.outside, path)
		f.victims[path] = standing(t, path)
	}
	// The folder tells of what comes by its path, a file also of what comes by another name.
	const all = unix.IN_ACCESS | unix.IN_MODIFY | unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO
	for path := range f.victims {
		_, err := unix.InotifyAddWatch(watch, path, all)
		must(t, err)
	}
	return f
}

// standing is whose a file is, and who may do what with it.
func standing(t testing.TB, path string) string {
	t.Helper()
	info, err := os.Lstat(path)
	must(t, err)
	of := info.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%s %d:%d %d", info.Mode(), of.Uid, of.Gid, info.ModTime().UnixNano())
}

// untouched fails if something outside was touched, or is known elsewhere now.
func (f *fence) untouched(t testing.TB, said ...campaign.Result) {
	t.Helper()
	for _, event := range f.events(t) {
		t.Errorf("outside: %s", event)
	}
	for path, before := range f.victims {
		if now := standing(t, path); now != before {
			t.Errorf("%s was %s, is %s", path, before, now)
		}
	}
	for _, r := range said {
		if strings.Contains(r.Stdout+r.Stderr, "precious") {
			t.Errorf("it tells what is outside: %s", r)
		}
	}
}

// unknown fails if a file of the agent's has what only root may know.
func (f *fence) unknown(t testing.TB) {
	t.Helper()
	must(t, filepath.WalkDir(f.m.agent, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && !entry.Type().IsRegular() {
			return nil
		}
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) || err != nil || info.Size() > 1<<20 || info.Sys().(*syscall.Stat_t).Nlink > 1 {
			return ignoreGone(err)
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte("precious")) {
			t.Errorf("%s has what only root may know", path)
		}
		return ignoreGone(err)
	}))
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// events are those that have come since.
func (f *fence) events(t testing.TB) (list []string) {
	t.Helper()
	buffer := make([]byte, 64<<10)
	n, err := unix.Read(f.watch, buffer)
	if errors.Is(err, unix.EAGAIN) {
		return nil
	}
	must(t, err)
	for b := buffer[:n]; len(b) >= unix.SizeofInotifyEvent; {
		mask, length := binary.NativeEndian.Uint32(b[4:]), binary.NativeEndian.Uint32(b[12:])
		listed := mask == unix.IN_ACCESS|unix.IN_ISDIR // which others than this program do, too
		if mask&unix.IN_IGNORED == 0 && !listed {
			name := strings.TrimRight(string(b[16:16+length]), "\x00")
			list = append(list, fmt.Sprintf("event %#x of %q", mask, name))
		}
		b = b[16+length:]
	}
	return list
}
