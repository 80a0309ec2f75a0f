// Package bench compares an enrolment with icinga-enroll with what people would
// otherwise run, and with what the servers alone need, against the lab, in one
// run: `make bench`.
package bench

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"icinga-enroll/testdata/campaign"
)

var (
	runs = flag.Int("runs", 3, "how often each is run, alternating")
	out  = flag.String("out", "", "folder to write the tables to")
)

// measure is one run of a whole process, with all that it has started.
type measure struct {
	wall, cpu time.Duration
	memory    int64 // KiB, of the largest single process
}

func run(t *testing.T, cmd *exec.Cmd) measure {
	t.Helper()
	start := time.Now()
	output, err := cmd.CombinedOutput()
	wall := time.Since(start)
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, output)
	}
	state := cmd.ProcessState
	return measure{wall, state.UserTime() + state.SystemTime(), state.SysUsage().(*syscall.Rusage).Maxrss}
}

// way is one way to do a thing.
type way struct {
	name string
	run  func() measure
	got  []measure
}

// of are the middle, the least and the most of what get takes from the runs.
func (w *way) of(get func(measure) float64) (median, low, high float64) {
	var all []float64
	for _, m := range w.got {
		all = append(all, get(m))
	}
	return middle(all), slices.Min(all), slices.Max(all)
}

// middle is the median.
func middle(of []float64) float64 {
	slices.Sort(of)
	return (of[(len(of)-1)/2] + of[len(of)/2]) / 2
}

func wall(m measure) float64 { return m.wall.Seconds() * 1e3 }
func cpu(m measure) float64  { return m.cpu.Seconds() * 1e3 }

// against is the median of the ratios run by run, so that a machine whose speed
// drifts does no harm.
func (w *way) against(other *way, get func(measure) float64) float64 {
	var ratios []float64
	for i, m := range w.got {
		ratios = append(ratios, get(m)/get(other.got[i]))
	}
	return middle(ratios)
}

func (w *way) String() string {
	ms, low, high := w.of(wall)
	cpu, _, _ := w.of(cpu)
	_, _, peak := w.of(func(m measure) float64 { return float64(m.memory) / 1024 })
	return fmt.Sprintf("| %s | %.0f | %.0f | %.0f | %.0f | %.1f |\n", w.name, ms, low, high, cpu, peak)
}

// TestBench fails where a ratio is broken by far; the aims are in the table.
func TestBench(t *testing.T) {
	lab := campaign.OpenLab(t)
	program, floor := build(t), buildFloor(t)
	settled := node(t, lab, program)
	run(t, settled.Command(t.Context(), "once"))

	once := &way{name: "A `icinga-enroll once`, from nothing to a certificate on disk", run: func() measure {
		return run(t, node(t, lab, program).Command(t.Context(), "once"))
	}}
	usual := &way{name: "B curl × 3, `icinga2 pki new-cert`, `save-cert`, `request`, for the same", run: func() measure {
		return run(t, usualWay(t, lab))
	}}
	bare := &way{name: "C the same requests from a bare client: what the servers need", run: func() measure {
		return run(t, exec.CommandContext(t.Context(), floor, campaign.NewName("floor")))
	}}
	ways := []*way{once, usual, bare}
	for _, verb := range []string{"once", "status", "check"} {
		ways = append(ways, &way{name: "D `icinga-enroll " + verb + "` on an enrolled node", run: func() measure {
			return run(t, settled.Command(t.Context(), verb))
		}})
	}
	for range *runs {
		for _, w := range ways {
			w.got = append(w.got, w.run())
		}
	}
	report(t, lab, ways, []ratio{
		{"A/B, wall time", once.against(usual, wall), 0.10, 0.5},
		{"A/B, CPU time", once.against(usual, cpu), 0.05, 0.25},
		{"A/C, wall time", once.against(bare, wall), 1.15, 3},
	})
}

type ratio struct {
	name        string
	is          float64
	aim, broken float64 // at most
}

func report(t *testing.T, lab campaign.Lab, ways []*way, ratios []ratio) {
	var text strings.Builder
	fmt.Fprintf(&text, "# What an enrolment costs\n\n%s, %d runs of each, alternating. Made by `make bench`.\n\n", surroundings(t), *runs)
	text.WriteString("| whole process | wall, median ms | min | max | CPU, median ms | memory, most MiB |\n|---|---|---|---|---|---|\n")
	for _, w := range ways {
		text.WriteString(w.String())
	}
	text.WriteString("\n| ratio, median of the pairs | | aim, at most |\n|---|---|---|\n")
	for _, r := range ratios {
		fmt.Fprintf(&text, "| %s | %.3f | %.2f |\n", r.name, r.is, r.aim)
		if r.is > r.broken {
			t.Errorf("%s is %.2f, and was to be %.2f", r.name, r.is, r.aim)
		}
	}
	t.Log("\n" + text.String())
	write(t, "enrolment.md", text.String())
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if *out == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(*out, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// build builds the program as it is released.
func build(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "icinga-enroll")
	run(t, exec.Command("make", "-s", "-C", "../..", "build", "BIN="+path))
	return path
}

func buildFloor(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "floor")
	run(t, exec.Command("go", "build", "-C", "../fleet", "-o", path, "./cmd/floor"))
	return path
}

func node(t *testing.T, lab campaign.Lab, program string) *campaign.Node {
	n := campaign.NewNode(t, program, campaign.NewName("bench"))
	n.Configure(t, lab.Config(t, n.Dir, n.Name))
	return n
}

// usualWay has a folder of the agent's account, as which icinga2's commands run.
func usualWay(t *testing.T, lab campaign.Lab) *exec.Cmd {
	owner, err := user.Lookup("nagios")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(owner.Uid)
	dir, err := os.MkdirTemp("", "usual-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chown(dir, uid, -1); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "./usual", campaign.NewName("usual"), dir)
	cmd.Env = os.Environ()
	for name, value := range lab.Values {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}

// surroundings say when and where.
func surroundings(t *testing.T) string {
	text, err := exec.CommandContext(t.Context(), "sh", "-c", `echo "$(date -u +%F), $(nproc) × $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1), \
Linux $(uname -r), Icinga $(icinga2 --version | sed -n '1s/.*version: r*\([0-9.]*\).*/\1/p')"`).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}
