package service

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/kardianos/service"
)

// errNotManaged says that no service manager waits for this process to report.
var errNotManaged = errors.New("this process wasn't started by the service manager")

// Serve runs work until it returns, and returns its error: a worker that died is
// a service that died, and it is for the manager to start it again. Make that
// error the process's exit code.
//
// The context of work ends at once when the service manager or somebody at a
// terminal asks to stop (SIGTERM, an interrupt, Windows' stop and shutdown).
// From then on an error that is the context's is none.
func Serve(name string, work func(context.Context) error) error {
	if err := serveManaged(name, work, dispatch); !errors.Is(err, errNotManaged) {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
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

// serveManaged runs work for Windows' service manager, which talks to a service
// and sends no signals; dispatch listens to it. Where work dies, serveManaged
// returns without a word to the manager: only a service that ends without having
// said so is restarted.
func serveManaged(name string, work func(context.Context) error, dispatch func(string, service.Service) error) error {
	w := newWorker(work)
	s, err := service.New(w, &service.Config{Name: name})
	if err != nil {
		return err
	}
	dispatched := make(chan error, 1)
	go func() { dispatched <- dispatch(name, s) }()
	select {
	case err := <-dispatched:
		return errors.Join(err, w.outcome())
	case <-w.done:
	}
	if w.asked() {
		return errors.Join(<-dispatched, w.err) // the manager is told that the service has stopped
	}
	return w.err
}

// worker is work in the form that kardianos/service wants.
type worker struct {
	ctx  context.Context // ends when the manager asks to stop
	end  context.CancelFunc
	work func(context.Context) error
	done chan struct{} // closed when work has returned
	err  error         // of work; to be read after done
}

func newWorker(work func(context.Context) error) *worker {
	w := &worker{work: work, done: make(chan struct{})}
	w.ctx, w.end = context.WithCancel(context.Background())
	return w
}

// Start begins the work; the manager wants to hear soon that it has.
func (w *worker) Start(service.Service) error {
	go func() {
		defer close(w.done)
		w.err = stopped(w.ctx, w.work(w.ctx))
	}()
	return nil
}

// Stop waits for the work: the process ends when Stop returns.
func (w *worker) Stop(service.Service) error {
	w.end()
	<-w.done
	return w.err
}

func (w *worker) asked() bool { return w.ctx.Err() != nil }

// outcome is the error of work, nil while it goes on or where it never began.
func (w *worker) outcome() error {
	select {
	case <-w.done:
		return w.err
	default:
		return nil
	}
}
