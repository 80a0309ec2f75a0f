//go:build linux

package attacks

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"icinga-enroll/testdata/campaign"
)

// plant is what the agent's account puts where root is about to write or to
// read. Hard links and devices it could make on few systems.
type plant struct {
	name string
	at   func(m *machine, path string) error
}

var plants = []plant{
	{"a link to a file of root's", func(m *machine, path string) error {
		return os.Symlink(filepath.Join(m.outside, "victim"), path)
	}},
	{"a link to nothing", func(m *machine, path string) error {
		return os.Symlink(filepath.Join(m.outside, "new"), path)
	}},
	{"a link to root's folder", func(m *machine, path string) error { return os.Symlink(m.outside, path) }},
	{"a link to itself", func(_ *machine, path string) error { return os.Symlink(filepath.Base(path), path) }},
	{"a hard link", func(m *machine, path string) error { return os.Link(filepath.Join(m.outside, "victim"), path) }},
	{"a FIFO", func(_ *machine, path string) error { return syscall.Mkfifo(path, 0o666) }},
	{"a socket", listenAt},
	{"a folder", func(_ *machine, path string) error { return os.MkdirAll(filepath.Join(path, "full"), 0o755) }},
	{"a device", func(_ *machine, path string) error {
		return unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5)))
	}},
	{"a terabyte", func(_ *machine, path string) error {
		if err := os.WriteFile(path, nil, 0o666); err != nil {
			return err
		}
		return os.Truncate(path, 1<<40)
	}},
}

// listenAt goes by the folder's number: the name of a socket is short.
func listenAt(_ *machine, path string) error {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer folder.Close()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: fmt.Sprintf("/proc/self/fd/%d/%s", folder.Fd(), filepath.Base(path))})
	if err != nil {
		return err
	}
	l.SetUnlinkOnClose(false)
	return l.Close()
}

// put plants it in the place of whatever is at path, and returns what takes it
// away again, as far as it is there.
func (p plant) put(t testing.TB, m *machine, path string) (clear func()) {
	t.Helper()
	kept := path + ".kept"
	if folder := filepath.Dir(path); os.Mkdir(folder, 0o750) == nil {
		must(t, os.Chown(folder, agentID, agentID))
	}
	moved := os.Rename(path, kept) == nil
	must(t, p.at(m, path))
	if p.name != "a hard link" {
		must(t, os.Lchown(path, agentID, agentID))
	}
	planted, err := os.Lstat(path)
	must(t, err)
	return func() {
		now, err := os.Lstat(path)
		if err == nil && os.SameFile(planted, now) {
			err = errors.Join(os.RemoveAll(path), fs.ErrNotExist)
		}
		if err != nil && moved {
			must(t, os.Rename(kept, path))
		}
	}
}

// targets are where root writes and reads, or where it goes through, below the
// agent's folders.
var targets = []string{
	"data/certs/CN.key", "data/certs/CN.crt", "data/certs/ca.crt", "data/certs/ticket", "data/certs", "data",
	"data/certs/.icinga-enroll-TEMPORARY",
	"etc/zones.conf", "etc/constants.conf", "etc/icinga2.conf", "etc/features-available/api.conf", "etc/features-enabled/api.conf",
	"etc/features-enabled/notification.conf", "etc/features-available", "etc/features-enabled", "etc",
	"etc/zones.conf.orig", "etc/constants.conf.orig", "etc/zones.conf.orig.2",
	"data/ca", "data/api", "data/api/zones-stage", "metrics/icinga_enroll.prom", "metrics",
}

// The agent's account plants something before the first enrolment, and before a
// new key is put in place. Root neither follows it nor waits for it, and as soon
// as it is gone the machine is enrolled.
func TestPlantedFiles(t *testing.T) {
	s := servers(t, nil)
	for _, p := range plants {
		a := attack("agent's account plants " + p.name)
		for _, target := range targets {
			a.try(t, p.name+" at "+target+", enrolling", func(t *testing.T) {
				m := newMachine(t, s)
				m.meet(t, p, target, "once")
			})
			a.try(t, p.name+" at "+target+", with a new key", func(t *testing.T) {
				m := newMachine(t, s)
				m.enrol(t)
				m.meet(t, p, target, "renew", "--rekey")
			})
		}
	}
}

// meet runs the program on a machine where something was planted, and once more
// without that.
func (m *machine) meet(t *testing.T, p plant, target string, args ...string) {
	t.Helper()
	m.fill(t)
	clear := p.put(t, m, m.agentPath(strings.ReplaceAll(target, "CN", m.Name)))
	f := m.fenceIn(t)
	r := m.Run(t, args...)
	f.untouched(t, r)
	f.unknown(t)
	bounded(t, r)
	if !slices.Contains([]int{0, 1}, r.Code) {
		t.Errorf("neither done nor refused: %s", r)
	}
	if r.Code == 1 && !strings.Contains(r.Stderr, m.agent) {
		t.Errorf("it doesn't say where: %s", r)
	}
	clear()
	m.enrol(t)
}

// limits of one run, in a hostile world. Enrolling takes some 30 MiB and a second;
// a call ends after half a minute, and a run has three.
const (
	mostMemory = 128 << 10 // KiB
	mostTime   = 100 * time.Second
)

// bounded fails if a run has taken more than is good for a machine, or broke down.
func bounded(t *testing.T, r campaign.Result) {
	t.Helper()
	if strings.Contains(r.Stderr, "goroutine ") || strings.Contains(r.Stderr, "fatal error") || r.Signal != 0 {
		t.Errorf("it broke down: %.2000s", r)
	}
	if r.MaxRSS > mostMemory || r.Took > mostTime {
		t.Errorf("it took %d KiB of memory, and %s", r.MaxRSS, r.Took)
	}
}
