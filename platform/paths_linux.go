package platform

// DefaultPaths returns the places for Linux, as the Filesystem Hierarchy
// Standard and Icinga's packages have them.
func DefaultPaths() Paths {
	return Paths{
		Config: "/etc/icinga-enroll/config.yml",
		State:  "/var/lib/icinga-enroll",
		Certs:  "/var/lib/icinga2/certs",
		Agent:  "/etc/icinga2",
	}
}
