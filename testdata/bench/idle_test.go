package bench

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"icinga-enroll/testdata/campaign"
)

var idle = flag.Duration("idle", 0, "how long the daemon is left alone; 0: it is not measured")

// TestIdle says what it costs to wait for the next renewal: the daemon beside the
// one of step, whose work is the same, and beside an Icinga 2 that has nothing to
// check either, the lab's satellite.
func TestIdle(t *testing.T) {
	if *idle == 0 {
		return
	}
	lab := campaign.OpenLab(t)
	processes := []struct {
		name string
		pids []string
	}{
		{"`icinga-enroll run`, enrolled", []string{waiting(t, node(t, lab, build(t)).Command(t.Context(), "run"), "certificate: enrolled")}},
		{"`step ca renew --daemon`", []string{waiting(t, step(t), "first renewal in")}},
		{"`icinga2 daemon`, a satellite without checks", family(t, lab.Values["LAB_SATELLITE_PID"])},
	}
	before := make([]load, len(processes))
	for i, p := range processes {
		before[i] = loadOf(t, p.pids)
	}
	start := time.Now()
	<-time.After(*idle)
	minutes := time.Since(start).Minutes()
	text := fmt.Sprintf("# What it costs to wait\n\n%s, over %s. Made by `make bench`.\n\n"+
		"| process | RSS, MiB | PSS, MiB | on a CPU, ms a minute | woken, times a minute |\n|---|---|---|---|---|\n", surroundings(t), *idle)
	for i, p := range processes {
		now := loadOf(t, p.pids)
		text += fmt.Sprintf("| %s | %.1f | %.1f | %.1f | %.0f |\n", p.name, now.rss/1024, now.pss/1024,
			(now.running-before[i].running).Seconds()*1e3/minutes, (now.switches-before[i].switches)/minutes)
	}
	t.Log("\n" + text)
	write(t, "waiting.md", text)
}

// waiting starts a daemon, and returns its process once it has logged that it
// has nothing more to do.
func waiting(t *testing.T, cmd *exec.Cmd, says string) (pid string) {
	t.Helper()
	log, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = log.Close() })
	defer stop()
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if strings.Contains(lines.Text(), says) {
			return strconv.Itoa(cmd.Process.Pid)
		}
	}
	t.Fatalf("%s has not said %q", cmd, says)
	return ""
}

// step is step's daemon, with a certificate that isn't due: it asks no CA yet.
func step(t *testing.T) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	command := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), "step", args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "STEPPATH="+dir)
		return cmd
	}
	for _, args := range [][]string{
		{"--profile", "root-ca", "root", "ca.crt", "ca.key"},
		{"--ca", "ca.crt", "--ca-key", "ca.key", "--not-after", "720h", "node", "node.crt", "node.key"},
	} {
		args = append([]string{"certificate", "create", "--no-password", "--insecure"}, args...)
		if out, err := command(args...).CombinedOutput(); err != nil {
			t.Fatalf("step, which make bench installs: %v\n%s", err, out)
		}
	}
	return command("ca", "renew", "--daemon", "--ca-url", "https://127.0.0.1:1", "--root", "ca.crt", "node.crt", "node.key")
}

// family is the process and its children, as Icinga's umbrella has them.
func family(t *testing.T, pid string) []string {
	t.Helper()
	if pid == "" {
		t.Fatal("the lab has no satellite: testdata/lab/lab satellite up")
	}
	children, _ := exec.CommandContext(t.Context(), "pgrep", "-P", pid).Output()
	family := []string{pid}
	for _, child := range strings.Fields(string(children)) {
		grandchildren, _ := exec.CommandContext(t.Context(), "pgrep", "-P", child).Output()
		family = append(append(family, child), strings.Fields(string(grandchildren))...)
	}
	return family
}

// load is what processes have and have used: sizes in KiB.
type load struct {
	rss, pss, switches float64
	running            time.Duration
}

func loadOf(t *testing.T, pids []string) (sum load) {
	t.Helper()
	for _, pid := range pids {
		sum.rss += field(t, "/proc/"+pid+"/smaps_rollup", "Rss:")
		sum.pss += field(t, "/proc/"+pid+"/smaps_rollup", "Pss:")
		tasks, err := filepath.Glob("/proc/" + pid + "/task/*")
		if err != nil || len(tasks) == 0 {
			t.Fatalf("process %s is gone (%v)", pid, err)
		}
		for _, task := range tasks {
			sum.switches += field(t, task+"/status", "voluntary_ctxt_switches:")
			sum.running += time.Duration(field(t, task+"/schedstat", ""))
		}
	}
	return sum
}

// field is the number behind name in a file of /proc; "": the first there is.
func field(t *testing.T, file, name string) float64 {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, name); found {
			value, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			if err != nil {
				t.Fatal(err)
			}
			return value
		}
	}
	t.Fatalf("%s has no %s", file, name)
	return 0
}
