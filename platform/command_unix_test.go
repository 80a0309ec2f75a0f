//go:build unix

package platform

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestRunGivesTheProgramItsEnvironmentAndNoSecrets(t *testing.T) {
	t.Setenv("ICINGA_ENROLL_DIRECTOR_TEMPLATE_KEY", "secret")
	t.Setenv("CREDENTIALS_DIRECTORY", "/secret")
	t.Setenv("NOTIFY_SOCKET", "/secret")
	out, err := Run(t.Context(), []string{"sh", "-c", "env; echo on stderr >&2"}, []string{"ICINGA_HOOK_CN=web1.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out, "ICINGA_HOOK_CN=web1.example.com") || !strings.Contains(out, "on stderr") {
		t.Errorf("output is %q", out)
	}
	if strings.Contains(out, "secret") {
		t.Errorf("the environment has what is not for it: %q", out)
	}
}

// systemd-run is looked for in PATH, too.
func TestRootHasNobodyElsesProgramRunAnother(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root is guarded so")
	}
	dir := ownFolder(t)
	theirs := filepath.Join(dir, "systemd-run")
	must(t, os.WriteFile(theirs, []byte("#!/bin/sh\necho theirs\n"), 0o755), os.Chown(theirs, 64911, 0))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("INVOCATION_ID", "1")
	t.Setenv("NOTIFY_SOCKET", "/x")
	out, err := Run(t.Context(), []string{"true"}, nil)
	wantError(t, err, theirs+" belongs to uid 64911")
	if out != "" {
		t.Errorf("it printed %q", out)
	}
}

func TestRunSaysHowTheProgramEnded(t *testing.T) {
	out, err := Run(t.Context(), []string{"sh", "-c", "echo no; exit 3"}, nil)
	if err == nil || out != "no" {
		t.Errorf("output %q, error %v", out, err)
	}
	if _, err := Run(t.Context(), []string{"/no/such/program"}, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
	if _, err := Run(t.Context(), nil, nil); err == nil {
		t.Error("no program, no error")
	}
}

// A hook that hangs is ended with what it has started: the grandchild here holds
// a FIFO open, which comes to its end when nobody does any more.
func TestRunEndsTheWholeGroup(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := Run(ctx, []string{"sh", "-c", "sleep 1000 >" + fifo + " & wait"}, nil)
		done <- err
	}()
	f, err := os.Open(fifo) // waits until the grandchild has opened it
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cancel()
	if err := <-done; err == nil {
		t.Error("no error from a program that was ended")
	}
	if err := f.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(f); err != nil {
		t.Errorf("the grandchild goes on: %v", err)
	}
}

func TestOutputIsKeptToItsEnd(t *testing.T) {
	out, err := Run(t.Context(), []string{"sh", "-c", "yes x | head -c 100000; echo the end"}, nil)
	if err != nil || len(out) > commandOutput || !strings.HasSuffix(out, "the end") {
		t.Errorf("%d bytes, error %v", len(out), err)
	}
}
