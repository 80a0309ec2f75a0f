package platform

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

func init() {
	helpers["lock"] = func(d *Dir) string {
		_, err := d.Lock(context.Background(), "lock")
		return fmt.Sprint(err)
	}
}

// tryOnce is a context that is done already.
func tryOnce() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func wantLocked(t *testing.T, err error, pid int) {
	t.Helper()
	locked := (*LockedError)(nil)
	if !errors.As(err, &locked) {
		t.Fatalf("got %v, want a LockedError", err)
	}
	if locked.PID != pid {
		t.Errorf("held by %d, want %d", locked.PID, pid)
	}
}

func TestLockOfAnotherProcess(t *testing.T) {
	path := ownFolder(t)
	d := openDir(t, path)
	holder := startHelper(t, "lock", path)
	if holder.said != "<nil>" {
		t.Fatal(holder.said)
	}
	_, err := d.Lock(tryOnce(), "lock")
	wantLocked(t, err, holder.Process.Pid)
	wantTemporary(t, err)
	wantError(t, err, fmt.Sprint(holder.Process.Pid), d.join("lock"), "wait until")

	// SIGKILL, on Windows TerminateProcess: it can't clean up.
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	release, err := d.Lock(t.Context(), "lock")
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, d, "lock"); got != fmt.Sprintln(os.Getpid()) {
		t.Errorf("the file has %q", got)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	wantNames(t, d, "lock")
}

func TestLockWaits(t *testing.T) {
	d := openDir(t, ownFolder(t))
	synctest.Test(t, func(t *testing.T) {
		release, err := d.Lock(t.Context(), "lock")
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err = d.Lock(ctx, "lock")
		wantLocked(t, err, os.Getpid())
		if waited := time.Since(start); waited != 10*time.Second || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("gave up after %v: %v", waited, err)
		}

		time.AfterFunc(5*time.Second, func() { _ = release() })
		start = time.Now()
		again, err := d.Lock(t.Context(), "lock")
		if err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(start); waited < 5*time.Second || waited > 5*time.Second+lockPoll {
			t.Errorf("got it after %v", waited)
		}
		if err := again(); err != nil {
			t.Error(err)
		}
	})
}

func TestLockWaitIsCancelled(t *testing.T) {
	d := openDir(t, ownFolder(t))
	release, err := d.Lock(t.Context(), "lock")
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Lock(tryOnce(), "lock")
	wantLocked(t, err, os.Getpid())
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	// Tried once all the same, and one lock is not another.
	again, err := d.Lock(tryOnce(), "lock")
	if err != nil {
		t.Fatal(err)
	}
	other, err := d.Lock(tryOnce(), "other")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(again(), other()); err != nil {
		t.Error(err)
	}
	if err := again(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a lock given back keeps its file open: %v", err)
	}
}

func TestLockFileOfAnyContent(t *testing.T) {
	for _, text := range []string{"", "no number", "99999999999999999999999999999999999999999"} {
		d := openDir(t, ownFolder(t))
		write(t, d, "lock", text)
		release, err := d.Lock(t.Context(), "lock")
		if err != nil {
			t.Fatal(err)
		}
		if got := read(t, d, "lock"); got != fmt.Sprintln(os.Getpid()) {
			t.Errorf("the file has %q", got)
		}
		if err := release(); err != nil {
			t.Error(err)
		}
	}
}

func TestMarkIsSeenByWhoCanOnlyRead(t *testing.T) {
	path := ownFolder(t)
	d := openDir(t, path)
	if marked, err := d.Marked("running"); marked || err != nil {
		t.Fatalf("without a file: %v, %v", marked, err)
	}
	release, err := d.Mark(t.Context(), "running")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(path, "running")); err != nil || info.Mode().Perm()&0o444 == 0 {
		t.Errorf("the mark can't be read by others: %v, %v", info, err)
	}
	if marked, err := d.Marked("running"); !marked || err != nil {
		t.Errorf("while it is held: %v, %v", marked, err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // looking takes no mark away
		if marked, err := d.Marked("running"); marked || err != nil {
			t.Errorf("after it was released: %v, %v", marked, err)
		}
	}
}
