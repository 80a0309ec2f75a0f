//go:build e2e

package platform

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// These run as root: what another account can do to root's writes.

const agentUID, agentGID = 4242, 4343

func init() {
	helpers["owned"] = func(d *Dir) string {
		root := Owner{account{uid: 0, gid: 0, given: true}}
		return fmt.Sprint(becomeAgent(), "; ", d.WriteFile("mine", nil, 0o644, root))
	}
	helpers["denied"] = func(d *Dir) string {
		became := becomeAgent()
		_, err := d.ReadFile("secret")
		return fmt.Sprint(became, "; ", d.Probe(10), "; ", err)
	}
}

// agentFolder returns a folder that belongs to another account.
func agentFolder(t *testing.T) string {
	t.Helper()
	above := filepath.Dir(ownFolder(t))
	path := filepath.Join(above, "agent")
	must(t, os.Chmod(above, 0o755), os.Mkdir(path, 0o750), os.Chown(path, agentUID, agentGID))
	return path
}

func wantOwner(t *testing.T, path string, uid, gid int) {
	t.Helper()
	info, err := os.Lstat(path)
	must(t, err)
	if got, want := ownerOf(info), (Owner{account{uid, gid, true}}); got != want {
		t.Errorf("%s belongs to %v, want %v", path, got, want)
	}
}

func becomeAgent() error {
	return errors.Join(syscall.Setgroups(nil), syscall.Setgid(agentGID), syscall.Setuid(agentUID))
}

func TestNewFoldersAndFilesBecomeTheAgents(t *testing.T) {
	path := agentFolder(t)
	d, err := MakeDir(filepath.Join(path, "a", "certs"), 0o750)
	must(t, err)
	defer func() { _ = d.Close() }()
	owner, err := d.Owner()
	must(t, err, d.WriteFile("given", nil, 0o640, owner), d.WriteFile("kept", nil, 0o640, Owner{}))
	if want := (Owner{account{uid: agentUID, gid: agentGID, given: true}}); owner != want {
		t.Errorf("the owner is %+v, want %+v", owner, want)
	}
	wantOwner(t, filepath.Join(path, "a"), agentUID, agentGID)
	wantOwner(t, filepath.Join(path, "a", "certs"), agentUID, agentGID)
	wantOwner(t, filepath.Join(path, "a", "certs", "given"), agentUID, agentGID)
	wantOwner(t, filepath.Join(path, "a", "certs", "kept"), 0, 0)
	wantMode(t, filepath.Join(path, "a", "certs", "given"), 0o640)
	wantMode(t, filepath.Join(path, "a", "certs"), 0o750)
}

func TestAgentsLinkDoesNotLeadRoot(t *testing.T) {
	path := agentFolder(t)
	elsewhere := ownFolder(t)
	must(t, os.Symlink(elsewhere, filepath.Join(path, "certs")), os.Lchown(filepath.Join(path, "certs"), agentUID, agentGID))
	_, opened := OpenDir(filepath.Join(path, "certs"))
	_, made := MakeDir(filepath.Join(path, "certs", "new"), 0o755)
	wantError(t, opened, filepath.Join(path, "certs"), "is a symbolic link to "+elsewhere)
	wantError(t, made, filepath.Join(path, "certs"), "is a symbolic link to "+elsewhere)
	wantNames(t, openDir(t, elsewhere))
}

func TestAgentsHardLinkIsNotRead(t *testing.T) {
	path := agentFolder(t)
	secret := filepath.Join(ownFolder(t), "secret")
	must(t, os.WriteFile(secret, []byte("root's"), 0o600), os.Link(secret, filepath.Join(path, "ca.crt")))
	_, err := openDir(t, path).ReadFile("ca.crt")
	wantError(t, err, "hard links", "uid 0")
}

func TestOthersDoNotGiveFilesAway(t *testing.T) {
	path := agentFolder(t)
	if said := startHelper(t, "owned", path).said; said != "<nil>; <nil>" {
		t.Error(said)
	}
	wantOwner(t, filepath.Join(path, "mine"), agentUID, agentGID)
}

func TestNoPermission(t *testing.T) {
	path := ownFolder(t)
	write(t, openDir(t, path), "secret", "text")
	said := startHelper(t, "denied", path).said
	if strings.Count(said, "permission denied: run this as root") != 2 {
		t.Error(said)
	}
}

func TestFullDisk(t *testing.T) {
	path := ownFolder(t)
	must(t, syscall.Mount("tmpfs", path, "tmpfs", 0, "size=64k"))
	t.Cleanup(func() { must(t, syscall.Unmount(path, syscall.MNT_DETACH)) })
	d := openDir(t, path)
	write(t, d, "file", "old")
	must(t, d.Probe(10_000))
	wantError(t, d.Probe(100_000), "no space left", "make room")
	wantError(t, d.WriteFile("file", make([]byte, 100_000), 0o600, Owner{}), "no space left", "make room")
	if got := read(t, d, "file"); got != "old" {
		t.Errorf("the old file became %q", got)
	}
	wantNames(t, d, "file")
	release, err := d.Reserve(10_000)
	must(t, err)
	for d.WriteFile(rand.Text(), make([]byte, 1), 0o600, Owner{}) == nil {
	}
	wantError(t, d.WriteFile("key", make([]byte, 1), 0o600, Owner{}), "no space left")
	must(t, release())
	must(t, d.WriteFile("key", make([]byte, 5_000), 0o600, Owner{}))
	must(t, syscall.Mount("", path, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	wantError(t, d.Probe(10), "mounted read-only")
}
