package main

import (
	"github.com/spf13/cobra"
)

func newAcceptMachine() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "accept-machine [FOLDER]",
		Short: "Say that the state here is this machine's, though it looks like a copy",
		Long: `The state is bound to the machine that it was made on. On another one it isn't
used: that is a copy, and two nodes with one certificate overwrite each other's
results. A machine that was moved to other hardware, or restored there, is told
so by this. Where it was taken for a copy and has enrolled under another name
meanwhile, FOLDER (in quarantine/ of the state folder, its name or its path; without
it those there are listed) is taken back, and what is here goes there. No server is
asked.`,
		Example: "  icinga-enroll accept-machine",
		Args:    cobra.MaximumNArgs(1),
		RunE:    verb(acceptMachine),
	}
	addSettings(cmd.Flags())
	return cmd
}

func acceptMachine(cmd *cobra.Command, args []string) error {
	lines := newLines(cmd, false)
	defer lines.close()
	e, done, err := newOffline(cmd, lines.observe)
	if err != nil {
		return err
	}
	defer done()
	from := ""
	if len(args) > 0 {
		from = args[0]
	}
	return e.AcceptMachine(cmd.Context(), from)
}
