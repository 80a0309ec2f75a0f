//go:build !linux

package service

// InstanceName is what the service of one of several instances is called.
func InstanceName(service, instance string) string { return service + "-" + instance }
