package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"icinga-enroll/enroll"
	"icinga-enroll/pki"
	"icinga-enroll/platform"
	"icinga-enroll/platform/service"
	"icinga-enroll/renew"
	"icinga-enroll/selfservice"
)

func newRun() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Enrol this machine and keep its certificate valid, as a service",
		Long: `Does what "once" does for as long as it runs: tries again what failed, waits for
approvals, replaces the certificate before it ends. It logs to standard error,
as a Windows service to the event log, and nothing while there is nothing new.
SIGHUP reads the configuration again.
"icinga-enroll service install" makes a service of it.`,
		Example: "  icinga-enroll run --log-format json",
		Args:    cobra.NoArgs,
		RunE:    exits(runDaemon),
	}
	addSettings(cmd.Flags())
	return cmd
}

func runDaemon(cmd *cobra.Command, _ []string) error {
	d := &daemon{cmd: cmd, notify: service.NewNotifier(), done: func() {}, hangUp: make(chan os.Signal, 1)}
	signal.Notify(d.hangUp, syscall.SIGHUP)
	defer signal.Stop(d.hangUp)
	if err := d.configure(); err != nil {
		return err
	}
	return service.Serve(cmd.Context(), instanceOf(cmd.Flags()).service, d.serve)
}

// daemon is the program that stays.
type daemon struct {
	cmd      *cobra.Command
	notify   service.Notifier
	log      hclog.Logger
	news     *news
	config   *loaded
	enroller *enroll.Enroller
	done     func() // of the enroller
	hangUp   chan os.Signal

	name     string // this machine's, when the last round began; "": none has
	hadAgent bool   // the agent's folder was there when this began
	end      context.CancelCauseFunc
	lost     func() error // says so where the state folder isn't the one any more that it began with
}

// errNewFolder ends a service that systemd has to start anew: the folder of an
// agent that was installed meanwhile is read-only in the sandbox that was made
// without it.
var errNewFolder = errors.New("the Icinga agent was installed meanwhile: this service ends, to be restarted with the right to write its files")

// errKeyLater ends a service on a copy of a registered machine, which needs the template
// key that its original did without: started again it waits for the file.
var errKeyLater = errors.New("the template key's file isn't there: this service ends, to be restarted until it is")

// configure reads the configuration. Where that won't do all stays as it was.
func (d *daemon) configure() error {
	c, err := load(d.cmd.Flags())
	if err != nil {
		return err
	}
	if d.config != nil && c.Paths.State != d.config.Paths.State {
		return usage("%s has changed: restart the service for that, and move the folder first", c.where("paths.state"))
	}
	e, done, err := c.enroller(d.observe)
	if err != nil {
		return err
	}
	e.Daemon = true
	e.Look = d.config != nil // somebody wants it all read again
	d.done()
	d.config, d.enroller, d.done = c, e, done
	d.log = c.logger(d.cmd.ErrOrStderr())
	d.news = newNews(d.log)
	d.news.instance = c.instance
	return nil
}

func (d *daemon) serve(ctx context.Context) error {
	defer func() { d.done() }()
	hold, err := d.take(ctx, enroll.MarkRunning)
	if err != nil {
		return err
	}
	defer hold.Release()
	d.lost = hold.Lost
	_, err = os.Stat(d.config.agentConfig())
	d.hadAgent = err == nil
	ctx, d.end = context.WithCancelCause(ctx)
	defer d.end(nil)

	d.log.Info("started", "version", version(), "config", d.config.file, "state", d.enroller.StateDir)
	if err := d.enroller.Mend(ctx); err != nil {
		d.news.failure(err, false) // the first round says so again, and goes on from there
	}
	// Before the first enrolment: a boot must not hang on the network. But after
	// mending: the agent starts when this is ready.
	d.tell(d.notify.Ready)
	loop := renew.Loop{
		First: d.firstRun(ctx), Ensure: d.ensure, Judge: judge, Log: d.log, Now: time.Now,
		Wake: d.hangUp, OnWake: d.reload,
		Tick: func() bool { d.tell(d.notify.Watchdog); d.guard(); return d.renamed() },
	}
	err = loop.Run(ctx)
	d.tell(d.notify.Stopping)
	d.log.Info("stopped")
	if cause := context.Cause(ctx); errors.Is(cause, errNewFolder) || errors.Is(cause, errKeyLater) || errors.Is(cause, errLost) {
		return cause
	}
	return err
}

// roomAgain is how long a daemon waits for room on the disk.
const roomAgain = 30 * time.Second

// take takes the state folder. A full disk is waited for: to end would not make
// room, and a service manager gives up at some time.
func (d *daemon) take(ctx context.Context, mark func(context.Context, string) (*enroll.Hold, error)) (*enroll.Hold, error) {
	for {
		hold, err := mark(ctx, d.enroller.StateDir)
		if err == nil {
			return hold, nil
		}
		if locked := (*platform.LockedError)(nil); errors.As(err, &locked) {
			return nil, fmt.Errorf("another icinga-enroll run may care for this state folder: %w", err)
		}
		if !platform.IsDiskFull(err) {
			return nil, err
		}
		d.news.step(enroll.Step{Name: "state", Text: err.Error() + "; tried again until there is room", Warning: true})
		d.tell(d.notify.Ready)
		d.tell(d.notify.Watchdog)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(roomAgain):
		}
	}
}

