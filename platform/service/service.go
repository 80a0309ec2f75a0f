// Package service hands this program to the machine's service manager: it
// installs, starts and asks after the service, runs its work under the manager,
// and tells the manager how the work goes.
//
// What the manager reads is ours for systemd, OpenRC, System V init and
// FreeBSD's rc; github.com/kardianos/service serves launchd, Windows and what
// else there is.
package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"icinga-enroll/platform"
)

// Config says what is installed.
type Config struct {
	Name        string   // such as icinga-enroll: letters, digits, "-", "_", "."
	Description string   // one line
	Executable  string   // absolute path; "": this program
	Arguments   []string // such as --config /etc/icinga-enroll/config.yml run
	// WritePaths are absolute paths of folders that the service writes to, made
	// or not yet. Only systemd asks for them: it shows the service everything
	// else read-only. /var/lib needs no mention.
	WritePaths []string
	// OtherPaths are folders of other programs that it writes to, too. They may
	// appear later: from the next start of the service on they can be written.
	OtherPaths []string
	// Devices are those that the service opens. Only systemd asks for them, too: it
	// hides all others but those like /dev/null.
	Devices []string
}

// State is what a service manager says of a service.
type State int

// What a service may be.
const (
	NotInstalled State = iota
	Stopped            // installed, and not meant to run now
	Running            // also while it starts or stops
	Failed             // it should run, and died; the manager may be about to restart it
)

// String returns "not installed", "stopped", "running" or "failed".
func (s State) String() string {
	return map[State]string{NotInstalled: "not installed", Stopped: "stopped", Running: "running", Failed: "failed"}[s]
}

// manager is a kind of service manager. Its methods get names that have been
// checked and a Config that has been completed; all but install and state are
// only asked of services that are installed, uninstall of those that are
// stopped, reload of those that run.
type manager interface {
	install(ctx context.Context, c Config) error
	uninstall(ctx context.Context, name string) error
	control(ctx context.Context, name, action string) error // start, stop, restart
	state(ctx context.Context, name string) (State, error)
	enabled(ctx context.Context, name string) (bool, error)
	enable(ctx context.Context, name string) error // have it started at every boot
	reload(ctx context.Context, name string) error // have it read its configuration
}

// Install makes the service known to the manager and has it started at every
// boot; it doesn't start it now. Where it is installed already, it is no error,
// and what differs is rewritten: a running service uses that from its next
// start on. An Install that fails leaves what was there before.
func Install(ctx context.Context, c Config) error { return install(ctx, thisSystem(), c) }

func install(ctx context.Context, m manager, c Config) error {
	c, err := c.complete()
	if err != nil {
		return err
	}
	if err = platform.Guarded(c.Executable); err == nil { // root runs it at every boot
		err = m.install(ctx, c)
	}
	if err != nil {
		return fmt.Errorf("installing the service %s: %w", c.Name, err)
	}
	return nil
}

// Uninstall stops the service and removes what Install has made. A service that
// isn't installed is no error.
func Uninstall(ctx context.Context, name string) error {
	m := thisSystem()
	state, err := look(ctx, m, name)
	if err != nil || state == NotInstalled {
		return err
	}
	if state != Stopped {
		err = m.control(ctx, name, "stop")
	}
	if err == nil {
		err = m.uninstall(ctx, name)
	}
	if err != nil {
		return fmt.Errorf("uninstalling the service %s: %w", name, err)
	}
	return nil
}

// Start starts the service; one that runs is no error.
func Start(ctx context.Context, name string) error { return control(ctx, name, "start") }

// Stop stops the service and waits until it has ended; one that doesn't run is
// no error. It stays stopped until somebody starts it or the machine boots.
func Stop(ctx context.Context, name string) error { return control(ctx, name, "stop") }

// Restart stops the service where it runs, and starts it.
func Restart(ctx context.Context, name string) error { return control(ctx, name, "restart") }

