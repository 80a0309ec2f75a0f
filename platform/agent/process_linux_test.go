package agent

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

func TestMain(m *testing.M) {
	if os.Getenv("SLEEPER_TEST") != "" {
		sleep()
		return
	}
	os.Exit(m.Run())
}

// sleep says when it has got a hangup, until its input ends.
func sleep() {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		for range hangups {
			fmt.Println("hangup")
		}
	}()
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// sleeping is a process that sleeps.
type sleeping struct {
	*exec.Cmd
	out io.Reader
}

// sleeper starts one of this name: this test's own program.
func sleeper(t *testing.T, name string, args ...string) sleeping {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = name
	cmd.Env = append(os.Environ(), "SLEEPER_TEST=1")
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err, cmd.Start())
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	wait(t, out, "ready\n")
	return sleeping{cmd, out}
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
	wait(t, cmd.out, "hangup\n")
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
