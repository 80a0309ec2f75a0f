package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"icinga-enroll/enroll"
)

func newStatus() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say where this machine stands",
		Long: `Shows what the last run has left: name, registration, certificate, pending
request, last error, next step, and whether that certificate is still in place.
It reads files and asks no server. Exit code: 0 enrolled, 1 not, 3 waiting for approval.`,
		Example: "  icinga-enroll status --json",
		Args:    cobra.NoArgs,
		RunE:    verb(func(cmd *cobra.Command, _ []string) error { return status(cmd, asJSON) }),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().String("paths-state", "", "folder of icinga-enroll's own state; default: as the configuration says")
	return cmd
}

func status(cmd *cobra.Command, asJSON bool) error {
	dir, _, err := stateDir(cmd)
	if err != nil {
		return err
	}
	s, err := enroll.ReadStatus(dir)
	if left := enroll.LeftBehind(dir); errors.Is(err, fs.ErrNotExist) && len(left) > 0 {
		return fmt.Errorf("this machine has left, and the Director may still have its host %s: icinga-enroll leave with director.user deletes it, or somebody does it there", strings.Join(left, " and "))
	}
	if errors.Is(err, fs.ErrNotExist) && enroll.IsSealed(dir) {
		return errors.New("this machine was sealed, to be an image: the service enrols what is made of it at its first boot, and icinga-enroll once this machine itself")
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("this machine isn't enrolled: there is no status in %s. Run icinga-enroll once; or icinga-enroll import, where a request of icinga-enroll csr was signed", dir)
	}
	if err != nil {
		return err
	}
	s = broken(asItIs(s, time.Now()))
	s.NextStep = instanceOf(cmd.Flags()).own(s.NextStep)
	if asJSON {
		err = writeJSON(cmd.OutOrStdout(), s)
	} else {
		err = printStatus(cmd.OutOrStdout(), s, time.Now())
	}
	if err != nil {
		return err
	}
	switch s.State {
	case enroll.Pending:
		return coded{errSaid, exitPending}
	case enroll.Enrolled:
		return nil
	default:
		return coded{errSaid, exitFailed}
	}
}

// stateDir needs no readable configuration: the accounts that ask for the
// status may not read it. Then the usual folder is looked into, and unread is the
// file that may name another one.
func stateDir(cmd *cobra.Command) (dir, unread string, err error) {
	asked, _ := cmd.Flags().GetString("paths-state")
	if cmd.Flags().Changed("paths-state") && !filepath.IsAbs(asked) {
		return "", "", usage("--paths-state: %q must be an absolute path", asked)
	}
	c, err := load(cmd.Flags())
	switch {
	case err == nil:
		return c.Paths.State, "", nil
	case errors.Is(err, fs.ErrPermission) && cmd.Flags().Changed("paths-state"):
		return asked, "", nil
	case errors.Is(err, fs.ErrPermission) && !cmd.Flags().Changed("config"):
		usual := instanceOf(cmd.Flags()).paths
		return usual.State, usual.Config, nil
	}
	return "", "", err
}

// broken says of s what has become of its certificate since the last run, and
// what to do about it.
func broken(s enroll.Status, bad string) enroll.Status {
	if s.Broken = bad; bad == "" || s.State != enroll.Enrolled {
		return s
	}
	s.State = enroll.Failed
	s.NextStep = "icinga-enroll once puts it right, if need be by another certificate; icinga-enroll import takes one that was signed by hand"
	if time.Now().Before(s.Certificate.NotAfter) {
		s.NextStep = "bring the files back as they were; or " + s.NextStep
	}
	return s
}

func printStatus(w io.Writer, s enroll.Status, now time.Time) error {
	var b strings.Builder
	row := func(label, format string, a ...any) {
		fmt.Fprintf(&b, "%-12s %s\n", label, oneLine(fmt.Sprintf(format, a...)))
	}
	row("name", "%s", orNone(s.Name))
	row("state", "%s", standing(s))
	if !s.APIClient { // which is no host
		row("registered", "%s", registration(s))
	}
	if s.KeyForgotten {
		row("template key", "forgotten, as director.forget_template_key says")
	}
	if c := s.Certificate; c != nil {
		row("certificate", "%s", c.File)
		row("  issuer", "%s", c.Issuer)
		row("  valid", "%s to %s", c.NotBefore.Format(time.DateTime), c.NotAfter.Format(time.DateTime))
		row("  left", "%s", bar(*c, now))
		row("  key", "%s", keyOf(*c))
	}
	if p := s.Pending; p != nil {
		row("pending", "since %s, fingerprint %s", p.Since.Format(time.DateTime), p.Fingerprint)
	}
	if e := s.LastError; e != nil {
		row("last error", "%s: %s", e.At.Format(time.DateTime), e.Message)
	}
	if s.News != "" {
		row("Director", "%s", s.News)
	}
	row("next step", "%s", s.NextStep)
	_, err := io.WriteString(w, b.String())
	return err
}

func registration(s enroll.Status) string {
	switch {
	case s.LastError != nil && s.LastError.Kind == enroll.KindState:
		return "not known, the state can't be read"
	case s.Registered:
		return "yes, host API key kept"
	default:
		return "no host API key here"
	}
}

// keyOf says where the certificate's key is, and what is wrong with it.
func keyOf(c enroll.Certificate) string {
	where := map[enroll.KeyStore]string{enroll.InFile: "in a file", enroll.InTPM: "in the TPM"}[c.KeyStore]
	if c.Unusable != "" {
		where += "; " + c.Unusable
	}
	return orNone(where)
}

// standing is the state, and what has become of the certificate since.
func standing(s enroll.Status) string {
	if s.Broken == "" {
		return string(s.State)
	}
	return fmt.Sprintf("%s: %s", s.State, s.Broken)
}

// bar draws how much of the certificate's lifetime is left.
func bar(c enroll.Certificate, now time.Time) string {
	const width = 20
	left, lifetime := c.NotAfter.Sub(now), c.NotAfter.Sub(c.NotBefore)
	if left <= 0 || lifetime <= 0 {
		return "[" + strings.Repeat(".", width) + "] expired"
	}
	full := min(width, int(left*width/lifetime)+1)
	return fmt.Sprintf("[%s%s] %d days", strings.Repeat("#", full), strings.Repeat(".", width-full), int(left.Hours()/24))
}

func orNone(s string) string {
	if s == "" {
		return "(not known yet)"
	}
	return s
}
