//go:build !windows

package service

// EventLog returns nil: there is an event log on Windows only.
func EventLog(string) (*Events, error) { return nil, nil }
