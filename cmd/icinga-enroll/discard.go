package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"icinga-enroll/enroll"
)

func newDiscardRequest() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "discard-request",
		Short: "Forget the request that waits for approval, and its key",
		Long: `Forgets the certificate request and its key, so that the next "once" makes new
ones. After "icinga2 ca remove" the CA declines the same request for ever; this is
the way on. Certificates in force are not touched.`,
		Example: "  icinga-enroll discard-request && icinga-enroll once",
		Args:    cobra.NoArgs,
		RunE:    verb(discardRequest),
	}
	addSettings(cmd.Flags())
	return cmd
}

func discardRequest(cmd *cobra.Command, _ []string) error {
	e, done, err := newKeeper(cmd, nil)
	if err != nil {
		return err
	}
	defer done()
	before, _ := enroll.ReadStatus(e.StateDir) // what can't be read tells of no request
	discarded, err := e.DiscardRequest(cmd.Context())
	if err != nil {
		return err
	}
	text := "no request was waiting"
	if discarded {
		text = "the request and its key are gone; icinga-enroll once makes new ones"
	}
	if p := before.Pending; discarded && p != nil {
		text += "; the CA still has it: icinga2 ca remove " + p.Fingerprint + " there takes it from its list"
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), instanceOf(cmd.Flags()).own(text))
	return err
}
