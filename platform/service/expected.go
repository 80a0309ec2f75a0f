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

// TimerFailed reports whether the timer that a package has beside the service is
// enabled, and its last run failed: in any way, or, where one that exits with 1 has
// told why, in another, as with a configuration that it refused. Any account may ask.
func TimerFailed(ctx context.Context, name string, told bool) bool {
	m, ok := thisSystem().(interface {
		timerFailed(ctx context.Context, name string, told bool) bool
	})
	return ok && m.timerFailed(ctx, name, told)
}
