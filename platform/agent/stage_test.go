package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// A validating agent sees the files that are to be, by way of the links to those
// that stay, and nothing of them is in place yet.
func TestCheckShowsTheAgentTheWholeSet(t *testing.T) {
	a := stock(t, "debian")
	changes := mustChange(t, a, twoParents(), nil)
	before := snapshot(t, a)
	folder := filepath.Join(filepath.Dir(a.ConfigDir), "stage")
	must(t, os.Mkdir(folder, 0o700), os.WriteFile(filepath.Join(folder, "left-by-a-crash"), nil, 0o600))
	a.ValidateCommand = []string{"icinga2", "daemon", "-C"}
	called := 0
	a.Run = func(_ context.Context, argv, _ []string) (string, error) {
		called++
		if got, want := strings.Join(argv, " "), "icinga2 daemon -C -D Configuration.ConfigDir="+folder; got != want {
			t.Errorf("ran %q, want %q", got, want)
		}
		stage := Agent{ConfigDir: folder}
		if left := mustChange(t, stage.resolved(t), twoParents(), nil); len(left) > 0 {
			t.Errorf("the stage still would change: %s", Names(left))
		}
		if textOf(t, stage, "conf.d/hosts.conf") == "" || textOf(t, stage, "features-enabled/checker.conf") == "" {
			t.Error("what stays isn't there")
		}
		for name, text := range snapshot(t, a) {
			if text != before[name] {
				t.Errorf("%s was touched", name)
			}
		}
		if _, err := os.Lstat(filepath.Join(folder, "left-by-a-crash")); err == nil {
			t.Error("the stage has something of an earlier one")
		}
		return "", nil
	}
	must(t, a.Check(t.Context(), changes, folder))
	if _, err := os.Lstat(folder); err == nil || called != 1 {
		t.Errorf("the stage was left behind, or not used: %v, %d", err, called)
	}
}

// resolved is the agent with copies where the stage has links to files.
func (a Agent) resolved(t *testing.T) Agent {
	t.Helper()
	to := Agent{ConfigDir: t.TempDir()}
	must(t, os.Chmod(to.ConfigDir, 0o755), os.Mkdir(to.path("features-enabled"), 0o750), os.Mkdir(to.path("features-available"), 0o750))
	for _, name := range []string{zonesName, apiName, constantsName, mainName} {
		to.mustWrite(t, name, textOf(t, a, name), 0o640)
	}
	entries, err := os.ReadDir(a.path("features-enabled"))
	must(t, err)
	for _, e := range entries {
		must(t, os.Symlink("../features-available/"+e.Name(), to.path("features-enabled/"+e.Name())))
	}
	return to
}

// What features-enabled has had for long leads to the file that is to be, not to
// the one in force.
func TestCheckOfAFeatureThatIsEnabled(t *testing.T) {
	for _, target := range []string{"../features-available/api.conf", "{{ConfigDir}}/features-available/api.conf"} {
		a := stock(t, "debian")
		must(t, os.Symlink(strings.ReplaceAll(target, "{{ConfigDir}}", a.ConfigDir), a.path(apiFeatureName)))
		folder := filepath.Join(filepath.Dir(a.ConfigDir), "stage")
		seen := ""
		a.Run = func(context.Context, []string, []string) (string, error) {
			seen = textOf(t, Agent{ConfigDir: folder}, apiFeatureName)
			return "", nil
		}
		must(t, a.Check(t.Context(), mustChange(t, a, twoParents(), nil), folder))
		if !strings.Contains(seen, "bind_port") {
			t.Errorf("by way of %s the agent validates the old api.conf: %q", target, seen)
		}
	}
}

func TestRejected(t *testing.T) {
	tests := map[string]struct{ out, want, not string }{
		"critical lines": {"[2026-01-01] information/cli: Icinga\n[2026-01-01] critical/config: Error: no zone\nLocation: in zones.conf: 3:1\n", "critical/config: Error: no zone", "information/cli"},
		"none":           {"Segmentation fault\nhelp", "Segmentation fault", "critical"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a := stock(t, "debian")
			a.ValidateCommand = []string{"validate"}
			exit := errors.New("exit status 1")
			a.Run = func(context.Context, []string, []string) (string, error) { return test.out, exit }
			folder := filepath.Join(filepath.Dir(a.ConfigDir), "stage")
			before := snapshot(t, a)
			err := a.Check(t.Context(), mustChange(t, a, twoParents(), nil), folder)
			var rejected *Rejected
			if !errors.As(err, &rejected) || !errors.Is(err, exit) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), test.not) {
				t.Errorf("got %v", err)
			}
			if len(snapshot(t, a)) != len(before) {
				t.Error("something was written")
			}
			if _, err := os.Lstat(folder); err == nil {
				t.Error("the stage was left behind")
			}
		})
	}
}

// A program of its own, as agent.validate may be, sees the stage.
func TestCheckWithAScript(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // it has no shell
	}
	a := stock(t, "debian")
	script := filepath.Join(a.DataDir, "validate")
	must(t, os.WriteFile(script, []byte("#!/bin/sh\nfor last; do :; done\ngrep -q master2.example.com \"${last#Configuration.ConfigDir=}/zones.conf\"\n"), 0o700))
	a.ValidateCommand, a.Run = []string{script}, runProgram
	folder := filepath.Join(filepath.Dir(a.ConfigDir), "stage")
	must(t, a.Check(t.Context(), mustChange(t, a, twoParents(), nil), folder))
	other := twoParents()
	other.Parents = other.Parents[:1]
	if err := a.Check(t.Context(), mustChange(t, a, other, nil), folder); err == nil {
		t.Error("the script would have refused that")
	}
}
