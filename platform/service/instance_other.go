//go:build !linux

package service

// InstanceName is what the service of one of several instances is called. Only
// systemd has templates that an instance may fit.
func InstanceName(service, instance string, _ bool) string { return service + "-" + instance }

// TakesCredentials reports whether services here may get secrets by systemd's
// LoadCredential=.
func TakesCredentials() bool { return false }
