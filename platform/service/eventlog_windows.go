package service

import (
	"fmt"
	"strings"

	"github.com/kardianos/service"
	"golang.org/x/sys/windows/svc/eventlog"
)

// EventLog opens the log "Application" for the service of this name. It is nil
// where the service manager hasn't started this process: a terminal has a
// standard error, a service has none.
func EventLog(name string) (*Events, error) {
	if service.Interactive() {
		return nil, nil
	}
	return openLog(name)
}

// EventsOf registers the service of this name with the log "Application", whether
// it is installed or not, and opens it for who works on its behalf.
func EventsOf(name string) (*Events, error) {
	if err := addEventSource(name); err != nil {
		return nil, err
	}
	return openLog(name)
}

func openLog(name string) (*Events, error) {
	log, err := eventlog.Open(name)
	if err != nil {
		return nil, fmt.Errorf("opening Windows' event log: %w", err)
	}
	return &Events{Info: event(log.Info), Warning: event(log.Warning), Error: event(log.Error)}, nil
}

// event reports one event.
type event func(id uint32, text string) error

// Write reports line. EventCreate.exe, which shows the events, knows the ids 1
// to 1000; Windows refuses a text with a NUL in it.
func (e event) Write(line []byte) (int, error) {
	text := strings.ReplaceAll(strings.TrimRight(string(line), "\r\n"), "\x00", "")
	if err := e(1, text); err != nil {
		return 0, err
	}
	return len(line), nil
}

// addEventSource has Windows show the events of name as they were written. A
// source that is there already is no error; the error for it has no type.
func addEventSource(name string) error {
	err := eventlog.InstallAsEventCreate(name, eventlog.Info|eventlog.Warning|eventlog.Error)
	if err != nil && !strings.HasSuffix(err.Error(), "already exists") {
		return fmt.Errorf("registering %s with Windows' event log: %w", name, err)
	}
	return nil
}
