package service

import "os"

// InstanceName is what the service of one of several instances is called: that
// of the package's template, unless it has a unit of its own.
func InstanceName(service, instance string) string {
	own := service + "-" + instance
	s, found := findSystemd()
	if !found || !s.hasTemplate(service) {
		return own
	}
	if _, err := os.Lstat(s.file(own)); err == nil {
		return own
	}
	return service + "@" + instance
}
