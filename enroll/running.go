package enroll

import (
	"context"
	"time"

	"icinga-enroll/platform"
)

// runningFile is held locked by the daemon for as long as it lives.
const runningFile = "running"

// MarkRunning makes [Running] true for this state folder until release is called.
func MarkRunning(ctx context.Context, stateDir string) (release func() error, err error) {
	dir, err := platform.MakeDir(stateDir, 0o755)
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }()
	ctx, cancel := context.WithTimeout(ctx, time.Second) // somebody who looks holds it for a moment
	defer cancel()
	return dir.Mark(ctx, runningFile)
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