// errLost ends a service whose state folder was taken away under it: what it
// would write there from now on might be another's. Started again it sees what
// there is.
var errLost = errors.New("the state folder is not the one any more that this service cares for; it ends, to be started again")

// guard looks whether that has happened: once a minute, and before every round.
func (d *daemon) guard() {
	if err := d.lost(); err != nil {
		d.end(fmt.Errorf("%w: %w", errLost, err))
	}
}

// renamed reports whether this machine has another hostname than in the last round.
// A copy that had its original's waits for that alone, and what has to be mended
// otherwise is tried but every few hours.
func (d *daemon) renamed() bool {
	name, err := platform.Hostname()
	if err != nil || d.name == "" || name == d.name {
		return false
	}
	d.log.Info("this machine has another hostname", "before", d.name, "now", name)
	return true
}

func (d *daemon) tell(manager func() error) {
	if err := manager(); err != nil {
		d.log.Warn("the service manager can't be told", "error", err)
	}
}

// ensure is one round. A setback counts as a failure here: it is tried again.
func (d *daemon) ensure(ctx context.Context) (time.Time, error) {
	d.name, _ = platform.Hostname()
	report, err := d.enroller.Ensure(ctx)
	d.enroller.Look = false
	setback := err == nil && report.Setback != nil
	if setback {
		err = report.Setback
	}
	if ctx.Err() != nil && err != nil {
		return time.Time{}, err // it was interrupted: no news
	}
	if !d.hadAgent && errors.Is(err, syscall.EROFS) {
		d.end(errNewFolder)
	}
	if errors.Is(err, enroll.ErrNoKey) && d.config.keyMissing() && !d.config.keyForgotten() {
		d.end(errKeyLater)
	}
	d.news.failure(err, setback)
	d.export()
	if err != nil || report.Changed {
		platform.ReturnMemory() // none of it is needed for months
	}
	if look := report.Look; !look.IsZero() && look.Before(report.Next) {
		return look, err
	}
	return report.Next, err
}

// firstRun is when the first round is due: a machine that has not begun to enrol
// waits for a while, since a fleet that boots at once would ask the Director at
// once.
func (d *daemon) firstRun(ctx context.Context) time.Time {
	now := time.Now()
	most, _ := time.ParseDuration(d.config.FirstRunSplay) // the configuration was checked
	if most < time.Second {
		return now
	}
	if begun, err := d.enroller.Begun(ctx); begun || err != nil {
		return now
	}
	wait := rand.N(most).Round(time.Second) //nolint:gosec // nobody gains by guessing it
	d.log.Info("first run: waiting", "for", wait.String(), "first_run_splay", most.String())
	return now.Add(wait)
}

func (d *daemon) observe(s enroll.Step) {
	d.tell(d.notify.Watchdog)
	d.news.step(s)
}

func (d *daemon) export() {
	file := d.config.Metrics.Textfile
	if file == "" {
		return
	}
	s, err := enroll.ReadStatus(d.enroller.StateDir)
	if err == nil {
		err = writeMetrics(file, s, time.Now())
	}
	if err != nil {
		d.news.step(enroll.Step{Name: "metrics", Text: err.Error(), Warning: true})
		return
	}
	d.news.forget("metrics")
}

// reload reads the configuration again and says what has changed in it.
func (d *daemon) reload() {
	d.tell(d.notify.Reloading)
	before := d.config
	if err := d.configure(); err != nil {
		d.log.Error("the configuration is not used, that of before still is", "error", oneLine(err.Error()))
	} else {
		d.log.Info("configuration read again", "changed", changes(before, d.config))
	}
	d.tell(d.notify.Ready)
}

// changes names the settings that differ, without their values.
func changes(a, b *loaded) string {
	var changed []string
	for _, s := range allSettings() {
		if s.show(a.values[s.key]) != s.show(b.values[s.key]) || s.secret && a.values[s.key] != b.values[s.key] {
			changed = append(changed, s.key)
		}
	}
	if len(changed) == 0 {
		return "no setting" // the files that they name are read again all the same
	}
	return strings.Join(slices.Sorted(slices.Values(changed)), ", ")
}

// judge says what a failure means for the next try.
func judge(err error) (renew.Verdict, time.Duration) {
	var asked *selfservice.Error
	var atLeast time.Duration
	if errors.As(err, &asked) {
		atLeast = asked.RetryAfter
	}
	switch {
	case errors.Is(err, pki.ErrPending):
		return renew.Wait, atLeast
	case enroll.IsLocal(err):
		return renew.Local, 0
	case enroll.IsTemporary(err):
		return renew.Retry, atLeast
	default:
		return renew.Despair, atLeast
	}
}
