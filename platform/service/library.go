//go:build windows || darwin

package service

import (
	"context"
	"errors"

	"github.com/kardianos/service"
)

// library is a service manager as github.com/kardianos/service knows it.
type library struct{}

func (library) with(c Config) (service.Service, error) {
	return service.New(newWorker(nil), &service.Config{
		Name:        c.Name,
		DisplayName: c.Description,
		Description: c.Description,
		Executable:  c.Executable,
		Arguments:   c.Arguments,
	})
}

func (l library) control(_ context.Context, name, action string) error {
	s, err := l.with(Config{Name: name})
	if err != nil {
		return err
	}
	return explain(service.Control(s, action))
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
