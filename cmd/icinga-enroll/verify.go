package main

import "github.com/spf13/cobra"

func newVerify() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Walk the chain to the parents, and say where it breaks",
		Long: `Looks, in this order, at the certificate, whether the Director has this host, the
parents' names, ports and certificates, the Icinga agent, and whether it is
connected. It stops at the first break and exits 1 there, 75 where that may pass.
A fresh agent is given half a minute to connect. Nothing is changed. A parent that
has forgotten this node since it was connected may not be told from one that has
not.

Where no Director names the parents those of ca.endpoints are tried. For an API
client it looks at the certificate, and shows it to a parent's API as whoami does.`,
		Example: "  icinga-enroll verify",
		Args:    cobra.NoArgs,
		RunE:    verb(verify),
	}
	addSettings(cmd.Flags())
	return cmd
}

func verify(cmd *cobra.Command, _ []string) error {
	lines := newLines(cmd, false)
	defer lines.close()
	e, done, err := newEnrollerFor(cmd, lines.observe, purpose{asksNoCA: true, onlyUses: true})
	if err != nil {
		return err
	}
	defer done()
	_, err = e.Verify(cmd.Context())
	return err
}
