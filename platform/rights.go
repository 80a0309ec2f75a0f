package platform

import (
	"io/fs"
	"strings"
)

// What Windows calls rights, for files that it knows no modes for. The rights
// are written in Windows' security descriptor definition language.
const (
	// toKeepers: nothing is inherited; SYSTEM, Administrators and the owner, who
	// may be somebody else where this isn't run as a service, may do all.
	toKeepers = "D:P(A;%;FA;;;SY)(A;%;FA;;;BA)(A;%;FA;;;S-1-3-4)"

	readableToUsers = "(A;;FR;;;BU)"
	openToUsers     = "(A;CI;0x1200a9;;;BU)" // folders only: not the files in them

	// The Icinga agent is a service of NT AUTHORITY\NetworkService.
	readableToAgent = "(A;;FR;;;NS)"
)

// rightsOfFile returns the rights for a new file of that mode, "" for those that
// its folder hands down. agents says that it is to belong to the agent, as the
// folder does.
func rightsOfFile(perm fs.FileMode, agents bool) string {
	keepers := strings.ReplaceAll(toKeepers, "%", "")
	public := perm&0o004 != 0
	switch {
	case public && agents:
		return "" // the agent replaces its certificate itself
	case public:
		return keepers + readableToUsers
	case agents:
		return keepers + readableToAgent
	default:
		return keepers
	}
}

// rightsOfFolder returns the rights for a new folder of that mode, "" for those
// that the folder around it hands down. In a folder in %ProgramData% every
// account may make files, were it left at that: one named as a file of ours is
// would be believed. A folder that isn't for everybody is the agent's, and gets
// what the agent's installer has laid down.
func rightsOfFolder(perm fs.FileMode) string {
	if perm&0o004 == 0 {
		return ""
	}
	return strings.ReplaceAll(toKeepers, "%", "OICI") + openToUsers
}
