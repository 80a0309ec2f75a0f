package service

import (
	"errors"

	"github.com/kardianos/service"
	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
)

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
