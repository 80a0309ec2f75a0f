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
// enabled, and its last run ended so that the run itself could not tell: with a
// configuration that it refused, or killed. Any account may ask.
func TimerFailed(ctx context.Context, name string) bool {
	m, ok := thisSystem().(interface {
		timerFailed(ctx context.Context, name string) bool
	})
	return ok && m.timerFailed(ctx, name)
}
