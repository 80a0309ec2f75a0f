package service

import (
	"context"
	"errors"

	"github.com/kardianos/service"
	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
)

// serveManaged runs work for Windows' service manager, which talks to a service
// and sends no signals.
func serveManaged(name string, work func(context.Context) error) error {
	return manage(name, work, dispatch)
}

// manage runs work while dispatch listens to the manager. Where work dies, it
// returns without a word to the manager: only a service that ends without having
// said so is restarted.
func manage(name string, work func(context.Context) error, dispatch func(string, service.Service) error) error {
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

// dispatch hands s to the service manager until it has stopped. Windows itself
// knows whether the manager has started this process, and says so at once; to
// guess it from the parent process, as [service.Interactive] does, fails under
// Wine, where the same program is tested.
func dispatch(name string, s service.Service) error {
	err := svc.Run(name, s.(svc.Handler))
	if errors.Is(err, windows.ERROR_FAILED_SERVICE_CONTROLLER_CONNECT) {
		return errNotManaged
	}
	return err
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
