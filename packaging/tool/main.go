// Command tool makes what package managers' tools don't: archives, lists of what a
// program is made of, and the licences of that.
// usage: tool archive FILE FOLDER | tool sbom PROGRAM | tool licences
package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

func main() {
	if err := do(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "tool:", err)
		os.Exit(1)
	}
}

func do(args []string) error {
	switch {
	case len(args) == 3 && args[0] == "archive":
		return archive(args[1], args[2])
	case len(args) == 2 && args[0] == "sbom":
		return sbom(os.Stdout, args[1])
	case len(args) == 1 && args[0] == "licences":
		return licences(os.Stdout)
	default:
		return errors.New("usage: tool archive FILE FOLDER | tool sbom PROGRAM | tool licences")
	}
}

// builtAt is the time that everything has that is made: SOURCE_DATE_EPOCH, as
// reproducible-builds.org has it.
func builtAt() (time.Time, error) {
	seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH: %w: set it to the commit's time, git log -1 --format=%%ct", err)
	}
	return time.Unix(seconds, 0).UTC(), nil
}
