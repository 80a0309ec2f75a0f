package main

import (
	"cmp"
	"errors"

	"github.com/spf13/cobra"

	"icinga-enroll/enroll"
)

func newRenew() *cobra.Command {
	var due, rekey bool
	cmd := &cobra.Command{
		Use:   "renew",
		Short: "Replace the certificate of this enrolled machine",
		Long: `Asks for a new certificate for the same key, which an Icinga CA gives in the last
30 days. With --rekey, at any time, for a new key, which takes a ticket: whoever
uses the old key must be made to read the new one. With --due only if it is due,
else nothing is done: for cron and timers, where no service runs.

` + exitHelp,
		Example: "  icinga-enroll renew --due",
		Args:    cobra.NoArgs,
		RunE: verb(func(cmd *cobra.Command, _ []string) error {
			wish := enroll.Renewal
			switch {
			case due:
				wish = enroll.WhenDue
			case rekey:
				wish = enroll.Rekey
			}
			return renewNow(cmd, wish)
		}),
	}
	cmd.Flags().BoolVar(&due, "due", false, "only if it is due")
	cmd.Flags().BoolVar(&rekey, "rekey", false, "with a new key")
	cmd.MarkFlagsMutuallyExclusive("due", "rekey")
	addSettings(cmd.Flags())
	return cmd
}

func renewNow(cmd *cobra.Command, wish enroll.Wish) error {
	lines := newLines(cmd, false)
	defer lines.close()
	e, done, err := newEnroller(cmd, lines.observe)
	if err != nil {
		return err
	}
	defer done()
	if begun, err := e.Begun(cmd.Context()); !begun {
		return cmp.Or(err, errors.New("this machine has no certificate to renew: run icinga-enroll once"))
	}
	e.Wish = wish
	report, err := e.Ensure(cmd.Context())
	due := wish != enroll.WhenDue || !e.Now().Before(report.Next)
	switch {
	case err != nil:
		return err
	case due && !report.Renewed:
		return report.Setback
	default:
		return report.Missed() // what else went wrong can wait, as it can for "once"
	}
}
