package service

import "os"

// InstanceName is what the service of one of several instances is called: that
// of the package's template where the instance fits it, unless it has a unit of
// its own.
func InstanceName(service, instance string, fits func() bool) string {
	if s, found := findSystemd(); found {
		return s.instanceName(service, instance, fits)
	}
	return service + "-" + instance
}

func (s systemd) instanceName(service, instance string, fits func() bool) string {
	own := service + "-" + instance
	if _, err := os.Lstat(s.file(own)); err == nil || !s.hasTemplate(service) || !fits() {
		return own
	}
	return service + "@" + instance
}

// TakesCredentials reports whether services here may get secrets by systemd's
// LoadCredential=, which nobody but they can read.
func TakesCredentials() bool {
	_, found := findSystemd()
	return found
}
