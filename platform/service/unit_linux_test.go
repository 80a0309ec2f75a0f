package service

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The whole unit is what packages ship and operators read.
func TestUnit(t *testing.T) {
	want, err := os.ReadFile("testdata/icinga-enroll.service")
	if err != nil {
		t.Fatal(err)
	}
	got, err := unit(example)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the unit is not testdata/icinga-enroll.service; it is:\n%s", got)
	}
}

func TestUnitQuotes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), `a "b" 100%`)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	c := example
	c.Arguments = []string{"--config", `/etc/my files/$HOME 5%.yml`, "", "run"}
	c.WritePaths = []string{dir}
	c.Executable = "/opt/my programs/5%/icinga-enroll"
	text, err := unit(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`ConditionFileIsExecutable=/opt/my programs/5%%/icinga-enroll`,
		`ExecStart="/opt/my programs/5%%/icinga-enroll" --config "/etc/my files/$$HOME 5%%.yml" "" run`,
		`ReadWritePaths=/var/lib "` + filepath.Dir(dir) + `/a \"b\" 100%%"`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no line %s in:\n%s", want, text)
		}
	}
}

func TestUnitWithADevice(t *testing.T) {
	c := example
	c.Devices = []string{"/dev/tpmrm0"}
	text, err := unit(c)
	if err != nil || strings.Contains(text, "PrivateDevices=yes") || !strings.Contains(text, "\nPrivateDevices=no\nDevicePolicy=closed\nDeviceAllow=/dev/tpmrm0 rw\n") {
		t.Errorf("%v:\n%s", err, text)
	}
}

func TestProgramThatSystemdCantStart(t *testing.T) {
	c := example
	c.Executable = "/opt/$x/icinga-enroll"
	if _, err := unit(c); err == nil {
		t.Error("accepted")
	}
}

// A data disk is often a link in /var/lib, and the sandbox knows no links.
func TestInstallOpensWhatLinksLeadTo(t *testing.T) {
	fakeSystemctl(t, "nothing")
	s := systemd{units: t.TempDir(), booted: true}
	c := example
	c.WritePaths = []string{"/var/lib/icinga-enroll", "/proc/self/root/usr", "/proc/self/root/usr/not-yet"}
	c.OtherPaths = []string{"/proc/self/root/srv/not-yet"}
	if err := s.install(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(s.file(c.Name))
	if want := "\nReadWritePaths=/var/lib /usr -/srv/not-yet\n"; err != nil || !strings.Contains(string(text), want) {
		t.Errorf("%v: no %s in:\n%s", err, want, text)
	}
}

// A data disk need not be mounted yet.
func TestALinkToNothingYetIsFollowed(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"absolute": dir + "/disk/x", "relative": "disk/x", "round": "round"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{"absolute": "/disk/x", "relative/state": "/disk/x/state", "round": "/round"} {
		if got := resolve(filepath.Join(dir, path)); got != dir+want {
			t.Errorf("%s: %s", path, got)
		}
	}
}

// systemd can open only what is there when the service starts.
func TestWritableIsTheNearestFolderThatExists(t *testing.T) {
	dir := t.TempDir()
	got, err := writable([]string{"/var/lib/x/y", dir + "/new/deep", dir, dir + "/"})
	if want := []string{"/var/lib", dir}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if got, err := writable([]string{"/icinga-enroll-is-not-there/state"}); err == nil {
		t.Errorf("got %q: the whole machine is writable", got)
	}
}
