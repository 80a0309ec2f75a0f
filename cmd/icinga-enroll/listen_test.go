package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdNoListen asserts that what runs in the background can't be reached by
// anybody: of its sockets none waits for others. Linux only.
func cmdNoListen(ts *testscript.TestScript, _ bool, _ []string) {
	control, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	defer func() { _ = control.Close() }()
	if own, err := listening(os.Getpid()); err != nil || len(own) == 0 {
		ts.Fatalf("this test's own listener doesn't show (%v): the search finds nothing", err)
	}
	for _, cmd := range ts.BackgroundCmds() {
		found, err := listening(cmd.Process.Pid)
		ts.Check(err)
		if len(found) > 0 {
			ts.Fatalf("it listens: %s", strings.Join(found, "\n"))
		}
	}
}

// listening returns the lines of /proc/net, see proc_pid_net(5), that are
// sockets of a process which wait for others.
func listening(pid int) (found []string, err error) {
	sockets, err := socketsOf(pid)
	if err != nil {
		return nil, err
	}
	for file, waits := range map[string]func(fields []string) (inode string, waiting bool){
		"tcp":  func(f []string) (string, bool) { return f[9], f[3] == "0A" },
		"tcp6": func(f []string) (string, bool) { return f[9], f[3] == "0A" },
		"udp":  func(f []string) (string, bool) { return f[9], f[3] == "07" },
		"udp6": func(f []string) (string, bool) { return f[9], f[3] == "07" },
		"unix": func(f []string) (string, bool) { return f[6], f[3] == "00010000" },
	} {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, file))
		if err != nil {
			return nil, err
		}
		for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n")[1:] {
			if inode, waiting := waits(strings.Fields(line)); waiting && slices.Contains(sockets, "socket:["+inode+"]") {
				found = append(found, file+": "+strings.TrimSpace(line))
			}
		}
	}
	return found, nil
}

func socketsOf(pid int) (sockets []string, err error) {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	for _, entry := range entries {
		if target, err := os.Readlink(filepath.Join(dir, entry.Name())); err == nil && strings.HasPrefix(target, "socket:") {
			sockets = append(sockets, target)
		}
	}
	return sockets, err
}
