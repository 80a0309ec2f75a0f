//go:build unix

package service

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestServe runs this test's own program as a service.
func TestServe(t *testing.T) {
	for _, c := range []struct {
		mode     string
		signal   os.Signal
		exitCode int
		says     string
	}{
		{mode: "dies", exitCode: 1, says: "the worker died"},
		{mode: "ends when asked to", signal: syscall.SIGTERM},
		{mode: "ends when asked to", signal: os.Interrupt},
		{mode: "fails late", signal: syscall.SIGTERM, exitCode: 1, says: "the state could not be saved"},
	} {
		t.Run(c.mode, func(t *testing.T) {
			code, said := serveInChild(t, c.mode, c.signal)
			if code != c.exitCode || said != c.says {
				t.Errorf("exit code %d, %q; want %d, %q", code, said, c.exitCode, c.says)
			}
		})
	}
}

// serveInChild sends the signal, if any, as soon as the work has begun.
func serveInChild(t *testing.T, mode string, signal os.Signal) (exitCode int, said string) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), "SERVE_TEST="+mode)
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(pipe)
	if line, err := out.ReadString('\n'); line != "works\n" {
		t.Fatalf("it began with %q (%v)", line, err)
	}
	if signal != nil {
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
	}
	rest, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // its error is the exit code
	return cmd.ProcessState.ExitCode(), strings.TrimSpace(string(rest))
}
