//go:build unix

package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"icinga-enroll/platform"
)

// replace writes text to file, whole or not at all, where it isn't what is
// there already. undo brings back what was there before.
func replace(file, text string, perm fs.FileMode) (undo func() error, err error) {
	before, err := os.ReadFile(file)
	switch {
	case err == nil && string(before) == text:
		return func() error { return nil }, os.Chmod(file, perm)
	case err == nil:
		undo = func() error { return write(file, string(before), perm) }
	case errors.Is(err, fs.ErrNotExist):
		undo = func() error { return remove(file) }
	default:
		return nil, explain(err)
	}
	return undo, explain(write(file, text, perm))
}

// withdraw removes file, if it is there. undo brings it back.
func withdraw(file string) (undo func() error, err error) {
	before, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return func() error { return nil }, nil
	}
	if err != nil {
		return nil, explain(err)
	}
	return func() error { return write(file, string(before), 0o644) }, remove(file)
}

func write(file, text string, perm fs.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Chmod(perm), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}

// remove removes file; one that isn't there is no error.
func remove(file string) error {
	if err := os.Remove(file); !errors.Is(err, fs.ErrNotExist) {
		return explain(err)
	}
	return nil
}

// output runs a program of the service manager and returns what it printed. An
// error has what it complained of.
func output(ctx context.Context, program string, args ...string) (string, error) {
	if err := platform.GuardedProgram(program); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // G204: systemctl and its like, and our own script
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	cmd.Env = append(platform.PublicEnv(), "LC_ALL=C", "SYSTEMD_COLORS=0", "SYSTEMD_PAGER=")
	out, err := cmd.Output()
	if err == nil {
		return string(out), nil
	}
	said := strings.TrimSpace(complaint.String())
	if said == "" {
		said = strings.TrimSpace(string(out))
	}
	if said != "" {
		said = ": " + said
	}
	return string(out), fmt.Errorf("%s %s: %w%s", filepath.Base(program), strings.Join(args, " "), err, said)
}
