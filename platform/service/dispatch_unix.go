//go:build unix

package service

import "github.com/kardianos/service"

// dispatch has nobody to hand a service to: here the manager sends signals.
func dispatch(string, service.Service) error { return errNotManaged }
