package platform

// DefaultPaths returns the places for FreeBSD: hier(7) gives /var/db to what a
// program must remember; Icinga's port keeps its data in /var/lib all the same.
func DefaultPaths() Paths {
	return Paths{
		Config: "/usr/local/etc/icinga-enroll/config.yml",
		State:  "/var/db/icinga-enroll",
		Certs:  "/var/lib/icinga2/certs",
		Agent:  "/usr/local/etc/icinga2",
	}
}
