package crash_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// readable are the files that every account may read, by their names.
var readable = map[string]fs.FileMode{"status.json": 0o644, "running": 0o644, "ca.crt": 0o644, "web1.example.com.crt": 0o644, "metrics.prom": 0o644}

// wantEnrolled asserts what nobody may have lost.
func (w *world) wantEnrolled(t *testing.T) {
	t.Helper()
	if _, err := w.Pair(); err != nil {
		t.Errorf("there is no valid pair: %v", err)
	}
	if host, _ := w.Director.Host(w.Name); host.Key == "" || host.Key != w.HostKey() {
		t.Errorf("the host API key here is %q, the Director's is %q", w.HostKey(), host.Key)
	}
	for _, name := range []string{"status.json", "ca.crt", w.Name + ".crt"} {
		if !slices.ContainsFunc(w.files(t), func(path string) bool { return filepath.Base(path) == name }) {
			t.Errorf("there is no %s", name)
		}
	}
	for _, path := range w.files(t) {
		if filepath.Base(filepath.Dir(path)) == "handed" {
			continue
		}
		if mode, public := readable[filepath.Base(path)]; public && w.mode(t, path) != mode {
			t.Errorf("%s has mode %o, want %o", path, w.mode(t, path), mode)
		}
	}
	w.wantTidy(t)
}

// wantTidy asserts that nothing of the way there is left, and that nobody reads
// what he must not.
func (w *world) wantTidy(t *testing.T) {
	t.Helper()
	for _, path := range w.files(t) {
		base := filepath.Base(path)
		if strings.HasPrefix(base, ".icinga-enroll-") || base == "agent-stage" || base == "switch.pem" {
			t.Errorf("%s was left behind", path)
		}
	}
	w.wantSecret(t)
}

// wantSecret asserts that no account can read a secret of another, not for a
// moment: it is called where the program was killed, too.
func (w *world) wantSecret(t *testing.T) {
	t.Helper()
	host, _ := w.Director.Host(w.Name)
	secrets := map[string]string{"a private key": "PRIVATE KEY", "the template key": w.TemplateKey, "the ticket": w.CA.Ticket(w.Name), "the password": password, "the host API key": host.Key}
	for _, path := range w.files(t) {
		if w.mode(t, path)&0o007 == 0 {
			continue
		}
		data, err := os.ReadFile(path)
		must(t, err)
		for what, secret := range secrets {
			if secret != "" && strings.Contains(string(data), secret) {
				t.Errorf("every account can read %s in %s", what, path)
			}
		}
	}
}

// files are all of the machine's, and its empty folders.
func (w *world) files(t *testing.T) (files []string) {
	t.Helper()
	must(t, filepath.WalkDir(w.Dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && (!d.IsDir() || strings.HasPrefix(d.Name(), ".icinga-enroll-")) {
			files = append(files, path)
		}
		return err
	}))
	return files
}

// mode is 0 for what is no regular file.
func (w *world) mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Lstat(path)
	must(t, err)
	if !info.Mode().IsRegular() {
		return 0
	}
	return info.Mode().Perm()
}

// wantLeft asserts that a machine has left.
func (w *world) wantLeft(t *testing.T) {
	t.Helper()
	if _, there := w.Director.Host(w.Name); there {
		t.Error("the host is still in the Director")
	}
	for _, path := range w.files(t) {
		switch filepath.Base(path) {
		case w.Name + ".key", w.Name + ".crt", "request.key", "request.crt", "state.json", "status.json":
			t.Errorf("%s is still there", path)
		}
	}
	w.wantTidy(t)
}

// inRegistration reports whether the Director has made this host, and its key
// isn't here: the one window that nobody can close.
func (w *world) inRegistration() bool {
	w.Director.Settle()
	host, there := w.Director.Host(w.Name)
	return there && host.Key != w.host.Key && w.HostKey() != host.Key
}

// awaitsAnswer reports whether a registration was sent of which nobody here knows
// what became of it. A daemon doesn't send another by itself.
func (w *world) awaitsAnswer() bool {
	var state struct {
		Sent *struct{} `json:"register_sent"`
	}
	data, err := os.ReadFile(w.Path("state", "state.json"))
	return err == nil && json.Unmarshal(data, &state) == nil && state.Sent != nil
}

// inSwitch reports whether one of key and certificate is in place without the
// other, which waits in the journal.
func (w *world) inSwitch() bool {
	if _, err := os.Stat(w.Path("state", "switch.pem")); err != nil {
		return false
	}
	_, err := os.Stat(w.Path("certs", w.Name+".key"))
	_, invalid := w.Pair()
	return err == nil && invalid != nil
}
