//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"icinga-enroll/enroll"
	"icinga-enroll/platform"
	"icinga-enroll/platform/service"
)

// A disk that is full when the machine boots is waited for, and said once; who
// holds the lock is another daemon only where one does.
func TestDaemonWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		d := &daemon{
			notify: service.NewNotifier(), enroller: &enroll.Enroller{},
			news: newNews(hclog.New(&hclog.LoggerOptions{Output: &log})),
		}
		answers := []error{syscall.ENOSPC, syscall.ENOSPC, nil}
		mark := func(context.Context, string) (*enroll.Hold, error) {
			err := answers[0]
			answers = answers[1:]
			if err != nil {
				return nil, fmt.Errorf("lock state: %w", err)
			}
			return &enroll.Hold{}, nil
		}
		if hold, err := d.take(t.Context(), mark); err != nil || hold == nil {
			t.Errorf("error is %v", err)
		}
		if strings.Count(log.String(), "lock state: no space left") != 1 || strings.Contains(log.String(), "another") {
			t.Errorf("log: %s", log.String())
		}

		ctx, stop := context.WithCancel(t.Context())
		stop()
		full := func(context.Context, string) (*enroll.Hold, error) { return nil, syscall.ENOSPC }
		if _, err := d.take(ctx, full); !errors.Is(err, context.Canceled) {
			t.Errorf("after it was stopped: %v", err)
		}
		denied := func(context.Context, string) (*enroll.Hold, error) { return nil, fs.ErrPermission }
		if _, err := d.take(t.Context(), denied); !errors.Is(err, fs.ErrPermission) || strings.Contains(err.Error(), "another") {
			t.Errorf("without the right to lock: %v", err)
		}
		busy := func(context.Context, string) (*enroll.Hold, error) { return nil, &platform.LockedError{PID: 7} }
		if _, err := d.take(t.Context(), busy); err == nil || !strings.Contains(err.Error(), "another icinga-enroll run") {
			t.Errorf("where another has it: %v", err)
		}
	})
}

// Who stops a service that has only begun must not wait for it.
func TestDaemonStoppedWhileItBegins(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf(`director:
  url: https://127.0.0.1:1/icingaweb2/director
  template_key: %s
ca:
  trust_on_first_use: true
agent:
  manage: never
paths:
  state: %[2]s/state
  certs: %[2]s/certs
`, strings.Repeat("a", 40), dir)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	code := make(chan int, 1)
	go func() { code <- run(ctx, []string{"--config", config, "run"}, io.Discard, io.Discard) }()
	select {
	case got := <-code:
		if got != exitOK {
			t.Errorf("exit code %d", got)
		}
	case <-time.After(30 * time.Second):
		t.Error("it goes on")
	}
}

// A machine that gets its name while the service waits for hours is enrolled then.
func TestDaemonNoticesAnotherName(t *testing.T) {
	name, err := platform.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{log: hclog.NewNullLogger()}
	for before, want := range map[string]bool{"golden.example.com": true, name: false, "": false} {
		if d.name = before; d.renamed() != want {
			t.Errorf("after a round as %q: a round is due: %v", before, !want)
		}
	}
}
