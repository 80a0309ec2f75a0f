//go:build unix

package platform

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Only root has something to lose by what another account could replace.
func TestGuarded(t *testing.T) {
	folder := ownFolder(t)
	file := filepath.Join(folder, "file")
	must(t, os.WriteFile(file, nil, 0o600), os.Mkdir(filepath.Join(folder, "open"), 0o700), os.Symlink(file, filepath.Join(folder, "link")),
		os.WriteFile(filepath.Join(folder, "open", "file"), nil, 0o600), os.Chmod(filepath.Join(folder, "open"), 0o777))
	for path, mode := range map[string]os.FileMode{file: 0o644, filepath.Join(folder, "link"): 0o600, filepath.Join(folder, "nothing"): 0} {
		if mode != 0 {
			must(t, os.Chmod(file, mode))
		}
		must(t, Guarded(path))
	}
	if os.Geteuid() != 0 {
		must(t, Guarded(filepath.Join(folder, "open", "file")))
		return
	}
	wantError(t, Guarded(filepath.Join(folder, "open", "file")), filepath.Join(folder, "open")+" can be changed by others", "chmod go-w")
	must(t, os.Chmod(file, 0o660))
	wantError(t, Guarded(file), file+" can be changed by others", "chmod go-w "+file)
	wantError(t, Guarded(filepath.Join(folder, "link")), file+" can be changed by others")
	must(t, os.Chmod(file, 0o600), os.Chown(file, 64911, 0))
	wantError(t, Guarded(file), file+" belongs to uid 64911", "chown root "+file)
	// who takes others' rights to a device, or to a folder for all, breaks the machine
	must(t, os.Chmod(filepath.Join(folder, "open"), 0o1777))
	for path, what := range map[string]string{"/dev/null": "a device", filepath.Join(folder, "open"): "a folder"} {
		wantError(t, Guarded(path), path+" is "+what+", not a regular file")
	}
	// nobody else puts files into a folder in which they are believed
	must(t, GuardedFolder(folder), GuardedFolder("/etc"))
	wantError(t, GuardedFolder(filepath.Join(folder, "open")), filepath.Join(folder, "open")+" can be changed by others")
	wantError(t, GuardedFolder(filepath.Join(folder, "open", "below")), "another account could put its own in the place of "+filepath.Join(folder, "open", "below"))
	// a socket's mode is about who may talk to it
	socket := filepath.Join(folder, "socket")
	must(t, syscall.Mknod(socket, syscall.S_IFSOCK|0o777, 0), os.Chmod(socket, 0o777))
	must(t, Guarded(socket), os.Chown(socket, 64911, 0))
	wantError(t, Guarded(socket), socket+" belongs to uid 64911")
}
