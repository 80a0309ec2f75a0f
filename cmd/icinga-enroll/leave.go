package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"icinga-enroll/enroll"
	"icinga-enroll/platform/service"
)

func newLeave() *cobra.Command {
	var o enroll.LeaveOptions
	var yes bool
	cmd := &cobra.Command{
		Use:   "leave",
		Short: "Take this machine out of Icinga: its host, its certificate, its state",
		Long: `For machines that come and go. With director.user the host is deleted in the
Director, which is deployed only with --deploy; then key, certificate, request,
host key, state and status are removed here. The configuration stays, that of
the Icinga agent too. Without director.user, or with --local, no server is asked,
and what remains for somebody to do is said; the host's name is kept, so that
"leave" with director.user can delete it later. Where the Director can't be
reached nothing is removed (exit 75). Run again it does what is left to do.

The service has to be stopped before: "icinga-enroll service stop".

` + leaveExitHelp,
		Example: "  icinga-enroll service stop && icinga-enroll leave --yes",
		Args:    cobra.NoArgs,
		RunE:    verb(func(cmd *cobra.Command, _ []string) error { return leave(cmd, o, yes) }),
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.Deploy, "deploy", false, "have the Director deploy, and wait until the master has taken it")
	flags.BoolVar(&o.Local, "local", false, "ask no server: the host stays in the Director, until leave is run without this")
	flags.BoolVar(&yes, "yes", false, "don't ask; needed where there is no terminal to ask on")
	cmd.MarkFlagsMutuallyExclusive("deploy", "local")
	addSettings(flags)
	return cmd
}

const leaveExitHelp = `Exit codes:
  0   left (or nothing to do)
  1   failed, somebody must act: the error says what to do
  2   usage or configuration
  75  failed for now, trying again later may help
`

func leave(cmd *cobra.Command, o enroll.LeaveOptions, yes bool) error {
	lines := newLines(cmd, false)
	defer lines.close()
	e, done, err := newOffline(cmd, lines.observe)
	if err != nil {
		return err
	}
	defer done()
	if o.Deploy && e.Controller == nil {
		return usage("--deploy takes director.url, director.user and director.password_file")
	}
	if !yes {
		if err := askToLeave(cmd, e, o); err != nil {
			return err
		}
	}
	if err := e.Leave(cmd.Context(), o); err != nil {
		return err
	}
	warnOfReturn(cmd, lines.observe)
	return nil
}

// warnOfReturn says that the machine comes back by itself. To switch its service
// off is the operator's choice: a machine that is shut down leaves by a unit.
func warnOfReturn(cmd *cobra.Command, observe func(enroll.Step)) {
	name := instanceOf(cmd.Flags()).service
	if enabled, err := service.Enabled(cmd.Context(), name); err != nil || !enabled {
		return // no service manager, no service
	}
	observe(enroll.Step{Name: "service", Warning: true, Text: name + " is started at boot, and enrols this machine again: icinga-enroll service uninstall"})
}

// askToLeave is an error unless somebody says yes.
func askToLeave(cmd *cobra.Command, e *enroll.Enroller, o enroll.LeaveOptions) error {
	what := "this machine's key, certificate and state (" + e.StateDir + ")"
	if e.Controller != nil && !o.Local && !e.APIClient {
		what = "this machine's host in the Director, and " + what
	}
	return confirm(cmd, what)
}

func onTerminal() bool { return term.IsTerminal(int(os.Stdin.Fd())) }

// confirm is an error unless somebody says yes.
func confirm(cmd *cobra.Command, what string) error {
	if !onTerminal() {
		return usage("there is no terminal to ask on whether to remove %s: add --yes", what)
	}
	if _, err := fmt.Fprintf(cmd.ErrOrStderr(), "Remove %s? [y/N] ", what); err != nil {
		return err
	}
	answer, _ := bufio.NewReader(os.Stdin).ReadString('\n') // without one: no
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("nothing was removed: the answer was not y")
	}
	return nil
}
