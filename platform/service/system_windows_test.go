package service

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/windows/registry"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/eventlog"
	"golang.org/x/sys/windows/svc/mgr"
)

const testName = "icinga-enroll-test"

func installed(t *testing.T, c Config) Config {
	t.Helper()
	c.Name = testName
	c, err := c.complete()
	if err != nil {
		t.Fatal(err)
	}
	if err := Install(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := Uninstall(t.Context(), testName); err != nil {
			t.Error(err)
		}
	})
	return c
}

// ofManager shows a service to look.
func ofManager(t *testing.T, look func(*mgr.Service)) {
	t.Helper()
	m, err := mgr.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Disconnect() }()
	s, err := m.OpenService(testName)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	look(s)
}

// inRegistry is where the service manager keeps what it knows.
func inRegistry(t *testing.T, value string) string {
	t.Helper()
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, `SYSTEM\CurrentControlSet\Services\`+testName, registry.READ)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = key.Close() }()
	text, _, err := key.GetStringValue(value)
	if err != nil {
		t.Error(err)
	}
	return text
}

func wantState(t *testing.T, want State, wantEnabled bool) {
	t.Helper()
	state, err := Status(t.Context(), testName)
	if err != nil || state != want {
		t.Errorf("it is %v (%v), want %v", state, err, want)
	}
	enabled, err := Enabled(t.Context(), testName)
	if err != nil || enabled != wantEnabled {
		t.Errorf("started at boot: %v (%v)", enabled, err)
	}
}

func TestInstalledAgainItIsWhatWasAskedForLast(t *testing.T) {
	wantState(t, NotInstalled, false)
	installed(t, Config{Description: "first", Arguments: []string{"run"}})
	wantState(t, Stopped, true)
	// Without its event source it can be uninstalled all the same.
	if err := eventlog.Remove(testName); err != nil {
		t.Error(err)
	}
	installed(t, Config{Description: "second", Executable: `C:\Program Files\x.exe`, Arguments: []string{"--config", `C:\a b\c.yml`, "run"}})
	if err := eventlog.Remove(testName); err != nil {
		t.Errorf("installing again has brought no event source: %v", err)
	}
	command := `"C:\Program Files\x.exe" --config "C:\a b\c.yml" run`
	for value, want := range map[string]string{"ImagePath": command, "DisplayName": "second", "Description": "second"} {
		if got := inRegistry(t, value); got != want {
			t.Errorf("%s is %q, want %q", value, got, want)
		}
	}
	if err := Uninstall(t.Context(), testName); err != nil {
		t.Error(err)
	}
	wantState(t, NotInstalled, false)
}

func TestItIsRestartedWhenItDies(t *testing.T) {
	installed(t, Config{Description: "x"})
	ofManager(t, func(s *mgr.Service) {
		actions, err := s.RecoveryActions()
		var delays []time.Duration
		for _, a := range actions {
			if a.Type == mgr.ServiceRestart {
				delays = append(delays, a.Delay)
			}
		}
		if want := []time.Duration{5 * time.Second, time.Minute, 5 * time.Minute}; err != nil || !slices.Equal(delays, want) {
			t.Errorf("it is restarted after %v (%v), want %v", delays, err, want)
		}
		if too, err := s.RecoveryActionsOnNonCrashFailures(); err != nil || !too {
			t.Errorf("after an error: %v (%v)", too, err)
		}
	})
}

// The manager refuses to stop a service that is about to start: it is waited
// for, but not for ever.
func TestServiceThatIsAboutToStartIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		soon := func() (svc.Status, error) {
			asked++
			return svc.Status{State: []svc.State{svc.StartPending, svc.StartPending, svc.Running}[asked-1]}, nil
		}
		if status, err := started(t.Context(), soon); err != nil || status.State != svc.Running {
			t.Errorf("it is %v (%v) after %d questions", status.State, err, asked)
		}

		never := func() (svc.Status, error) { return svc.Status{State: svc.StartPending}, nil }
		before := time.Now()
		status, err := started(t.Context(), never)
		if took := time.Since(before); err != nil || status.State != svc.StartPending || took > time.Minute {
			t.Errorf("it is %v (%v) after %s", status.State, err, took)
		}

		ctx, stop := context.WithCancel(t.Context())
		stop()
		if _, err := started(ctx, never); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
}
