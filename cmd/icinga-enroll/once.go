package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"icinga-enroll/enroll"
	"icinga-enroll/pki"
	"icinga-enroll/renew"
)

func newOnce() *cobra.Command {
	var o onceOptions
	cmd := &cobra.Command{
		Use:   "once",
		Short: "Enrol this machine, or do what is left to do, and exit",
		Long: `Registers this machine in the Director, fetches a ticket, obtains a certificate
and puts it where the Icinga agent looks. On a machine that is enrolled it asks
no server and changes nothing, until the certificate is due, or the configuration
says something new of the host in the Director.

` + exitHelp,
		Example: "  icinga-enroll once --wait 10m",
		Args:    cobra.NoArgs,
		RunE:    verb(func(cmd *cobra.Command, _ []string) error { return once(cmd, o) }),
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.json, "json", false, "print one JSON object, nothing else, on standard output")
	flags.BoolVar(&o.dryRun, "dry-run", false, "say what would be done; ask nothing that changes a server")
	flags.BoolVar(&o.acceptPending, "accept-pending", false, "exit 0, not 3, while the request waits for approval")
	flags.DurationVar(&o.wait, "wait", 0, "go on trying for this long, such as 10m, while waiting for approval or for a server")
	addSettings(flags)
	return cmd
}

type onceOptions struct {
	json, dryRun, acceptPending bool
	wait                        time.Duration
}

func once(cmd *cobra.Command, o onceOptions) error {
	if o.wait < 0 {
		return usage("--wait: %s is in the past", o.wait)
	}
	lines := newLines(cmd, o.json)
	defer lines.close()
	e, done, err := newEnroller(cmd, lines.observe)
	if err != nil {
		return err
	}
	defer done()

	e.Look = cmd.Flags().Changed("director-reregister") // said now, it isn't for the next time that something is due
	ensure := e.Ensure
	if o.dryRun {
		ensure = e.Plan
	}
	report, err := patiently(cmd.Context(), o.wait, lines, func(ctx context.Context) (enroll.Report, error) {
		report, err := ensure(ctx)
		if missed := report.Missed(); err == nil && missed != nil {
			err, report.Error = missed, missed.Error()
		}
		return report, err
	})
	lines.close()
	if o.json {
		if werr := writeJSON(cmd.OutOrStdout(), report); werr != nil {
			return werr
		}
	}
	if o.acceptPending && errors.Is(err, pki.ErrPending) {
		lines.note("not enrolled yet: " + err.Error())
		return nil
	}
	return err
}

// patiently goes on trying until wait is over, where that may help.
func patiently(ctx context.Context, wait time.Duration, lines *lines, ensure func(context.Context) (enroll.Report, error)) (report enroll.Report, err error) {
	if wait <= 0 {
		return ensure(ctx)
	}
	until, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	err = renew.Until(until, func(context.Context) error {
		report, err = ensure(ctx) // what has begun is not cut off by the end of the wait
		return err
	}, func(err error) bool {
		again := errors.Is(err, pki.ErrPending) || enroll.IsTemporary(err)
		if again {
			lines.note("not yet: " + err.Error())
		}
		return again
	})
	return report, err
}

func writeJSON(w interface{ Write([]byte) (int, error) }, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
