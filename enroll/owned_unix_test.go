//go:build unix

package enroll_test

import (
	"fmt"
	"io/fs"
	"syscall"
)

func owned(info fs.FileInfo) string {
	stat := info.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%d:%d", stat.Uid, stat.Gid)
}
