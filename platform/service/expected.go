package service

import "context"

// Expected reports whether the service should run now: it is started at boot,
// and its manager is what this machine, or container, was booted by. Any
// account may ask.
func Expected(ctx context.Context, name string) (bool, error) {
	if m, ok := thisSystem().(interface{ hasBooted() bool }); ok && !m.hasBooted() {
		return false, nil
	}
	return Enabled(ctx, name)
}
