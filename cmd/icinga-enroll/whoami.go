package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"icinga-enroll/pki"
)

func newWhoAmI() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "whoami",
		Short: "Ask a parent's API who this machine's certificate makes it",
		Long: `Shows the certificate in force to the API of a parent (ca.endpoints, else the
Director's or agent.parents), port 5665, and prints the ApiUser that it belongs to, with
its permissions. Where there is none, the "object ApiUser" that is missing is printed,
ready to paste, and the exit code is 1.

It is for API clients (profile: api-client): the certificate of an Icinga agent isn't
shown, and without that profile it counts as one.`,
		Example: "  icinga-enroll whoami",
		Args:    cobra.NoArgs,
		RunE:    verb(whoAmI),
	}
	addSettings(cmd.Flags())
	return cmd
}

func whoAmI(cmd *cobra.Command, _ []string) error {
	e, done, err := newEnrollerFor(cmd, nil, purpose{offline: true, onlyUses: true})
	if err != nil {
		return err
	}
	defer done()
	who, address, err := e.WhoAmI(cmd.Context())
	var missing *pki.UnauthorizedError
	if errors.As(err, &missing) {
		_, _ = fmt.Fprint(cmd.OutOrStdout(), missing.Object())
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "user %s at %s\n", oneLine(who.User), address)
	for _, permission := range who.Permissions {
		if err == nil {
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "may  %s\n", oneLine(permission))
		}
	}
	if err == nil && len(who.Permissions) == 0 {
		_, err = fmt.Fprintln(cmd.OutOrStdout(), "may  nothing: its object ApiUser has no permissions")
	}
	return err
}
