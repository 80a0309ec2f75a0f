package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"icinga-enroll/enroll"
	"icinga-enroll/pki"
	"icinga-enroll/platform"
	"icinga-enroll/selfservice"
)

// Exit codes, as the help and the README have them.
const (
	exitOK        = 0
	exitFailed    = 1
	exitUsage     = 2
	exitPending   = 3
	exitTemporary = 75 // EX_TEMPFAIL of sysexits(3)
)

const exitHelp = `Exit codes:
  0   enrolled (or nothing to do)
  1   failed, somebody must act: the error says what to do
  2   usage or configuration
  3   the request waits for approval on the CA
  75  failed for now, trying again later may help
`

// coded is an error that has been given its exit code. What reaches run
// without one comes from the parsing of the command line.
type coded struct {
	error
	code int
}

func (c coded) Unwrap() error { return c.error }

// errSaid ends the program with a code where the output has said everything.
var errSaid = errors.New("")

func usage(format string, a ...any) error { return coded{fmt.Errorf(format, a...), exitUsage} }

// exitCode says what the caller of the program should know of err.
func exitCode(err error) int {
	var c coded
	var agent *enroll.AgentError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &c):
		return c.code
	case errors.As(err, &agent) && !agent.Temporary():
		return exitFailed
	case errors.Is(err, enroll.ErrNoKey), errors.Is(err, pki.ErrNoAuthValue):
		return exitUsage
	case errors.Is(err, selfservice.ErrAnswerLost): // also where the end of a context was the cause
		return exitFailed
	case errors.Is(err, pki.ErrPending):
		return exitPending
	case enroll.IsTemporary(err), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return exitTemporary
	default:
		return exitFailed
	}
}

// verb is exits for a command that is stopped, too, when its terminal closes: that
// must not cost the key of a registration on its way.
func verb(do func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return exits(func(cmd *cobra.Command, args []string) error {
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGHUP)
		defer stop()
		cmd.SetContext(ctx)
		return do(cmd, args)
	})
}

// exits wraps what a command does, so that its errors have an exit code.
func exits(do func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := do(cmd, args); err != nil {
			return coded{err, exitCode(err)}
		}
		return nil
	}
}

// run is the program: main without the process.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if ctx.Err() != nil && exitCode(err) == exitTemporary {
		err = coded{fmt.Errorf("interrupted; the next run goes on where this one was (%w)", err), exitTemporary}
	}
	if text := err.Error(); text != "" {
		_, _ = fmt.Fprintln(stderr, "icinga-enroll:", instanceOf(root.PersistentFlags()).own(ownLines(text)))
	}
	if more := readOn(err.Error()); more != "" && exitCode(err) == exitUsage {
		_, _ = fmt.Fprintln(stderr, more)
	}
	var c coded
	if errors.As(err, &c) {
		return c.code
	}
	_, _ = fmt.Fprintln(stderr, "Try 'icinga-enroll --help'.")
	return exitUsage
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "icinga-enroll",
		Short: "Enrol this machine into Icinga and keep its certificate valid",
		Long: `icinga-enroll registers this machine in Icinga Director through its self-service
API, fetches a ticket, obtains a certificate from the Icinga 2 CA and puts it
where the Icinga agent looks. Run again it does only what is left to do.

` + exitHelp,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().String("config", platform.DefaultPaths().Config, "configuration `file`")
	root.PersistentFlags().Var(new(instanceName), "instance", "`name` of one of several identities of this machine, each with its own configuration, state and service")
	root.AddCommand(newOnce(), newRun(), newRenew(), newVerify(), newStatus(), newCheck(), newAgent(), newService(), newConfig(), newTrust(), newDiscardRequest(), newCSR(), newImport(), newExport(), newWhoAmI(), newLeave(), newSeal(), newAcceptMachine(), newDemo(), newVersion())
	root.AddCommand(verbsOfSystem()...)
	completeShells(root)
	completeFlags(root)
	return root
}
