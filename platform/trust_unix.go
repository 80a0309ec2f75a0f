//go:build unix

package platform

import (
	"fmt"
	"io/fs"
	"syscall"
)

// facts are what decides whether a folder or a file is to be trusted.
type facts struct {
	uid    int
	mode   fs.FileMode
	linked bool // it has several names, as a folder has on most file systems
}

func factsOf(info fs.FileInfo) facts {
	stat := info.Sys().(*syscall.Stat_t)
	return facts{uid: int(stat.Uid), mode: info.Mode(), linked: stat.Nlink > 1}
}

// shared reports whether accounts other than its owner can write to it.
func (f facts) shared() bool { return f.mode.Perm()&0o022 != 0 }

// settled reports whether nobody but root and the account euid can have put
// entry into folder, or can put something else in its place. In a sticky folder
// everybody can add, but only the owner of an entry can replace it. A second
// name for root's own link can be added there on some systems, so a link of
// several names doesn't count.
func settled(folder, entry facts, euid int) bool {
	trusted := func(uid int) bool { return uid == 0 || uid == euid }
	if !trusted(folder.uid) {
		return false
	}
	if !folder.shared() {
		return true
	}
	sticky := folder.mode&fs.ModeSticky != 0
	return sticky && trusted(entry.uid) && (entry.mode.IsDir() || !entry.linked)
}

// planted reports whether the file may be a second name that somebody gave to
// a file of somebody else, to have it read or overwritten for him.
func planted(folder, file facts) bool {
	return file.linked && (folder.shared() || file.uid != folder.uid)
}

func refusePlanted(folder, file fs.FileInfo) error {
	of, what := factsOf(folder), factsOf(file)
	if !planted(of, what) {
		return nil
	}
	return fmt.Errorf("it has several names (hard links), belongs to uid %d, and accounts other than that one can write to its folder: "+
		"look what it is, and put a copy in its place", what.uid)
}
