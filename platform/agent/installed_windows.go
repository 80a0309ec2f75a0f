package agent

import (
	"os"
	"path/filepath"
)

// programs are the places of icinga2: its installer doesn't touch the PATH.
func programs() []string {
	return []string{"icinga2", filepath.Join(programFiles(), "ICINGA2", "sbin", "icinga2.exe")}
}

// Owner names another program that looks after the agent here; "" where there
// is none. Icinga for Windows has tasks of its own that write the agent's files.
func Owner() string {
	module := filepath.Join(programFiles(), "WindowsPowerShell", "Modules", "icinga-powershell-framework")
	if _, err := os.Stat(module); err == nil {
		return "Icinga for Windows"
	}
	return ""
}

func programFiles() string {
	return filepath.Join(filepath.VolumeName(os.Getenv("SystemRoot"))+`\`, "Program Files")
}
