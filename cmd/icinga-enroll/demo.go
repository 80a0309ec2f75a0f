package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"icinga-enroll/enroll"
	"icinga-enroll/enroll/sandbox"
	"icinga-enroll/platform"
)

func newDemo() *cobra.Command {
	var keep bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See an enrolment happen, against servers of its own on loopback",
		Long: `Starts a small Director and a small Icinga CA on loopback, enrols this host into a
temporary folder exactly as "once" would, shows the status and leaves nothing
behind. The machine's own Icinga agent is not touched, no privilege is needed.`,
		Example: "  icinga-enroll demo --keep",
		Args:    cobra.NoArgs,
		RunE:    verb(func(cmd *cobra.Command, _ []string) error { return demo(cmd, keep) }),
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "keep the folder and say where it is")
	return cmd
}

func demo(cmd *cobra.Command, keep bool) (err error) {
	for _, s := range allSettings() { // those of the machine's own agent are not the demo's
		if err := os.Unsetenv(s.env()); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp("", "icinga-enroll-demo-")
	if err != nil {
		return err
	}
	if !keep {
		defer func() { _ = os.RemoveAll(dir) }()
	}
	servers, err := sandbox.Start(nil)
	if err != nil {
		return err
	}
	defer servers.Close()
	file, err := servers.WriteConfig(dir, demoName())
	if err != nil {
		return err
	}
	for _, verb := range []string{"once", "once", "status"} {
		if err := demoVerb(cmd, file, verb); err != nil {
			return err
		}
	}
	if keep {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "\nkept in %s\n", dir)
	}
	return err
}

// demoVerb runs the program as a user would, with the configuration printed first.
func demoVerb(cmd *cobra.Command, file, name string) error {
	out := cmd.OutOrStdout()
	if _, err := fmt.Fprintf(out, "\n$ icinga-enroll --config %s %s\n", filepath.Base(file), name); err != nil {
		return err
	}
	root := newRoot()
	root.SetArgs([]string{"--config", file, name})
	root.SetOut(out)
	root.SetErr(cmd.ErrOrStderr())
	return root.ExecuteContext(cmd.Context())
}

// demoName is this host's own name where that will do for a node.
func demoName() string {
	name, err := platform.Hostname()
	if err != nil || enroll.CheckName(name) != nil {
		return "demo.example.com"
	}
	return name
}
