package platform

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
)

// helpers are what this test binary does as another process instead of running
// tests: each is given a folder, and the process prints what it returns and
// stays until its input is closed.
var helpers = map[string]func(d *Dir) string{}

const helperVariable = "PLATFORM_TEST_HELPER"

func TestMain(m *testing.M) {
	if help, ok := helpers[os.Getenv(helperVariable)]; ok {
		d, err := OpenDir(os.Args[1])
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(help(d))
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// helper is such a process.
type helper struct {
	*exec.Cmd
	said string
}

// startHelper starts one and waits until it has done its work.
func startHelper(t *testing.T, name, folder string) helper {
	t.Helper()
	command := exec.Command(os.Args[0], folder)
	command.Env = append(os.Environ(), helperVariable+"="+name)
	command.Stderr = os.Stderr
	stop, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	said, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = stop.Close(), command.Wait() })
	return helper{command, said[:len(said)-1]}
}
