package service

import (
	"context"
	"errors"
	"testing"

	"github.com/kardianos/service"
	"golang.org/x/sys/windows/svc"
)

// Windows ends the process when Stop returns.
func TestManagedStopWaitsForTheWork(t *testing.T) {
	late := errors.New("the state could not be saved")
	for _, c := range []struct{ result, want error }{
		{context.Canceled, nil}, {late, late}, {nil, nil},
	} {
		asked, finish := make(chan struct{}), make(chan struct{})
		w := newWorker(func(ctx context.Context) error {
			<-ctx.Done()
			close(asked)
			<-finish
			return c.result
		})
		if err := w.Start(nil); err != nil || w.asked() {
			t.Fatalf("started: %v, asked to stop: %v", err, w.asked())
		}
		stopped := make(chan error, 1)
		go func() { stopped <- w.Stop(nil) }()
		<-asked
		select {
		case err := <-stopped:
			t.Fatalf("stopped with %v while the work went on", err)
		default:
		}
		close(finish)
		if err := <-stopped; !errors.Is(err, c.want) || !w.asked() {
			t.Errorf("work that returned %v: got %v", c.result, err)
		}
	}
}

// A manager that is told "stopped" restarts nothing: a worker that died says nothing.
func TestADeadWorkerIsADeadService(t *testing.T) {
	died := errors.New("the worker died")
	told := make(chan svc.Status, 16)
	err := manage("icinga-enroll-test", func(context.Context) error { return died }, func(_ string, s service.Service) error {
		s.(svc.Handler).Execute(nil, make(chan svc.ChangeRequest), told)
		return nil
	})
	if !errors.Is(err, died) {
		t.Errorf("got %v", err)
	}
	for len(told) > 0 {
		if status := <-told; status.State == svc.Stopped || status.State == svc.StopPending {
			t.Errorf("the manager was told %v", status.State)
		}
	}
}