// Reload has a service that runs read its configuration again; where a service
// manager knows no such thing it is restarted.
func Reload(ctx context.Context, name string) error {
	if err := thisSystem().reload(ctx, name); err != nil {
		return fmt.Errorf("service %s: reload: %w", name, err)
	}
	return nil
}

// ErrMasked says that somebody has seen to it that a service can't be started.
var ErrMasked = errors.New("it is masked: somebody wants it not to be started (systemctl unmask undoes that)")

// ErrNotBooted says that the service manager doesn't run here: this is a folder
// that will be a machine, or a container without one.
var ErrNotBooted = errors.New("systemd doesn't run here; it will start the service when this machine boots")

// Enable has a service started at every boot. The error may be [ErrMasked].
func Enable(ctx context.Context, name string) error {
	if err := thisSystem().enable(ctx, name); err != nil {
		return fmt.Errorf("service %s: enable: %w", name, err)
	}
	return nil
}

func control(ctx context.Context, name, action string) error {
	m := thisSystem()
	state, err := look(ctx, m, name)
	switch {
	case err != nil:
		return err
	case state == NotInstalled:
		return fmt.Errorf("the service %s is not installed: run \"icinga-enroll service install\" first", name)
	case state == Running && action == "start", state == Stopped && action == "stop":
		return nil
	case state != Running && action == "restart":
		action = "start"
	}
	if err := m.control(ctx, name, action); err != nil {
		return fmt.Errorf("service %s: %s: %w", name, action, err)
	}
	return nil
}

// Status says how the service is. Any account may ask.
func Status(ctx context.Context, name string) (State, error) { return look(ctx, thisSystem(), name) }

// Enabled reports whether the service is started when the machine boots; false
// for one that isn't installed. Any account may ask.
func Enabled(ctx context.Context, name string) (bool, error) {
	m := thisSystem()
	state, err := look(ctx, m, name)
	if err != nil || state == NotInstalled {
		return false, err
	}
	enabled, err := m.enabled(ctx, name)
	if err != nil {
		return false, fmt.Errorf("asking whether the service %s is started at boot: %w", name, err)
	}
	return enabled, nil
}

func look(ctx context.Context, m manager, name string) (State, error) {
	if err := checkName(name); err != nil {
		return NotInstalled, err
	}
	state, err := m.state(ctx, name)
	if err != nil {
		return NotInstalled, fmt.Errorf("asking for the service %s: %w", name, err)
	}
	return state, nil
}

// complete checks c: what is in it ends up in files that root's service
// manager obeys.
func (c Config) complete() (Config, error) {
	if err := checkName(c.Name); err != nil {
		return c, err
	}
	if c.Executable == "" {
		self, err := ownPath()
		if err != nil {
			return c, fmt.Errorf("where this program is: %w", err)
		}
		c.Executable = self
	}
	for _, path := range slices.Concat([]string{c.Executable}, c.WritePaths, c.OtherPaths) {
		if !filepath.IsAbs(path) {
			return c, fmt.Errorf("service %s: %q must be an absolute path", c.Name, path)
		}
	}
	for _, text := range slices.Concat([]string{c.Description, c.Executable}, c.Arguments, c.WritePaths, c.OtherPaths) {
		if strings.ContainsFunc(text, unicode.IsControl) {
			return c, fmt.Errorf("service %s: %q has a control character in it", c.Name, text)
		}
	}
	return c, nil
}

// ownPath is where this program is. Linux tells it in /proc, which isn't in every
// folder that a package is installed in to be a machine: then it is what was called.
func ownPath() (string, error) {
	path, err := os.Executable()
	if err == nil {
		return path, nil
	}
	if path, err = exec.LookPath(os.Args[0]); err != nil {
		return "", err
	}
	return filepath.Abs(path)
}

func checkName(name string) error {
	const known = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.@"
	if strings.Trim(name, known) != "" || strings.Trim(name, "-_.@") == "" || name[0] == '-' || name[0] == '.' {
		return fmt.Errorf("%q is no name for a service: want letters, digits, \"-\", \"_\", \".\"", name)
	}
	return nil
}

func explain(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: run this as root, on Windows as Administrator", err)
	}
	return err
}
