//go:build unix

package platform

import (
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// Foreign returns the account that the folder belongs to, where that isn't this
// program's, and "" where it is: what root writes there that account couldn't
// read.
func (d *Dir) Foreign() (account string, err error) {
	info, err := d.root.Stat(".")
	if err != nil {
		return "", explain("find the owner of the folder "+d.path, err)
	}
	owner := int(info.Sys().(*syscall.Stat_t).Uid)
	if owner == os.Geteuid() {
		return "", nil
	}
	number := strconv.Itoa(owner)
	if u, err := user.LookupId(number); err == nil {
		return u.Username, nil
	}
	return number, nil
}
