package crash_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"icinga-enroll/testdata/campaign"
)

// TestProgramHasNoFailPoints: what users have can't be made to fail.
func TestProgramHasNoFailPoints(t *testing.T) {
	for tag, want := range map[string]bool{"": false, "failpoints": true} {
		program, err := os.ReadFile(campaign.Build(t, tag))
		must(t, err)
		if got := bytes.Contains(program, []byte("FAILPOINT")); got != want {
			t.Errorf("built with the tag %q it has fail points: %v", tag, got)
		}
	}
}

// operation is one thing that a run does to the file system.
type operation struct {
	number     int
	kind, name string
	ended      int64 // Unix nanoseconds
}

// moments are where it can be struck.
func (o operation) moments() []string {
	if o.kind == "write" {
		return []string{"before", "half", "after"}
	}
	return []string{"before", "after"}
}

// failures are what a disk may do there.
func (o operation) failures() []string {
	switch o.kind {
	case "create", "write", "mkdir", "symlink", "rename", "sync":
		return []string{"ENOSPC", "EIO"}
	}
	return []string{"EIO"}
}

// record has the program run to its end, and returns what it has done.
func (w *world) record(t *testing.T, args ...string) (done []operation, took time.Duration) {
	t.Helper()
	w.restore(t)
	trace := filepath.Join(t.TempDir(), "trace")
	w.Env = append(w.Env[:1:1], "FAILPOINT_TRACE="+trace)
	took = w.mustRun(t, args...).Took
	return readTrace(t, trace), took
}

func readTrace(t *testing.T, trace string) (done []operation) {
	t.Helper()
	data, err := os.ReadFile(trace)
	must(t, err)
	for line := range strings.Lines(string(data)) {
		var o operation
		if _, err := fmt.Sscan(line, &o.number, &o.kind, &o.name, &o.ended); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if o.number != len(done)+1 {
			t.Fatalf("operation %d comes after %d", o.number, len(done))
		}
		done = append(done, o)
	}
	return done
}
