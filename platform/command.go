package platform

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

const (
	commandLimit  = time.Minute
	commandOutput = 4 << 10 // bytes of a program's output that are kept
)

// Run runs a program, without a shell, and returns what it printed. It ends it,
// with all that it has started, after a minute or with ctx. Its environment is
// [PublicEnv] and env. Root runs none that is not [Guarded].
//
// From a service of systemd it is run as a service of its own: neither in the
// sandbox of this one, nor without limits.
func Run(ctx context.Context, argv, env []string) (output string, err error) {
	if len(argv) == 0 {
		return "", errors.New("no program is named")
	}
	wrapped := outsideSandbox(argv, env)
	if err := errors.Join(GuardedProgram(argv[0]), GuardedProgram(wrapped[0])); err != nil {
		return "", err
	}
	argv = wrapped
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...) //nolint:gosec // the operator's own program
	var out tail
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = append(PublicEnv(), env...)
	cmd.WaitDelay = time.Second // for children that hold the output open
	endTogether(cmd)
	err = cmd.Run()
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		err = fmt.Errorf("it was ended, as it should be done within %s: %w", commandLimit, ctx.Err())
	case ctx.Err() != nil:
		err = fmt.Errorf("it was ended, since this program is to end: %w", ctx.Err())
	}
	return strings.TrimSpace(string(out)), err
}

// GuardedProgram is [Guarded] for a program, or for the name of one that is
// looked for in PATH. One that isn't found is in nobody's hands.
func GuardedProgram(name string) error {
	path, err := exec.LookPath(name)
	if err != nil {
		return nil //nolint:nilerr // who runs it finds out
	}
	return Guarded(path)
}

// PublicEnv is the environment for other programs: without what is meant for
// this one only (its settings, which may hold keys, and the service manager's
// socket), and without what makes a program load foreign code or write down the
// keys of its connections.
func PublicEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(entry string) bool {
		for _, private := range []string{
			"ICINGA_ENROLL_", "CREDENTIALS_DIRECTORY=", "NOTIFY_SOCKET=", "WATCHDOG_",
			"LD_", "DYLD_", "SSLKEYLOGFILE=", "GODEBUG=",
		} {
			if strings.HasPrefix(entry, private) {
				return true
			}
		}
		return false
	})
}

// tail keeps the end of what is written to it.
type tail []byte

func (t *tail) Write(p []byte) (int, error) {
	*t = append(*t, p...)
	if over := len(*t) - commandOutput; over > 0 {
		*t = append((*t)[:0], (*t)[over:]...)
	}
	return len(p), nil
}
