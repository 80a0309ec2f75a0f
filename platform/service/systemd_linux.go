package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// systemd works by files and systemctl, which needs no running systemd to
// install into the image of a machine.
type systemd struct {
	units    string   // the folder for an administrator's units
	packaged []string // the folders of units that came with a package
	booted   bool     // systemd runs here
}

const systemdRuns = "/run/systemd/system" // sd_booted(3)

// findSystemd reports whether services here are systemd's: it runs, or it will
// when this image of a machine boots.
func findSystemd() (systemd, bool) {
	_, err := os.Stat(systemdRuns)
	s := systemd{
		units:    "/etc/systemd/system",
		packaged: []string{"/usr/lib/systemd/system", "/lib/systemd/system"},
		booted:   err == nil,
	}
	if s.booted {
		return s, true
	}
	target, err := os.Readlink("/sbin/init")
	return s, err == nil && filepath.Base(target) == "systemd"
}

func unitName(name string) string { return name + ".service" }

func (s systemd) file(name string) string { return filepath.Join(s.units, unitName(name)) }

func (s systemd) install(ctx context.Context, c Config) error {
	if s.isInstance(c.Name) {
		return s.load(ctx, "enable", unitName(c.Name))
	}
	if err := c.visible(); err != nil {
		return err
	}
	text, err := unit(c.resolved())
	if err != nil {
		return err
	}
	// What links to nothing is masked, and would be replaced.
	if target, err := os.Readlink(s.file(c.Name)); err == nil && target == os.DevNull {
		return ErrMasked
	}
	undo, err := s.provide(c.Name, text)
	if err != nil {
		return err
	}
	// Enabled before, its link may lead to a file that is gone: systemd goes by names.
	if err := s.load(ctx, "enable", unitName(c.Name)); err != nil {
		return errors.Join(err, undo(), s.reread(context.WithoutCancel(ctx)))
	}
	return nil
}

// provide puts the unit into place. A package's that does the same needs only
// that none shadows it.
func (s systemd) provide(name, text string) (undo func() error, err error) {
	if s.isPackaged(name, text) {
		return withdraw(s.file(name))
	}
	return replace(s.file(name), text, 0o644)
}

// visible refuses what the service could not see: the sandbox gives it temporary
// folders of its own. A link there is as invisible as what a link leads to.
func (c Config) visible() error {
	for _, named := range slices.Concat([]string{c.Executable}, c.Arguments, c.WritePaths, c.OtherPaths) {
		for _, path := range []string{filepath.Clean(named), resolve(named)} {
			if within(path, "/tmp") || within(path, "/var/tmp") {
				return fmt.Errorf("%s: the service has a /tmp and a /var/tmp of its own, in which this isn't: move it elsewhere", path)
			}
		}
	}
	return nil
}

// isInstance reports whether name is one of a template that a package has.
func (s systemd) isInstance(name string) bool {
	template, _, found := strings.Cut(name, "@")
	return found && s.hasTemplate(template)
}

func (s systemd) hasTemplate(name string) bool {
	return slices.ContainsFunc(s.packaged, func(dir string) bool {
		_, err := os.Stat(filepath.Join(dir, unitName(name+"@")))
		return err == nil
	})
}

func (s systemd) isPackaged(name, text string) bool {
	return slices.ContainsFunc(s.packaged, func(dir string) bool {
		data, err := os.ReadFile(filepath.Join(dir, unitName(name)))
		return err == nil && string(data) == text
	})
}

func (s systemd) uninstall(ctx context.Context, name string) error {
	if err := systemctl(ctx, "disable", unitName(name)); err != nil {
		return err
	}
	if err := remove(s.file(name)); err != nil && !s.isInstance(name) {
		return err
	}
	if err := s.reread(ctx); err != nil {
		return err
	}
	if s.booted {
		_ = systemctl(ctx, "reset-failed", unitName(name)) // is an error where it hasn't failed
	}
	return nil
}

// load has systemd read its units again, and then does action.
func (s systemd) load(ctx context.Context, action ...string) error {
	if err := s.reread(ctx); err != nil {
		return err
	}
	return systemctl(ctx, action...)
}

// reread has systemd read its units again.
func (s systemd) reread(ctx context.Context) error {
	if !s.booted {
		return nil
	}
	return systemctl(ctx, "daemon-reload")
}

func (s systemd) control(ctx context.Context, name, action string) error {
	if !s.booted {
		return ErrNotBooted
	}
	if err := systemctl(ctx, action, unitName(name)); err != nil {
		return fmt.Errorf("%w (journalctl -u %s tells more)", err, name)
	}
	return nil
}

func (s systemd) enable(ctx context.Context, name string) error {
	// It says so with an exit code, too.
	if out, _ := output(ctx, "systemctl", "is-enabled", unitName(name)); strings.HasPrefix(out, "masked") {
		return ErrMasked
	}
	return systemctl(ctx, "enable", unitName(name))
}

func (s systemd) reload(ctx context.Context, name string) error {
	return s.control(ctx, name, "reload")
}

func (s systemd) state(ctx context.Context, name string) (State, error) {
	if !s.booted {
		return s.stateOfImage(name)
	}
	out, err := output(ctx, "systemctl", "show", "--property=LoadState,ActiveState,SubState", unitName(name))
	if err != nil {
		return NotInstalled, err
	}
	return readState(out)
}

func (s systemd) stateOfImage(name string) (State, error) {
	for _, dir := range append([]string{s.units}, s.packaged...) {
		if _, err := os.Stat(filepath.Join(dir, unitName(name))); err == nil {
			return Stopped, nil
		}
	}
	return NotInstalled, nil
}

// readState reads what "systemctl show" prints. While systemd waits before it
// starts a dead service again, that service is "activating".
func readState(shown string) (State, error) {
	is := map[string]string{}
	for line := range strings.Lines(shown) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		is[key] = value
	}
	switch {
	case is["LoadState"] == "":
		return NotInstalled, fmt.Errorf("systemctl answered %q", shown)
	case is["ActiveState"] == "failed", strings.HasPrefix(is["SubState"], "auto-restart"):
		return Failed, nil
	case is["ActiveState"] != "inactive":
		return Running, nil
	case is["LoadState"] == "not-found":
		return NotInstalled, nil
	}
	return Stopped, nil
}

func (s systemd) enabled(ctx context.Context, name string) (bool, error) {
	out, err := output(ctx, "systemctl", "is-enabled", unitName(name))
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && strings.TrimSpace(out) != "" {
		return false, nil // "disabled", "masked", …
	}
	return err == nil && strings.HasPrefix(out, "enabled"), err
}

func systemctl(ctx context.Context, args ...string) error {
	_, err := output(ctx, "systemctl", append([]string{"--quiet", "--no-ask-password"}, args...)...)
	return err
}
