package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// ErrNone says that no Icinga 2 is installed here.
var ErrNone = errors.New("no Icinga 2 is installed here: install its package (icinga2)")

// Installed is what an installed Icinga 2 says of itself.
type Installed struct {
	Program   string    `json:"program"`
	Size      int64     `json:"size"` // of the program, in bytes; with Changed it tells whether it is another one
	Changed   time.Time `json:"changed"`
	Version   string    `json:"version"`
	ConfigDir string    `json:"config_dir"`
	DataDir   string    `json:"data_dir"`
	RunDir    string    `json:"run_dir,omitempty"`
}

// Find returns the Icinga 2 of this machine, or [ErrNone]. Where it still is the
// one that was found before, it isn't asked again: starting it takes longer than
// all else on a machine on which there is nothing to do.
func Find(ctx context.Context, run Runner, before Installed) (Installed, error) {
	program, err := lookPath()
	if err != nil {
		return Installed{}, ErrNone
	}
	info, err := os.Stat(program)
	if err != nil {
		return Installed{}, err
	}
	if before.Program == program && before.Size == info.Size() && before.Changed.Equal(info.ModTime()) {
		return before, nil
	}
	out, err := run(ctx, []string{program, "--version"}, nil)
	if err != nil {
		return Installed{}, fmt.Errorf("%s --version: %w: %s", program, err, out)
	}
	found, err := parseVersion(out)
	found.Program, found.Size, found.Changed = program, info.Size(), info.ModTime()
	return found, err
}

func lookPath() (string, error) {
	for _, name := range programs() {
		if program, err := exec.LookPath(name); err == nil {
			return program, nil
		}
	}
	return "", ErrNone
}

var versionOf = regexp.MustCompile(`\(version: ([^)]+)\)`)

// parseVersion reads what "icinga2 --version" prints (seen on 2.13.6 and
// 2.14.6: "  Config directory: /etc/icinga2").
func parseVersion(out string) (Installed, error) {
	var i Installed
	if match := versionOf.FindStringSubmatch(out); match != nil {
		i.Version = strings.TrimLeft(match[1], "rv")
	}
	for line := range strings.Lines(out) {
		label, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch value = strings.TrimSpace(value); label {
		case "Config directory":
			i.ConfigDir = value
		case "Data directory":
			i.DataDir = value
		case "Run directory":
			i.RunDir = value
		}
	}
	if i.Version == "" || i.ConfigDir == "" || i.DataDir == "" {
		return i, errors.New("\"icinga2 --version\" doesn't say where its folders are (Icinga 2 before 2.10?): set agent.config_dir and agent.data_dir")
	}
	return i, nil
}
