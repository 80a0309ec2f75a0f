package service

import (
	"context"
	"errors"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
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
	if err := describe(s.Handle, c); err != nil {
		return err
	}
	if err := startLate(s.Handle); err != nil {
		return err
	}
	if err := recoverFrom(s); err != nil {
		return err
	}
	return addEventSource(c.Name)
}

// describe changes what c says, and leaves everything else as it is.
func describe(s windows.Handle, c Config) error {
	command, err := windows.UTF16PtrFromString(windows.ComposeCommandLine(append([]string{c.Executable}, c.Arguments...)))
	if err != nil {
		return err
	}
	name, err := windows.UTF16PtrFromString(c.Description)
	if err != nil {
		return err
	}
	const same = windows.SERVICE_NO_CHANGE
	if err := windows.ChangeServiceConfig(s, same, windows.SERVICE_AUTO_START, same, command, nil, nil, nil, nil, nil, name); err != nil {
		return err
	}
	text := windows.SERVICE_DESCRIPTION{Description: name}
	info := (*byte)(unsafe.Pointer(&text)) //nolint:gosec // G103: that is how Windows wants it
	return windows.ChangeServiceConfig2(s, windows.SERVICE_CONFIG_DESCRIPTION, info)
}

// startLate has the service started at boot after those that others wait for.
func startLate(s windows.Handle) error {
	late := windows.SERVICE_DELAYED_AUTO_START_INFO{IsDelayedAutoStartUp: 1}
	info := (*byte)(unsafe.Pointer(&late)) //nolint:gosec // G103: that is how Windows wants it
	return asFarAsKnown(windows.ChangeServiceConfig2(s, windows.SERVICE_CONFIG_DELAYED_AUTO_START_INFO, info))
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
	return asFarAsKnown(s.SetRecoveryActionsOnNonCrashFailures(true))
}

// asFarAsKnown lets a service manager be that has no such setting. Windows has
// all that are used here since Vista; Wine, under which this is tested, has not.
func asFarAsKnown(err error) error {
	if errors.Is(err, windows.ERROR_INVALID_LEVEL) {
		return nil
	}
	return err
}

// state asks as every account may; the library would ask for the right to start
// and stop the service, too.
func (library) state(ctx context.Context, name string) (State, error) {
	var status svc.Status
	err := ask(name, windows.SERVICE_QUERY_STATUS, func(s *mgr.Service) (err error) {
		status, err = started(ctx, s.Query)
		return err
	})
	switch {
	case errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST):
		return NotInstalled, nil
	case err != nil:
		return NotInstalled, explain(err)
	case status.State == svc.Stopped:
		return Stopped, nil
	}
	return Running, nil
}

const (
	startFor  = 30 * time.Second // what the service manager itself gives a service
	startPoll = 50 * time.Millisecond
)

// started asks until the service isn't about to start any more, for 30 seconds
// at most: as long as it is the service manager refuses to stop it.
func started(ctx context.Context, query func() (svc.Status, error)) (svc.Status, error) {
	for end := time.Now().Add(startFor); ; {
		status, err := query()
		if err != nil || status.State != svc.StartPending || time.Now().After(end) {
			return status, err
		}
		select {
		case <-ctx.Done():
			return status, ctx.Err()
		case <-time.After(startPoll):
		}
	}
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
	const same = windows.SERVICE_NO_CHANGE
	return explain(windows.ChangeServiceConfig(s.Handle, same, windows.SERVICE_AUTO_START, same, nil, nil, nil, nil, nil, nil, nil))
}

// reload restarts it: Windows has no signal for that.
func (l library) reload(ctx context.Context, name string) error {
	return l.control(ctx, name, "restart")
}

func (library) enabled(_ context.Context, name string) (bool, error) {
	var c windows.QUERY_SERVICE_CONFIG
	err := ask(name, windows.SERVICE_QUERY_CONFIG, func(s *mgr.Service) error {
		// The texts come behind the struct; Windows never needs more than 8 KiB.
		var buffer [8 << 10 / unsafe.Sizeof(c)]windows.QUERY_SERVICE_CONFIG
		var needed uint32
		err := windows.QueryServiceConfig(s.Handle, &buffer[0], uint32(unsafe.Sizeof(buffer)), &needed)
		c = buffer[0]
		return err
	})
	return c.StartType == windows.SERVICE_AUTO_START, err
}

// ask opens a service with the given right and no other.
func ask(name string, right uint32, question func(*mgr.Service) error) error {
	handle, err := windows.OpenSCManager(nil, nil, windows.SC_MANAGER_CONNECT)
	if err != nil {
		return err
	}
	defer func() { _ = windows.CloseServiceHandle(handle) }()
	text, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return err
	}
	service, err := windows.OpenService(handle, text, right)
	if err != nil {
		return err
	}
	defer func() { _ = windows.CloseServiceHandle(service) }()
	return question(&mgr.Service{Name: name, Handle: service})
}
