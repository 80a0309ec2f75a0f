//go:build windows || darwin

package service

import (
	"context"

	"github.com/kardianos/service"
)

// library is a service manager as github.com/kardianos/service knows it.
type library struct{}

func (library) with(c Config) (service.Service, error) {
	return service.New(nil, &service.Config{
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
