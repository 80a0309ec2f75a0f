package fleet

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"icinga-enroll/enroll"
	"icinga-enroll/pki"
	"icinga-enroll/selfservice"
	"icinga-enroll/testdata/fleet/floor"
)

// enrolsAtLeast is the throughput of a fleet, as a part of that of bare clients.
const (
	enrolsAtLeast = 0.9
	broken        = 0.4 // a machine that does something else, too, gives any ratio above it
)

// TestBoot boots a fleet within one second against the lab, and beside it, in
// turns, the same number of bare clients. Of both the fastest round counts: what
// else a machine does makes a round slower, never faster.
func TestBoot(t *testing.T) {
	lab, err := floor.ReadLab()
	if err != nil {
		t.Fatal(err)
	}
	nodes, rounds := small(100, 500), small(3, 5)
	table := newTable("hosts registered before", "rounds", "bare clients, s: fastest", "median", "icinga-enroll, s: fastest", "median", "nodes/s", "of the bare clients' throughput", "CPU of a bare client, ms", "of a node, ms")
	for _, registered := range []int{0, 3000} {
		t.Run(fmt.Sprintf("%d registered", registered), func(t *testing.T) {
			register(t, lab, registered)
			var bare, ours []boot
			for round := range rounds {
				bare = append(bare, bootBare(t, lab, nodes, fmt.Sprintf("bare%d", round)))
				ours = append(ours, bootFleet(t, lab, nodes, fmt.Sprintf("fleet%d", round)))
				register(t, lab, registered)
			}
			sortBoots(bare)
			sortBoots(ours)
			ratio := bare[0].took.Seconds() / ours[0].took.Seconds()
			table.add(registered, rounds, bare[0].took.Seconds(), bare[rounds/2].took.Seconds(), ours[0].took.Seconds(), ours[rounds/2].took.Seconds(),
				float64(nodes)/ours[0].took.Seconds(), percent(ratio), bare[0].cpuOf(nodes), ours[0].cpuOf(nodes))
			if ratio < enrolsAtLeast {
				missed := fmt.Sprintf("%d nodes enrol at %.0f %% of the bare clients' throughput, at least %.0f %% is the aim. Both share the machine with the servers.", nodes, ratio*100, enrolsAtLeast*100)
				table.note("Missed: %s", missed)
			}
			if ratio < broken {
				t.Errorf("%d nodes enrol at %.0f %% of the bare clients' throughput", nodes, ratio*100)
			}
		})
	}
	publish(t, "boot", fmt.Sprintf("%d nodes boot within one second, against the lab", nodes), table)
}

// boot is what it took to enrol a fleet.
type boot struct{ took, cpu time.Duration }

// cpuOf is the CPU time of one client, in milliseconds.
func (b boot) cpuOf(nodes int) float64 { return b.cpu.Seconds() * 1e3 / float64(nodes) }

func sortBoots(boots []boot) {
	slices.SortFunc(boots, func(a, b boot) int { return int(a.took - b.took) })
}

// together calls enrol for each of so many nodes, at a random time within a
// second, and waits for all.
func together(t *testing.T, nodes int, enrol func(number int) error) boot {
	t.Helper()
	var all sync.WaitGroup
	failed := make([]error, nodes)
	start, before := time.Now(), cpu()
	for i := range nodes {
		delay := below(time.Second)
		all.Go(func() {
			time.Sleep(delay)
			failed[i] = enrol(i)
		})
	}
	all.Wait()
	if err := errors.Join(failed...); err != nil {
		t.Errorf("%.2000s", err)
	}
	return boot{time.Since(start), cpu() - before}
}

// cpu is what this process has used.
func cpu() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func bootBare(t *testing.T, lab *floor.Lab, nodes int, run string) boot {
	client, err := lab.Client()
	if err != nil {
		t.Fatal(err)
	}
	return together(t, nodes, func(number int) error { return client.Enrol(hostName(run, number)) })
}

func bootFleet(t *testing.T, lab *floor.Lab, nodes int, run string) boot {
	pin, err := pki.ParsePin("spki:" + lab.CAPin)
	if err != nil {
		t.Fatal(err)
	}
	return together(t, nodes, func(number int) error {
		return enrolAtLab(t, lab, hostName(run, number), pki.Trust{Pins: []pki.Pin{pin}})
	})
}

// enrolAtLab brings one node from nothing to its certificate, at the first try.
func enrolAtLab(t *testing.T, lab *floor.Lab, name string, trust pki.Trust) error {
	director, err := selfservice.New(lab.Director, selfservice.Options{RootCAs: lab.Roots})
	if err != nil {
		return err
	}
	defer director.Close()
	n, err := newNode(name, lab.TemplateKey, trust)
	if err != nil {
		return err
	}
	defer n.scrap()
	n.Director = director
	n.Authority = func(t pki.Trust) enroll.Authority { return &pki.Client{Trust: t} }
	report, err := n.Ensure(t.Context())
	switch {
	case err != nil:
		return err
	case report.Setback != nil:
		return report.Setback
	case report.State != enroll.Enrolled:
		return fmt.Errorf("%s is %s", name, report.State)
	}
	return nil
}

// register leaves the Director with so many registered hosts, and none of a run
// before.
func register(t *testing.T, lab *floor.Lab, hosts int) {
	t.Helper()
	sql := fmt.Sprintf(`DELETE FROM icinga_host WHERE object_name LIKE 'node%%.example.com';
INSERT INTO icinga_host (uuid, object_name, object_type, display_name, address, api_key)
  SELECT UNHEX(MD5(seq)), CONCAT('node', seq, '.before.example.com'), 'object', CONCAT('node', seq), '192.0.2.1', SHA1(CONCAT('before', seq)) FROM seq_1_to_%d WHERE %[1]d > 0;
INSERT INTO icinga_host_inheritance (host_id, parent_host_id, weight)
  SELECT h.id, t.id, 1 FROM icinga_host h, icinga_host t WHERE h.object_name LIKE 'node%%.before.example.com' AND t.object_name = '%s';`, hosts, lab.Template)
	cmd := exec.CommandContext(t.Context(), filepath.Join("..", "lab", "lab"), "sql")
	cmd.Env = append(os.Environ(), "LAB_DIR="+lab.Dir)
	cmd.Stdin = strings.NewReader(sql)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %v", out, err)
	}
}
