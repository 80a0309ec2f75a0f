//go:build unix

package service

import "context"

// serveManaged has nobody to hand a service to: here the manager sends signals.
func serveManaged(string, func(context.Context) error) error { return errNotManaged }
