//go:build failpoints

package platform

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// FAILPOINT=N:HOW makes the N-th operation on the file system, from 1, end this
// process by SIGKILL (before it, in its midst, after it) or fail as on a disk
// that is full or broken. FAILPOINT_TRACE names a file that gets a line for each
// operation that was done: number, kind, name, and when it ended in nanoseconds.
const (
	before = "before"
	half   = "half" // a write has written half of what it was to; else as before
	after  = "after"
)

var failures = map[string]error{"ENOSPC": syscall.ENOSPC, "EIO": syscall.EIO}

var points struct {
	sync.Mutex
	done int
}

func attempt(kind, name string, do func() error) error {
	return reach(kind, name, do, func() {})
}

// reach does the next operation, or what FAILPOINT says of it; partly is its half.
func reach(kind, name string, do func() error, partly func()) error {
	points.Lock()
	defer points.Unlock()
	points.done++
	number, how, _ := strings.Cut(os.Getenv("FAILPOINT"), ":")
	if number != fmt.Sprint(points.done) {
		how = ""
	}
	failure := failures[how]
	if how == half || failure != nil {
		partly()
	}
	if how == before || how == half {
		die()
	}
	if failure != nil {
		return failure
	}
	err := do()
	trace(kind, name)
	if how == after {
		die()
	}
	return err
}

func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

func trace(kind, name string) {
	file := os.Getenv("FAILPOINT_TRACE")
	if file == "" {
		return
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = fmt.Fprintln(f, points.done, kind, name, time.Now().UnixNano())
	}
	if err != nil {
		panic(err)
	}
	_ = f.Close()
}

func contents(f *os.File) io.Writer { return torn{f} }

// torn writes to a file in operations that can be cut in two.
type torn struct{ f *os.File }

func (t torn) Write(p []byte) (n int, err error) {
	err = reach("write", filepath.Base(t.f.Name()), func() error { n, err = t.f.Write(p); return err },
		func() { n, _ = t.f.Write(p[:len(p)/2]) })
	return n, err
}
