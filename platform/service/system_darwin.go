package service

import (
	"context"
	"errors"

	"github.com/kardianos/service"
)

// thisSystem returns launchd, which starts every service whose file is there.
func thisSystem() manager {
	nothing := func(context.Context, string) error { return nil }
	return scripts{
		folder:      "/Library/LaunchDaemons",
		suffix:      ".plist",
		template:    plistTemplate,
		perm:        0o644,
		enabling:    nothing,
		disable:     nothing,
		starts:      func(context.Context, string) (bool, error) { return true, nil },
		reloads:     "restart",
		controlling: library{}.control,
		asking:      library{}.state,
	}
}

func (l library) state(_ context.Context, name string) (State, error) {
	s, err := l.with(Config{Name: name})
	if err != nil {
		return NotInstalled, err
	}
	status, err := s.Status()
	switch {
	case errors.Is(err, service.ErrNotInstalled):
		return NotInstalled, nil
	case err != nil:
		return NotInstalled, explain(err)
	case status == service.StatusRunning:
		return Running, nil
	}
	return Stopped, nil
}
