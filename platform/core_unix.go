//go:build unix

package platform

import "syscall"

// NoCore keeps this process from leaving a core file, should it die: keys and
// tickets are in its memory. Who wants one of a child may raise the limit there.
func NoCore() {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_CORE, &limit) == nil {
		limit.Cur = 0
		_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &limit) // to lower one's own is always allowed
	}
}
