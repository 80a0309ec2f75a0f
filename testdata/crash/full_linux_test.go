package crash_test

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"icinga-enroll/testdata/campaign"
)

const (
	namespace = "CRASH_TEST_NAMESPACE"
	roomy     = "size=2m"
	small     = "size=96k" // for the configuration, and less than an enrolment may need
)

// TestFullDisk is about a disk that is full for real: a small tmpfs, in a mount
// namespace of its own, which takes root.
func TestFullDisk(t *testing.T) {
	if os.Getenv(namespace) == "" {
		cmd := exec.Command(os.Args[0], "-test.v", "-test.run=^TestFullDisk$")
		cmd.Env = append(os.Environ(), namespace+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	program := campaign.Build(t, "")
	t.Run("before anything is registered", func(t *testing.T) { fullFromTheStart(t, program) })
	t.Run("while the host is registered", func(t *testing.T) { fullAtRegistration(t, program) })
	t.Run("under a daemon", func(t *testing.T) { fullUnderDaemon(t, program) })
}

// newSmallWorld has the machine on a disk of its own.
func newSmallWorld(t *testing.T, program, size string) *world {
	t.Helper()
	w := newWorld(t, program)
	w.save(t)
	must(t, syscall.Mount("tmpfs", w.Dir, "tmpfs", 0, size))
	t.Cleanup(func() { must(t, syscall.Unmount(w.Dir, syscall.MNT_DETACH)) })
	must(t, os.CopyFS(w.Dir, os.DirFS(w.snapshot)))
	return w
}

// fill takes all room that is left, in a file.
func (w *world) fill(t *testing.T) {
	t.Helper()
	f, err := os.Create(w.Path("ballast"))
	must(t, err)
	defer func() { _ = f.Close() }()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
}

func fullFromTheStart(t *testing.T, program string) {
	w := newSmallWorld(t, program, small)
	if r := w.play(t, 0, "once"); r.Code != 75 || !strings.Contains(r.Stderr, "make room") {
		t.Errorf("want exit 75: %s", r)
	}
	if _, there := w.Director.Host(w.Name); there {
		t.Error("it was registered, though nothing could be kept")
	}
	must(t, syscall.Mount("", w.Dir, "", syscall.MS_REMOUNT, roomy))
	w.mustRun(t, "once")
	w.wantEnrolled(t)
}

// The key is kept, and then the ticket asked for; what doesn't fit is got by the
// next run.
func fullAtRegistration(t *testing.T, program string) {
	w := newSmallWorld(t, program, roomy)
	w.atRegistration = func() { w.fill(t) }
	if r := w.play(t, 0, "once"); r.Code != 0 && r.Code != 75 {
		t.Errorf("want exit 75: %s", r)
	}
	if w.inRegistration() {
		t.Error("the host API key is lost")
	}
	must(t, os.Remove(w.Path("ballast")))
	w.mustRun(t, "once")
	w.wantEnrolled(t)
}

// Somebody makes room, and that is all that has to be done.
func fullUnderDaemon(t *testing.T, program string) {
	w := newSmallWorld(t, program, roomy)
	w.edit(t, "host:\n", "hooks:\n  on_failure: [[\"rm\", \""+w.Path("ballast")+"\"]]\nhost:\n")
	w.fill(t)
	w.playUntilEnrolled(t)
	if _, err := os.Stat(w.Path("ballast")); err == nil {
		t.Error("there was room enough: nothing has failed")
	}
	w.wantEnrolled(t)
}
