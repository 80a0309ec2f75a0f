package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"icinga-enroll/enroll"
	"icinga-enroll/platform/service"
)

func newSeal() *cobra.Command {
	var check, yes bool
	cmd := &cobra.Command{
		Use:   "seal",
		Short: "Make this machine fit to be an image",
		Long: `For golden images. Removes key, certificate, host API key, request, state and
status, makes the Icinga agent's files what they were before icinga-enroll wrote
them, leaves a mark, and has the service started at boot. What is in quarantine
goes, too. The configuration and the template key stay: each machine made of the
image enrols at its first boot, under its own name. No server is asked; a host
that was registered stays in the Director ("icinga-enroll leave" before it
deletes that).

The services have to be stopped before: "systemctl stop icinga-enroll icinga2".
An instance is sealed as the account of its unit; root has its service started at
boot ("icinga-enroll --instance NAME service install").

--check changes nothing and tells what the machines made of this image would have
in common that they must not. Exit code 0: it is fit; 1: it isn't.`,
		Example: "  icinga-enroll seal --yes && icinga-enroll seal --check",
		Args:    cobra.NoArgs,
		RunE: verb(func(cmd *cobra.Command, _ []string) error {
			if check {
				return checkSeal(cmd)
			}
			return seal(cmd, yes)
		}),
	}
	cmd.Flags().BoolVar(&check, "check", false, "only tell whether this machine is fit to be an image")
	cmd.Flags().BoolVar(&yes, "yes", false, "don't ask; needed where there is no terminal to ask on")
	cmd.MarkFlagsMutuallyExclusive("check", "yes")
	addSettings(cmd.Flags())
	return cmd
}

func seal(cmd *cobra.Command, yes bool) error {
	lines := newLines(cmd, false)
	defer lines.close()
	e, done, err := newOffline(cmd, lines.observe)
	if err != nil {
		return err
	}
	defer done()
	if !yes {
		if err := confirm(cmd, "this machine's key, certificate and state ("+e.StateDir+")"); err != nil {
			return err
		}
	}
	if err := e.Seal(cmd.Context()); err != nil {
		return err
	}
	if err := startAtBoot(cmd, lines.observe); err != nil {
		return fmt.Errorf("it is sealed, but its service isn't started at boot: %w%s", err, rootEnables(instanceOf(cmd.Flags())))
	}
	return checkSeal(cmd)
}

// rootEnables says how a service gets started at boot that this account, or the one
// that seals it, can't enable: an instance is sealed as its unit's account.
func rootEnables(in instance) string {
	if in.isTemplates() || os.Geteuid() > 0 { // on Windows it is -1
		return "; as root: icinga-enroll service install"
	}
	return ""
}

// startAtBoot enables the service, and installs it where it isn't. What the
// configuration lacks yet may come with the first boot.
func startAtBoot(cmd *cobra.Command, observe func(enroll.Step)) error {
	c, err := load(cmd.Flags())
	if err != nil {
		return err
	}
	state, err := service.Status(cmd.Context(), c.instance.service)
	switch {
	case err != nil:
		return err
	case state == service.NotInstalled:
		return c.install(cmd)
	}
	before, err := service.Enabled(cmd.Context(), c.instance.service)
	if err != nil || before {
		return err
	}
	if err := service.Enable(cmd.Context(), c.instance.service); err != nil {
		return err
	}
	observe(enroll.Step{Name: "service", Changed: true, Text: c.instance.service + " is started at boot from now on: it enrols each machine made of this image, which a timer doesn't"})
	return nil
}

func checkSeal(cmd *cobra.Command) error {
	e, done, err := newOffline(cmd, nil)
	if err != nil {
		return err
	}
	defer done()
	in := instanceOf(cmd.Flags())
	reasons, err := unfit(cmd.Context(), e, in)
	if err != nil {
		return err
	}
	for _, reason := range reasons {
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), "! unfit       "+in.own(oneLine(reason))); err != nil {
			return err
		}
	}
	if len(reasons) > 0 {
		return errors.New("this machine isn't fit to be an image")
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), fitness(cmd, e))
	return err
}

// fitness says what becomes of the machines that are made of this one.
func fitness(cmd *cobra.Command, e *enroll.Enroller) string {
	if lacks := unready(cmd); lacks != nil {
		return "! fit         to be an image, but no machine made of it enrols before it is given what is missing here: " + lacking(lacks)
	}
	if e.APIClient { // that has no other name to go by
		return fmt.Sprintf("! fit         to be an image, but each machine made of it enrols as %s, unless its host.name is changed before", e.Name)
	}
	return "= fit         to be an image: each machine made of it enrols as itself"
}

// unready says why a run would not begin with this configuration. That is no
// defect of an image: a cloud's tools may write it at the first boot.
func unready(cmd *cobra.Command) error {
	e, done, err := newEnroller(cmd, nil)
	if err != nil {
		return err
	}
	defer done()
	return lacksKey(e)
}

// lacking is err on one line, which may be several.
func lacking(err error) string {
	return oneLine(strings.ReplaceAll(err.Error(), "\n", "; "))
}

func unfit(ctx context.Context, e *enroll.Enroller, in instance) ([]string, error) {
	reasons, err := e.Unfit(ctx)
	if err != nil {
		return nil, err
	}
	enabled, err := service.Enabled(ctx, in.service)
	switch {
	case err != nil:
		reasons = append(reasons, "whether the service is started at boot isn't known: "+err.Error())
	case !enabled:
		reasons = append(reasons, notAtBoot(in))
	}
	return reasons, nil
}

func notAtBoot(in instance) string {
	said := "the service " + in.service + " is not started at boot"
	if advice := rootEnables(in); advice != "" {
		return said + advice
	}
	return said + ": icinga-enroll seal sees to that"
}
