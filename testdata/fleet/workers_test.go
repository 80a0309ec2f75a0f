package fleet

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"icinga-enroll/testdata/fleet/floor"
)

// TestWorkers says what PHP-FPM's workers are worth: bare clients boot at once, and
// the Director answers so many of their calls at a time. The rest waits in nginx.
func TestWorkers(t *testing.T) {
	lab, err := floor.ReadLab()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { up(t, lab) })
	nodes, rounds := small(50, 200), small(1, 3)
	workers := []int{2, 4, 8, 16, 32}
	took := map[int][]time.Duration{}
	for round := range rounds {
		for _, n := range workers {
			up(t, lab, fmt.Sprintf("LAB_PHP_WORKERS=%d", n))
			took[n] = append(took[n], bootBare(t, lab, nodes, fmt.Sprintf("workers%dx%d", n, round)).took)
			register(t, lab, 0)
		}
	}
	table := newTable("workers", "rounds", "seconds, median", "nodes/s", "of the best")
	best := time.Duration(0)
	for _, n := range workers {
		slices.Sort(took[n])
		if median := took[n][rounds/2]; best == 0 || median < best {
			best = median
		}
	}
	for _, n := range workers {
		median := took[n][rounds/2]
		table.add(n, rounds, median.Seconds(), float64(nodes)/median.Seconds(), percent(best.Seconds()/median.Seconds()))
	}
	publish(t, "workers", fmt.Sprintf("%d bare clients boot within one second, against the lab with fewer and more PHP-FPM workers", nodes), table)
}

// up changes the running lab to what these variables say.
func up(t *testing.T, lab *floor.Lab, variables ...string) {
	t.Helper()
	cmd := exec.Command(filepath.Join("..", "lab", "lab"), "up")
	cmd.Env = append(append(os.Environ(), "LAB_DIR="+lab.Dir), variables...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("lab up: %v\n%s", err, out)
	}
}
