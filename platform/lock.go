package platform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
)

// lockPoll is how long to wait before trying again to get a lock.
const lockPoll = 100 * time.Millisecond

// LockedError says that another process held the lock the whole time. It is
// temporary. It wraps the reason why waiting ended, [context.Canceled] or
// [context.DeadlineExceeded].
type LockedError struct {
	PID  int    // the process that holds the lock, 0 if that isn't known
	Path string // the lock's file

	ended error
}

func (e *LockedError) Error() string {
	holder := "another process"
	if e.PID != 0 {
		holder = fmt.Sprintf("process %d", e.PID)
	}
	return fmt.Sprintf("%s holds the lock %s: wait until it has finished, or stop it", holder, e.Path)
}

// Temporary reports true: the other process will end some day.
func (e *LockedError) Temporary() bool { return true }

func (e *LockedError) Unwrap() error { return e.ended }

// Lock takes the lock name, a file in the folder, for this process alone and
// waits for it until ctx is done; then the error is a [*LockedError]. It is
// tried once even if ctx is done already. The operating system frees the lock
// when the process ends, however it ends. The file stays and holds the number
// of the process that had the lock last; it is 0600, or any account could open
// and lock it.
func (d *Dir) Lock(ctx context.Context, name string) (release func() error, err error) {
	held, err := d.Hold(ctx, name)
	if err != nil {
		return nil, err
	}
	return held.Release, nil
}

// Hold is [Dir.Lock] for who keeps the lock for long.
func (d *Dir) Hold(ctx context.Context, name string) (*Held, error) { return d.lock(ctx, name, 0o600) }

// Held is a lock that this process has.
type Held struct {
	f    *os.File
	path string
}

// Release gives the lock back.
func (h *Held) Release() error { return errors.Join(unlock(h.f), h.f.Close()) }

// Lost says so where the lock's file isn't in the folder any more: somebody has
// removed or replaced file or folder, and another process may have the lock that
// is there now.
func (h *Held) Lost() error {
	mine, err := h.f.Stat()
	if err != nil {
		return err
	}
	there, err := os.Lstat(h.path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(mine, there) {
		return fmt.Errorf("the lock %s, which this process holds, was removed or replaced: another process may be at work there", h.path)
	}
	return nil
}

// Mark takes a lock that is only a sign of life: any account can see whether it
// is held, see [Dir.Marked], and so any account could hold it too.
func (d *Dir) Mark(ctx context.Context, name string) (release func() error, err error) {
	held, err := d.lock(ctx, name, 0o644)
	if err != nil {
		return nil, err
	}
	return held.Release, nil
}

// Marked reports whether a process holds the mark name.
func (d *Dir) Marked(name string) (bool, error) {
	f, err := d.openRegular(name, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, explain("look at "+d.join(name), err)
	}
	defer func() { _ = f.Close() }() // and with it the lock, if it is ours now
	free, err := tryLock(f)
	return !free, err
}

func (d *Dir) lock(ctx context.Context, name string, perm fs.FileMode) (*Held, error) {
	for {
		f, err := d.tryLock(name, perm)
		if err == nil {
			return &Held{f, d.join(name)}, nil
		}
		busy := (*LockedError)(nil)
		if !errors.As(err, &busy) {
			return nil, explain("lock "+d.join(name), err)
		}
		select {
		case <-ctx.Done():
			busy.ended = ctx.Err()
			return nil, busy
		case <-time.After(lockPoll):
		}
	}
}

func (d *Dir) tryLock(name string, perm fs.FileMode) (*os.File, error) {
	f, err := d.openLock(name, perm)
	if err != nil {
		return nil, err
	}
	locked, err := tryLock(f)
	switch {
	case err != nil:
	case !locked:
		err = &LockedError{PID: readPID(f), Path: d.join(name)}
	default:
		_ = writePID(f) // a full disk is no reason not to be the only one
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// openLock gives the file its mode, whatever the umask is, also where a process
// was killed before it had done that.
func (d *Dir) openLock(name string, perm fs.FileMode) (*os.File, error) {
	f, err := d.openRegular(name, os.O_RDWR)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = d.create(name, perm, Owner{})
	}
	if errors.Is(err, fs.ErrExist) {
		f, err = d.openRegular(name, os.O_RDWR)
	}
	if err != nil {
		return nil, err
	}
	if err := setMode(f, perm); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func readPID(f *os.File) int {
	text, err := io.ReadAll(io.LimitReader(f, 32))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return pid
}

func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := fmt.Fprintln(contents(f), os.Getpid())
	return err
}
