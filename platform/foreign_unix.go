//go:build unix

package platform

import (
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// Foreign returns the account that name belongs to, where that isn't this
// program's, and "" where it is. "." is the folder: what root writes in one of
// another's that account couldn't read.
func (d *Dir) Foreign(name string) (account string, err error) {
	info, err := d.root.Lstat(name)
	if err != nil {
		return "", explain("find the owner of "+d.join(name), err)
	}
	return foreignOwner(info), nil
}

func foreignOwner(info fs.FileInfo) (account string) {
	owner := int(info.Sys().(*syscall.Stat_t).Uid)
	if owner == os.Geteuid() {
		return ""
	}
	number := strconv.Itoa(owner)
	if u, err := user.LookupId(number); err == nil {
		return u.Username
	}
	return number
}
