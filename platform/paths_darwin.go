package platform

// DefaultPaths returns the places for macOS. The state is not below /usr/local
// since that may belong to the account that installed Homebrew.
func DefaultPaths() Paths {
	return Paths{
		Config: "/usr/local/etc/icinga-enroll/config.yml",
		State:  "/var/db/icinga-enroll",
		Certs:  "/usr/local/var/lib/icinga2/certs",
		Agent:  "/usr/local/etc/icinga2",
	}
}
