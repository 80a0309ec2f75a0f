package service

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc/mgr"
)

// thisSystem returns the Service Control Manager.
func thisSystem() manager { return library{} }

// install makes the service and then brings it, as one that was there before,
// to what c says.
func (l library) install(ctx context.Context, c Config) error {
	s, err := l.with(c)
	if err != nil {
		return err
	}
	before, err := l.state(ctx, c.Name)
	if err != nil {
		return err
	}
	if before == NotInstalled {
		if err := s.Install(); err != nil {
			return explain(err)
		}
	}
	if err := adjust(c); err != nil {
		if before == NotInstalled {
			err = errors.Join(err, s.Uninstall())
		}
		return explain(err)
	}
	return nil
}

func (l library) uninstall(ctx context.Context, name string) error {
	s, err := l.with(Config{Name: name})
	if err != nil {
		return err
	}
	// The library removes the event source, and fails where there is none.
	if err := addEventSource(name); err != nil {
		return explain(err)
	}
	return explain(s.Uninstall())
}

func adjust(c Config) error {
	m, err := mgr.Connect()
	if err != nil {
		return err
	}
	defer func() { _ = m.Disconnect() }()
	s, err := m.OpenService(c.Name)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	is, err := s.Config()
	if err != nil {
		return err
	}
	is.BinaryPathName = windows.ComposeCommandLine(append([]string{c.Executable}, c.Arguments...))
	is.DisplayName, is.Description = c.Description, c.Description
	is.StartType, is.DelayedAutoStart = mgr.StartAutomatic, true
	if err := s.UpdateConfig(is); err != nil {
		return err
	}
	if err := recoverFrom(s); err != nil {
		return err
	}
	return addEventSource(c.Name)
}

// recoverFrom sets the pauses before the first, the second and every other
// restart; a day without a failure begins the row anew.
// A service that ends with an error is restarted as one that crashes is.
func recoverFrom(s *mgr.Service) error {
	actions := []mgr.RecoveryAction{
		{Type: mgr.ServiceRestart, Delay: 5 * time.Second},
		{Type: mgr.ServiceRestart, Delay: time.Minute},
		{Type: mgr.ServiceRestart, Delay: 5 * time.Minute},
	}
	if err := s.SetRecoveryActions(actions, 86400); err != nil {
		return err
	}
	return s.SetRecoveryActionsOnNonCrashFailures(true)
}

func (library) enable(_ context.Context, name string) error {
	m, err := mgr.Connect()
	if err != nil {
		return explain(err)
	}
	defer func() { _ = m.Disconnect() }()
	s, err := m.OpenService(name)
	if err != nil {
		return explain(err)
	}
	defer func() { _ = s.Close() }()
	is, err := s.Config()
	if err != nil {
		return explain(err)
	}
	is.StartType = mgr.StartAutomatic
	return explain(s.UpdateConfig(is))
}

// reload restarts it: Windows has no signal for that.
func (l library) reload(ctx context.Context, name string) error {
	return l.control(ctx, name, "restart")
}

// enabled asks with the few rights that every account has.
func (library) enabled(_ context.Context, name string) (bool, error) {
	handle, err := windows.OpenSCManager(nil, nil, windows.SC_MANAGER_CONNECT)
	if err != nil {
		return false, err
	}
	defer func() { _ = windows.CloseServiceHandle(handle) }()
	text, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return false, err
	}
	service, err := windows.OpenService(handle, text, windows.SERVICE_QUERY_CONFIG)
	if err != nil {
		return false, err
	}
	defer func() { _ = windows.CloseServiceHandle(service) }()
	c, err := (&mgr.Service{Name: name, Handle: service}).Config()
	return c.StartType == mgr.StartAutomatic, err
}
