package platform

import (
	"path/filepath"

	"golang.org/x/sys/windows"
)

// DefaultPaths returns the places for Windows, below %ProgramData%. Windows
// itself is asked for that folder: the variable is whatever the caller's
// environment says.
func DefaultPaths() Paths {
	data, err := windows.KnownFolderPath(windows.FOLDERID_ProgramData, 0)
	if err != nil {
		data = `C:\ProgramData`
	}
	return Paths{
		Config: filepath.Join(data, "icinga-enroll", "config.yml"),
		State:  filepath.Join(data, "icinga-enroll", "state"),
		Certs:  filepath.Join(data, "icinga2", "var", "lib", "icinga2", "certs"),
		Agent:  filepath.Join(data, "icinga2", "etc", "icinga2"),
	}
}
