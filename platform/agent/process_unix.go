//go:build unix

package agent

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"icinga-enroll/platform"
)

// readPID reads the agent's process number, who could write it, and whether that
// process exists.
func readPID(file string) (pid int, writer platform.Owner, alive bool) {
	var data []byte
	err := inFolder(filepath.Dir(file), filepath.Base(file), func(d *platform.Dir, base string) (err error) {
		if writer, err = d.Owner(); err == nil {
			data, err = d.ReadFile(base)
		}
		return err
	})
	if err != nil {
		return 0, writer, false
	}
	pid, err = strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || pid <= 1 {
		return 0, writer, false
	}
	err = syscall.Kill(pid, 0)
	return pid, writer, err == nil || errors.Is(err, syscall.EPERM)
}

// hangUp reloads an agent that no service manager looks after. The number may be
// any process's: it gets the signal with the rights of who could write it.
func hangUp(pidFile string) error {
	pid, writer, alive := readPID(pidFile)
	if !alive {
		return fmt.Errorf("the agent doesn't run: no process of %s", pidFile)
	}
	return writer.HangUp(pid)
}

// processOf reports whether an Icinga 2 runs with one of these folders on its
// command line. Only Linux has the files that tell.
func processOf(folders ...string) bool {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		line, err := os.ReadFile(file)
		argv := bytes.Split(line, []byte{0})
		if err != nil || !bytes.Contains(filepathBase(argv[0]), []byte("icinga2")) {
			continue
		}
		for _, folder := range folders {
			if bytes.Contains(line, []byte("="+folder+"\x00")) || bytes.Contains(line, []byte(folder+"/icinga2.conf\x00")) {
				return true
			}
		}
	}
	return false
}

func filepathBase(path []byte) []byte { return path[bytes.LastIndexByte(path, '/')+1:] }
