package platform

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// forgetProgram unmaps the pages of the program's file that are only read. They
// stay in the page cache and come back when they are touched: a start touches
// nearly all of them, the waiting very few. It is an economy only, so nothing
// is said where it can't be had.
func forgetProgram() {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(maps)) {
		// start-end perms offset device inode path, see proc_pid_maps(5)
		fields := strings.Fields(line)
		if len(fields) < 6 || fields[5] != program || !strings.HasPrefix(fields[1], "r") || strings.Contains(fields[1], "w") {
			continue
		}
		from, to, _ := strings.Cut(fields[0], "-")
		start, err1 := strconv.ParseUint(from, 16, 64)
		end, err2 := strconv.ParseUint(to, 16, 64)
		if err1 == nil && err2 == nil {
			_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, uintptr(start), uintptr(end-start), syscall.MADV_DONTNEED)
		}
	}
}
