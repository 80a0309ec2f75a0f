package service

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeSystemctl notes its arguments and fails where they contain failing.
func fakeSystemctl(t *testing.T, failing string) (calls func() string) {
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	script := "#!/bin/sh\necho \"$@\" >>'" + log + "'\ncase \"$*\" in *" + failing + "*) echo no such luck >&2; exit 1 ;; esac\n"
	if err := os.WriteFile(filepath.Join(dir, "systemctl"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return func() string {
		data, _ := os.ReadFile(log)
		return string(data)
	}
}

func TestInstallLeavesWhatWasThereWhenItFails(t *testing.T) {
	text, err := unit(example)
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct{ before, packaged string }{
		"nothing":                  {},
		"another unit":             {before: "[Service]\n"},
		"one before the package's": {before: "[Service]\n", packaged: text},
		"nothing, and a package":   {packaged: text},
	} {
		t.Run(what, func(t *testing.T) {
			before := c.before
			fakeSystemctl(t, "enable")
			s := systemd{units: t.TempDir(), packaged: []string{t.TempDir()}, booted: true}
			if c.packaged != "" {
				if err := os.WriteFile(filepath.Join(s.packaged[0], "icinga-enroll.service"), []byte(c.packaged), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if before != "" {
				if err := os.WriteFile(s.file("icinga-enroll"), []byte(before), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			err := s.install(t.Context(), example)
			if err == nil || !strings.Contains(err.Error(), "no such luck") {
				t.Errorf("got %v, want what systemctl complained of", err)
			}
			after, _ := os.ReadFile(s.file("icinga-enroll"))
			if string(after) != before {
				t.Errorf("left: %q", after)
			}
			if names, _ := os.ReadDir(s.units); len(names) > 1 || before == "" && len(names) > 0 {
				t.Errorf("left: %v", names)
			}
		})
	}
}

func TestPackagedUnitIsOnlyEnabled(t *testing.T) {
	text, err := unit(example)
	if err != nil {
		t.Fatal(err)
	}
	other := strings.ReplaceAll(text, "config.yml", "other.yml")
	for what, c := range map[string]struct {
		packaged, before string
		written          bool
	}{
		"the same":             {text, "", false},
		"the same, shadowed":   {text, other, false},
		"another":              {other, "", true},
		"another, written ere": {other, other, true},
		"no package":           {"", "", true},
	} {
		t.Run(what, func(t *testing.T) {
			calls := fakeSystemctl(t, "nothing")
			s := systemd{units: t.TempDir(), packaged: []string{t.TempDir()}, booted: true}
			if c.packaged != "" {
				if err := os.WriteFile(filepath.Join(s.packaged[0], "icinga-enroll.service"), []byte(c.packaged), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if c.before != "" {
				if err := os.WriteFile(s.file("icinga-enroll"), []byte(c.before), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.install(t.Context(), example); err != nil {
				t.Fatal(err)
			}
			if now, err := os.ReadFile(s.file("icinga-enroll")); err == nil && string(now) != text {
				t.Errorf("an older unit stays: %s", now)
			}
			if _, err := os.Stat(s.file("icinga-enroll")); (err == nil) != c.written {
				t.Errorf("a unit of our own: %v, want %v", err == nil, c.written)
			}
			if !strings.Contains(calls(), "enable icinga-enroll.service\n") {
				t.Errorf("not enabled: %s", calls())
			}
		})
	}
}

func TestReadState(t *testing.T) {
	for shown, want := range map[string]State{
		"LoadState=not-found\nActiveState=inactive\nSubState=dead\n":        NotInstalled,
		"LoadState=loaded\nActiveState=inactive\nSubState=dead\n":           Stopped,
		"LoadState=masked\nActiveState=inactive\nSubState=dead\n":           Stopped,
		"LoadState=loaded\nActiveState=active\nSubState=running\n":          Running,
		"LoadState=loaded\nActiveState=reloading\nSubState=reload\n":        Running,
		"LoadState=loaded\nActiveState=activating\nSubState=start\n":        Running,
		"LoadState=loaded\nActiveState=activating\nSubState=auto-restart\n": Failed,
		"LoadState=loaded\nActiveState=failed\nSubState=failed\n":           Failed,
		// Its unit was removed by hand while it ran.
		"LoadState=not-found\nActiveState=active\nSubState=running\n": Running,
	} {
		if got, err := readState(shown); err != nil || got != want {
			t.Errorf("%q: got %v, %v, want %v", shown, got, err, want)
		}
	}
	if state, err := readState(""); err == nil {
		t.Errorf("no answer is %v", state)
	}
}

// Who makes an image needs to tell that nothing can be started from a failure.
func TestAnImageStartsNothing(t *testing.T) {
	if err := (systemd{}).control(t.Context(), "icinga2", "start"); !errors.Is(err, ErrNotBooted) {
		t.Errorf("error is %v", err)
	}
}

// What a run has told is in its status, of which monitoring makes more.
func TestTimerFailed(t *testing.T) {
	for shown, want := range map[string]struct{ told, untold bool }{
		"enabled active=inactive status=0": {false, false},
		"enabled active=failed status=1":   {false, true},
		"enabled active=failed status=2":   {true, true},
		"enabled active=failed status=15":  {true, true},
		"disabled active=failed status=2":  {false, false},
	} {
		t.Run(shown, func(t *testing.T) {
			answers(t, shown)
			told, untold := (systemd{booted: true}).timerFailed(t.Context(), "icinga-enroll", true), (systemd{booted: true}).timerFailed(t.Context(), "icinga-enroll", false)
			if told != want.told || untold != want.untold {
				t.Errorf("told %v, untold %v", told, untold)
			}
			if (systemd{}).timerFailed(t.Context(), "icinga-enroll", false) {
				t.Error("where nothing runs it has failed")
			}
		})
	}
}

// answers has systemctl say of icinga-enroll.timer and its unit what shown says.
func answers(t *testing.T, shown string) {
	t.Helper()
	said := strings.NewReplacer(" active=", "\nActiveState=", " status=", "\nExecMainStatus=").Replace(shown)
	enabled, unit, _ := strings.Cut(said, "\n")
	script := "#!/bin/sh\ncase $1$2 in is-enabledicinga-enroll.timer) echo " + enabled + "; [ " + enabled + " = enabled ] ;;\n" +
		"show*) [ $3 = icinga-enroll-renew.service ] && cat <<E\n" + unit + "\nE\n;; esac\n"
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "systemctl"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// PrivateTmp= would have such a service fail for ever.
func TestNothingOfAServiceIsTemporary(t *testing.T) {
	for what, change := range map[string]func(*Config){
		"the program":       func(c *Config) { c.Executable = "/tmp/icinga-enroll" },
		"the configuration": func(c *Config) { c.Arguments = []string{"--config", "/var/tmp/x/config.yml", "run"} },
		"a folder":          func(c *Config) { c.WritePaths = []string{"/tmp/state"} },
		"a linked program":  func(c *Config) { c.Executable = "/proc/self/root/tmp/icinga-enroll" },
		"a link":            func(c *Config) { c.OtherPaths = []string{"/proc/self/root/var/tmp/new"} },
	} {
		t.Run(what, func(t *testing.T) {
			calls := fakeSystemctl(t, "nothing")
			s := systemd{units: t.TempDir(), booted: true}
			c := example
			change(&c)
			if err := s.install(t.Context(), c); err == nil || !strings.Contains(err.Error(), "of its own") {
				t.Error(err)
			}
			if names, _ := os.ReadDir(s.units); len(names) > 0 || calls() != "" {
				t.Errorf("left %v, called %q", names, calls())
			}
		})
	}
}

func TestASilentProgramsErrorEndsWithItsCode(t *testing.T) {
	if _, err := output(t.Context(), "false"); err == nil || !strings.HasSuffix(err.Error(), "exit status 1") {
		t.Errorf("%q", err)
	}
}
