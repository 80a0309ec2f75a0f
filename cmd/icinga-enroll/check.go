package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"icinga-enroll/enroll"
	"icinga-enroll/platform/service"
)

// The states of a monitoring plugin, which are its exit codes.
const (
	stateOK       = 0
	stateWarning  = 1
	stateCritical = 2
	stateUnknown  = 3
)

var stateNames = []string{"OK", "WARNING", "CRITICAL", "UNKNOWN"}

// failingFor is how long runs may fail before monitoring speaks of it.
const failingFor = 24 * time.Hour

func newCheck() *cobra.Command {
	var warning, critical string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check this machine's enrolment, as a monitoring plugin",
		Long: `A monitoring plugin: one line with performance data, exit code 0 OK, 1 WARNING,
2 CRITICAL, 3 UNKNOWN. It reads files that the Icinga agent's account may
read and asks no server.

CRITICAL: no certificate, another than the last run has seen, or it ends within
7 days; its key is gone, another's, or no key (where this account may read it), or in a
TPM that was cleared, is gone or refuses; the Director doesn't know the host key any
more; the state is another machine's (clone detected); the service is enabled but
doesn't run, or the timer's last run was refused or killed. WARNING: it ends within
14 days; renewal has failed for over 24 hours; the request waits for approval.
--warning and --critical take ranges of days left, as the Monitoring Plugins
guidelines have them: the state is raised where the value is outside.`,
		Example: "  icinga-enroll check --warning 20: --critical 10:",
		Args: func(cmd *cobra.Command, args []string) error {
			if err := cobra.NoArgs(cmd, args); err != nil {
				return misused(cmd, err)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return check(cmd, warning, critical)
		},
	}
	cmd.SetFlagErrorFunc(misused)
	cmd.Flags().StringVar(&warning, "warning", "14:", "range of days left that is no warning")
	cmd.Flags().StringVar(&critical, "critical", "7:", "range of days left that is not critical")
	cmd.Flags().String("paths-state", "", "folder of icinga-enroll's own state; default: as the configuration says")
	return cmd
}

func check(cmd *cobra.Command, warning, critical string) error {
	return verdictOf(cmd, warning, critical).end(cmd)
}

// misused answers a wrong command line as monitoring expects answers.
func misused(cmd *cobra.Command, err error) error { return unknown("%s", err).end(cmd) }

// end prints the verdict and returns its exit code.
func (v verdict) end(cmd *cobra.Command) error {
	v.text = instanceOf(cmd.Flags()).own(v.text)
	if err := v.print(cmd.OutOrStdout()); err != nil {
		return coded{err, stateUnknown}
	}
	if v.state == stateOK {
		return nil
	}
	return coded{errSaid, v.state}
}

// verdict is what the plugin prints.
type verdict struct {
	state    int
	text     string
	perfdata string
}

func unknown(format string, a ...any) verdict {
	return verdict{state: stateUnknown, text: fmt.Sprintf(format, a...)}
}

