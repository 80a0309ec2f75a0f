package service

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// errNotManaged says that no service manager waits for this process to report.
var errNotManaged = errors.New("this process wasn't started by the service manager")

// Serve runs work until it returns, and returns its error: a worker that died is
// a service that died, and it is for the manager to start it again. Make that
// error the process's exit code.
//
// The context of work ends at once when the service manager or somebody at a
// terminal asks to stop (SIGTERM, an interrupt, Windows' stop and shutdown).
// From then on an error that is the context's is none. It ends with ctx, too, which
// has the signals that came before Serve was called.
func Serve(ctx context.Context, name string, work func(context.Context) error) error {
	if err := serveManaged(name, work); !errors.Is(err, errNotManaged) {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	return stopped(ctx, work(ctx))
}

// stopped is the outcome of work: to have been stopped is no error.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
