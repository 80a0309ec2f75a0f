//go:build unix

package service

import (
	"bufio"
	"context"
	"errors"
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
		{mode: "plain dies", exitCode: 1, says: "the worker died"},
		{mode: "plain ends when asked to", signal: syscall.SIGTERM},
		{mode: "plain ends when asked to", signal: os.Interrupt},
		{mode: "plain fails late", signal: syscall.SIGTERM, exitCode: 1, says: "the state could not be saved"},
		// The way of Windows, which kardianos/service offers on every system.
		{mode: "managed dies", exitCode: 1, says: "the worker died"},
	} {
		t.Run(c.mode, func(t *testing.T) {
			code, said := serveInChild(t, c.mode, c.signal)
			if code != c.exitCode || said != c.says {
				t.Errorf("exit code %d, %q; want %d, %q", code, said, c.exitCode, c.says)
			}
		})
	}
}

// Windows ends the process when Stop returns.
func TestManagedStopWaitsForTheWork(t *testing.T) {
	late := errors.New("the state could not be saved")
	for _, c := range []struct{ result, want error }{
		{context.Canceled, nil}, {late, late}, {nil, nil},
	} {
		asked, finish := make(chan struct{}), make(chan struct{})
		w := newWorker(func(ctx context.Context) error {
			<-ctx.Done()
			close(asked)
			<-finish
			return c.result
		})
		if err := w.Start(nil); err != nil || w.asked() {
			t.Fatalf("started: %v, asked to stop: %v", err, w.asked())
		}
		stopped := make(chan error, 1)
		go func() { stopped <- w.Stop(nil) }()
		<-asked
		select {
		case err := <-stopped:
			t.Fatalf("stopped with %v while the work went on", err)
		default:
		}
		close(finish)
		if err := <-stopped; !errors.Is(err, c.want) || !w.asked() {
			t.Errorf("work that returned %v: got %v", c.result, err)
		}
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