func (v verdict) print(w io.Writer) error {
	line := fmt.Sprintf("ICINGA-ENROLL %s - %s", stateNames[v.state], plain(v.text))
	if v.perfdata != "" {
		line += " | " + v.perfdata
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

// plain makes text fit for a plugin's line: performance data begin at a bar, and
// long texts are cut by whoever reads them.
func plain(text string) string {
	const most = 1000
	runes := []rune(strings.ReplaceAll(oneLine(text), "|", "/"))
	if len(runes) > most {
		runes = append(runes[:most-1], '…')
	}
	return string(runes)
}

func verdictOf(cmd *cobra.Command, warning, critical string) verdict {
	limits, err := parseLimits(warning, critical)
	if err == nil && cmd.Flags().Changed("warning") && cmd.Flags().Changed("critical") {
		err = limits.contradiction()
	}
	if err != nil {
		return unknown("%s", err)
	}
	dir, unread, err := stateDir(cmd)
	if err != nil {
		return unknown("%s", err)
	}
	return verdictOn(cmd, dir, limits).judgedBy(dir, unread)
}

// judgedBy says which folder that was where the configuration, which may name
// another one, can't be read.
func (v verdict) judgedBy(dir, unread string) verdict {
	if unread != "" && v.state != stateOK {
		v.text += fmt.Sprintf(" (judged by %s, since this account can't read %s: if that sets another paths.state, check --paths-state)", dir, unread)
	}
	return v
}

// verdictOn is that on the node whose state is in dir.
func verdictOn(cmd *cobra.Command, dir string, limits limits) verdict {
	s, err := enroll.ReadStatus(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return unknown("this machine isn't enrolled: there is no status in %s", dir)
	}
	if err != nil {
		return unknown("%s", err)
	}
	lapse, err := uncaredFor(cmd.Context(), instanceOf(cmd.Flags()), dir, s.LastError != nil)
	if err != nil {
		return unknown("%s", err)
	}
	now := time.Now()
	s, bad := asItIs(s, now)
	return judgeStatus(s, bad, lapse, limits, now)
}

// uncaredFor says why nobody cares for dir although a daemon or the timer should;
// "": one does, or none should. The service's is the usual folder, or one that a
// daemon has cared for before. told says that the status knows of a failure.
func uncaredFor(ctx context.Context, in instance, dir string, told bool) (string, error) {
	running, err := enroll.Running(dir)
	if running || err != nil {
		return "", err
	}
	if dir != in.paths.State && !enroll.HasRun(dir) {
		return "", nil
	}
	// No service manager that can be asked: no service is expected.
	if expected, err := service.Expected(ctx, in.service); expected && err == nil {
		return "its service is enabled but doesn't run", nil
	}
	if in.name == "" && service.TimerFailed(ctx, in.service, told) {
		return fmt.Sprintf("the last run of %s.timer failed: systemctl status %[1]s-renew tells why; once that is mended, systemctl start %[1]s-renew", in.service), nil
	}
	return "", nil
}

// judgeStatus is the plugin's whole judgement; the worst of all that is so counts.
func judgeStatus(s enroll.Status, bad, lapse string, limits limits, now time.Time) verdict {
	name := cmp.Or(s.Name, "this machine")
	v := verdict{text: name + ": "}
	raise := func(state int, format string, a ...any) {
		if state > v.state {
			v.state, v.text = state, name+": "+fmt.Sprintf(format, a...)
		}
	}
	if bad != "" {
		raise(stateCritical, "%s%s", bad, because(s))
	}
	if c := s.Certificate; c != nil && c.Unusable != "" {
		raise(stateCritical, "%s%s", c.Unusable, another(s))
	}
	if c := s.Certificate; c != nil {
		left := int(c.NotAfter.Sub(now).Hours() / 24)
		if now.After(c.NotAfter) {
			left = min(left, -1)
		}
		v.perfdata = fmt.Sprintf("days_left=%d;%s;%s", left, limits.warning.text, limits.critical.text)
		if v.state == stateOK {
			v.text += fmt.Sprintf("certificate valid for %d days, until %s", left, c.NotAfter.UTC().Format(time.DateOnly))
			if c.KeyStore == enroll.InTPM {
				v.text += ", its key in the TPM"
			}
		}
		raise(limits.state(left), "certificate ends in %d days, on %s%s", left, c.NotAfter.UTC().Format(time.DateOnly), because(s))
	}
	if lapse != "" {
		raise(stateCritical, "%s", lapse)
	}
	e := s.LastError
	switch {
	case e != nil && (e.Kind == enroll.KindKeyRejected || e.Kind == enroll.KindClone || e.Kind == enroll.KindState):
		raise(stateCritical, "%s", e.Message)
	case s.Pending != nil && (s.State == enroll.Pending || e == nil):
		raise(stateWarning, "waiting for approval since %s: icinga2 ca sign %s", s.Pending.Since.UTC().Format(time.DateTime), s.Pending.Fingerprint)
	case s.Certificate == nil:
		raise(stateCritical, "no certificate%s", because(s))
	case e != nil && e.Kind == enroll.KindAgent:
		raise(stateWarning, "%s", e.Message)
	case e != nil && now.Sub(e.Since) > failingFor:
		raise(stateWarning, "failing since %s: %s", e.Since.UTC().Format(time.DateTime), e.Message)
	}
	if s.News != "" {
		raise(stateWarning, "the Director now says: %s", s.News)
	}
	if v.state == stateOK && e != nil {
		v.text += ", but the last run failed: " + e.Message
	}
	return v
}

// another says what becomes of a key that can't be used.
func another(s enroll.Status) string {
	if s.Pending == nil {
		return ""
	}
	return "; another waits for approval: icinga2 ca sign " + s.Pending.Fingerprint
}

func because(s enroll.Status) string {
	if s.LastError == nil {
		return ""
	}
	return ": " + s.LastError.Message
}
