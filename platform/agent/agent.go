// Package agent is the Icinga agent of this machine: which one is installed,
// the files that make an agent of a stock installation, and its service.
//
// Its folders belong to the agent's account, and its files to whoever wrote
// them. So files are read and written by way of [platform.Dir], a new set is
// validated by the agent before it is put in place, and only what a package has
// shipped counts as nobody's.
package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"icinga-enroll/platform/service"
)

// serviceName is what every package calls the agent's service.
const serviceName = "icinga2"

// Agent is an Icinga agent with folders, a program that validates its
// configuration and one that reloads it.
type Agent struct {
	ConfigDir       string
	DataDir         string   // its certificates are in the folder certs of it
	ValidateCommand []string // an argument vector; "-D Configuration.ConfigDir=…" is appended
	ReloadCommand   []string // an argument vector; nil: the service icinga2 is reloaded
	System          bool     // it is the machine's own, with the service icinga2
	PIDFile         string   // of the machine's own, for where nothing manages services

	// Run runs a program to its end, without a shell, and returns what it
	// printed last.
	Run Runner
}

// Runner runs a program with additional variables in its environment.
type Runner func(ctx context.Context, argv, env []string) (output string, err error)

// Certs is the folder in which the agent looks for its certificate.
func (a Agent) Certs() string { return filepath.Join(a.DataDir, "certs") }

// Runs reports whether the agent is running, as far as that can be seen.
func (a Agent) Runs(ctx context.Context) bool {
	if !a.System {
		return processOf(a.ConfigDir, a.DataDir)
	}
	state, err := service.Status(ctx, serviceName)
	if err != nil || state == service.NotInstalled {
		_, _, alive := readPID(a.PIDFile)
		return alive
	}
	return state == service.Running
}

// Reload has the agent read its configuration and its certificate again.
func (a Agent) Reload(ctx context.Context) error {
	if a.ReloadCommand != nil {
		if out, err := a.Run(ctx, a.ReloadCommand, nil); err != nil {
			return fmt.Errorf("%s: %w: %s", strings.Join(a.ReloadCommand, " "), err, out)
		}
		return nil
	}
	state, err := service.Status(ctx, serviceName)
	if err != nil || state == service.NotInstalled {
		return hangUp(a.PIDFile)
	}
	return service.Reload(ctx, serviceName)
}

// Start has the machine's own agent started now and at every boot. One that
// somebody has masked isn't started, nor is one before the machine boots, which
// is no error.
func (a Agent) Start(ctx context.Context) (started bool, err error) {
	err = service.Enable(ctx, serviceName)
	if errors.Is(err, service.ErrMasked) {
		return false, nil
	}
	if err == nil {
		err = service.Start(ctx, serviceName)
	}
	if errors.Is(err, service.ErrNotBooted) {
		return false, nil
	}
	return err == nil, err
}

// Startable reports whether Start can do something: it is the machine's own
// agent, and something manages services.
func (a Agent) Startable(ctx context.Context) bool {
	if !a.System {
		return false
	}
	state, err := service.Status(ctx, serviceName)
	return err == nil && state != service.NotInstalled
}

// ReceivedSince reports whether a parent has sent the agent configuration since
// t; with the zero t, ever. Icinga writes what it gets, even if it has it
// already, anew into a folder of this name at every connection (observed on
// 2.13.6).
func (a Agent) ReceivedSince(t time.Time) bool {
	info, err := os.Stat(filepath.Join(a.DataDir, "api", "zones-stage"))
	if err != nil {
		return false
	}
	entries, err := os.ReadDir(filepath.Join(a.DataDir, "api", "zones-stage"))
	return err == nil && len(entries) > 0 && !info.ModTime().Before(t.Truncate(time.Second))
}
