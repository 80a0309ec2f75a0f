package service

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
)

// thisSystem returns this machine's service manager.
func thisSystem() manager {
	if s, found := findSystemd(); found {
		return s
	}
	if has("/sbin/openrc-run") {
		return openrc
	}
	if has("/sbin/init") && has("/etc/init.d") {
		return sysv
	}
	return none{}
}

func has(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

var openrc = scripts{
	folder:   "/etc/init.d",
	template: openrcTemplate,
	perm:     0o755,
	reloads:  "reload",
	enabling: func(ctx context.Context, name string) error {
		return call(ctx, "rc-update", "--quiet", "add", name, "default")
	},
	disable: leaveRunlevels,
	starts:  func(_ context.Context, name string) (bool, error) { return linked("/etc/runlevels/*/" + name) },
}

// leaveRunlevels names each: to leave one that it isn't in is an error.
func leaveRunlevels(ctx context.Context, name string) error {
	links, err := filepath.Glob("/etc/runlevels/*/" + name)
	for _, link := range links {
		runlevel := filepath.Base(filepath.Dir(link))
		err = errors.Join(err, call(ctx, "rc-update", "--quiet", "delete", name, runlevel))
	}
	return err
}

// sysv has two programs that make the links of its runlevels: Debian's and
// Red Hat's.
var sysv = scripts{
	folder:   "/etc/init.d",
	template: sysvTemplate,
	perm:     0o755,
	reloads:  "reload",
	enabling: func(ctx context.Context, name string) error {
		if _, err := exec.LookPath("update-rc.d"); errors.Is(err, exec.ErrNotFound) {
			return call(ctx, "chkconfig", "--add", name)
		}
		return call(ctx, "update-rc.d", name, "defaults")
	},
	disable: func(ctx context.Context, name string) error {
		if _, err := exec.LookPath("update-rc.d"); errors.Is(err, exec.ErrNotFound) {
			return call(ctx, "chkconfig", "--del", name)
		}
		return call(ctx, "update-rc.d", "-f", name, "remove")
	},
	starts: func(_ context.Context, name string) (bool, error) {
		return linked("/etc/rc[2345].d/S[0-9][0-9]" + name)
	},
}

func call(ctx context.Context, program string, args ...string) error {
	_, err := output(ctx, program, args...)
	return err
}

func linked(pattern string) (bool, error) {
	links, err := filepath.Glob(pattern)
	return len(links) > 0, err
}

// errNoManager is for machines on which nothing starts services.
var errNoManager = errors.New("no service manager was found on this machine: start \"icinga-enroll run\" by whatever starts programs here")

// none is a machine without a service manager, such as most containers.
type none struct{}

func (none) install(context.Context, Config) error         { return errNoManager }
func (none) uninstall(context.Context, string) error       { return errNoManager }
func (none) control(context.Context, string, string) error { return errNoManager }
func (none) state(context.Context, string) (State, error)  { return NotInstalled, errNoManager }
func (none) enable(context.Context, string) error          { return errNoManager }
func (none) reload(context.Context, string) error          { return errNoManager }
func (none) enabled(context.Context, string) (bool, error) { return false, errNoManager }
