//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

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
