//go:build linux

package attacks

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// tries of each race.
const tries = 4

// The agent's account swaps what root uses, as fast as it can, between what
// should be there and something else: whenever root looks twice, once it is the
// other.
func TestSwappedWhileRootWorks(t *testing.T) {
	s := servers(t, nil)
	a := attack("the agent's account swaps files and folders while root works")
	for _, target := range []string{
		"data/certs", "data/certs/CN.key", "data/certs/CN.crt", "data/certs/ca.crt", "data/certs/ticket", "data",
		"etc/zones.conf", "etc/constants.conf", "etc/features-available", "etc/features-available/api.conf", "etc",
	} {
		for _, p := range plants {
			if p.name == "a terabyte" || p.name == "a device" || p.name == "a socket" {
				continue // as a FIFO is met
			}
			a.try(t, p.name+" at "+target, func(t *testing.T) {
				m := newMachine(t, s)
				m.enrol(t)
				m.fill(t)
				path := m.agentPath(strings.ReplaceAll(target, "CN", m.Name))
				stop := m.swap(t, p, path)
				f := m.fenceIn(t)
				for range tries {
					f.untouched(t, m.Run(t, "renew", "--rekey"), m.Run(t, "status"))
				}
				stop()
				f.untouched(t)
				f.unknown(t)
				m.enrol(t)
			})
		}
	}
}

// swap exchanges what is at path for the plant and back, until it is stopped:
// then the right one is in place.
func (m *machine) swap(t *testing.T, p plant, path string) (stop func()) {
	t.Helper()
	if _, err := os.Lstat(path); err != nil {
		must(t, os.WriteFile(path, nil, 0o600))
	}
	// Outside of the folders that are swapped themselves.
	other := filepath.Join(m.agent, "other-"+strings.ReplaceAll(strings.TrimPrefix(path, m.agent), "/", "-"))
	must(t, p.at(m, other))
	if p.name != "a hard link" {
		must(t, os.Lchown(other, agentID, agentID))
	}
	before, err := os.Lstat(other)
	must(t, err)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			default:
				_ = unix.Renameat2(unix.AT_FDCWD, path, unix.AT_FDCWD, other, unix.RENAME_EXCHANGE)
			}
		}
	}()
	return func() {
		close(done)
		<-ended
		if now, err := os.Lstat(path); err == nil && os.SameFile(before, now) {
			must(t, os.RemoveAll(path))
			if err := os.Rename(other, path); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
		}
		_ = syscall.Unlink(other)
	}
}
