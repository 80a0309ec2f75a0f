package enroll

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"icinga-enroll/platform"
)

// The daemon holds two files locked for as long as it lives: one that only it
// can open, so that there is one daemon, and one that everybody can look at.
const (
	daemonFile  = "daemon"
	runningFile = "running"
)

// Hold is a state folder that this process cares for.
type Hold struct {
	alone *platform.Held
	seen  func() error // nil: checks see no daemon
}

// Release lets another daemon care for the folder.
func (h *Hold) Release() {
	_ = h.alone.Release()
	if h.seen != nil {
		_ = h.seen()
	}
}

// Lost says so where the folder isn't the one any more that is held.
func (h *Hold) Lost() error { return h.alone.Lost() }

// MarkRunning makes [Running] true for this state folder until the hold is
// released. Where another daemon cares for it the error is [*platform.LockedError].
func MarkRunning(ctx context.Context, stateDir string) (*Hold, error) {
	dir, err := platform.MakeDir(stateDir, 0o755)
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }()
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	alone, err := dir.Hold(ctx, daemonFile)
	if err != nil {
		return nil, err
	}
	// Any account could hold this one, so it is only a sign: without it checks
	// see no daemon, and the care goes on.
	seen, err := dir.Mark(ctx, runningFile)
	if err != nil {
		seen = nil
	}
	return &Hold{alone, seen}, nil
}

// HasRun reports whether a daemon has ever cared for stateDir. It needs no privilege.
func HasRun(stateDir string) bool {
	_, err := os.Lstat(filepath.Join(stateDir, daemonFile))
	return err == nil
}

// Running reports whether a daemon cares for stateDir. It needs no privilege.
func Running(stateDir string) (bool, error) {
	dir, err := platform.OpenDir(stateDir)
	if err != nil {
		return false, err
	}
	defer func() { _ = dir.Close() }()
	return dir.Marked(runningFile)
}
