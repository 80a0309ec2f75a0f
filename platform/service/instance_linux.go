package service

import (
	"os"
	"path/filepath"
)

// InstanceName is what the service of one of several instances is called: that
// of the package's template where the instance fits it, unless it has a unit of
// its own.
func InstanceName(service, instance string, fits bool) string {
	if s, found := findSystemd(); found {
		return s.instanceName(service, instance, fits)
	}
	return service + "-" + instance
}

func (s systemd) instanceName(service, instance string, fits bool) string {
	own, templates := service+"-"+instance, service+"@"+instance
	switch {
	case isThere(s.file(own)):
		return own
	case isThere(filepath.Join(s.units, "multi-user.target.wants", unitName(templates))):
		return templates // until that is uninstalled, whatever the configuration says by now
	case s.hasTemplate(service) && fits:
		return templates
	}
	return own
}

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// TakesCredentials reports whether services here may get secrets by systemd's
// LoadCredential=, which nobody but they can read.
func TakesCredentials() bool {
	_, found := findSystemd()
	return found
}
