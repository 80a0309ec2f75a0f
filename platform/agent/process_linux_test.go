package agent

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// sleeping is a process that prints every line that it gets, and "hangup" when it
// has got that signal.
type sleeping struct {
	*exec.Cmd
	in  io.WriteCloser
	out io.Reader
}

// sleeper starts one of this name.
func sleeper(t *testing.T, name string, args ...string) sleeping {
	t.Helper()
	script := `trap 'echo hangup' HUP; echo ready; while read -r line; do echo "$line"; done`
	cmd := exec.Command("/bin/bash", append([]string{"-c", script}, args...)...)
	cmd.Args[0] = name
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err, cmd.Start())
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	wait(t, out, "ready\n")
	return sleeping{cmd, in, out}
}

func wait(t *testing.T, r io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil || string(got) != want {
		t.Fatalf("got %q, %v", got, err)
	}
}

func TestProcessOf(t *testing.T) {
	config, data := t.TempDir(), t.TempDir()
	sleeper(t, "/usr/lib/icinga2/sbin/icinga2", "daemon", "-D", "Configuration.DataDir="+data)
	sleeper(t, "other", "-D", "Configuration.DataDir="+config)
	if !processOf(config, data) {
		t.Error("an icinga2 with the folder isn't found")
	}
	if processOf(config) || processOf(filepath.Dir(data)) {
		t.Error("another program, or another folder, counts")
	}
	if (Agent{ConfigDir: config, DataDir: data}).Runs(t.Context()) == false {
		t.Error("the agent in folders of its own doesn't run, says Runs")
	}
	main := t.TempDir()
	sleeper(t, "icinga2", "daemon", "-c", main+"/icinga2.conf")
	if !processOf(main) {
		t.Error("an icinga2 with the folder's main file isn't found")
	}
}

func TestHangUp(t *testing.T) {
	file := filepath.Join(t.TempDir(), "icinga2.pid")
	for _, text := range []string{"", "0\n", "1\n", "-1\n", "not a number", "4194305\n"} {
		must(t, os.WriteFile(file, []byte(text), 0o600))
		if err := hangUp(file); err == nil {
			t.Errorf("%q got a signal", text)
		}
	}
	cmd := sleeper(t, "icinga2")
	must(t, os.WriteFile(file, []byte(strconv.Itoa(cmd.Process.Pid)+"\n"), 0o600), hangUp(file))
	// A shell that has got the signal just before it reads looks at it once it has read.
	_, err := io.WriteString(cmd.in, "go on\n")
	must(t, err)
	wait(t, cmd.out, "hangup\ngo on\n")
	if err := syscall.Kill(cmd.Process.Pid, 0); err != nil {
		t.Errorf("the process is gone: %v", err)
	}
}

// The number is in a file of the agent's: whatever that account puts there, root
// waits for nothing, and signals no process that the agent could not.
func TestHangUpHasTheRightsOfTheAgent(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "run")
	file := filepath.Join(folder, "icinga2.pid")
	must(t, os.Mkdir(folder, 0o755), syscall.Mkfifo(file, 0o644))
	if err := hangUp(file); err == nil {
		t.Error("a FIFO names a process")
	}
	if os.Geteuid() != 0 {
		return // to this account all folders are its own
	}
	other := sleeper(t, "icinga2")
	must(t, os.Remove(file), os.WriteFile(file, []byte(strconv.Itoa(other.Process.Pid)), 0o644), os.Chown(folder, 64911, 64911))
	if err := hangUp(file); err == nil {
		t.Error("root's process got a signal of the agent's")
	}
	must(t, other.Process.Signal(syscall.Signal(0)))
}
