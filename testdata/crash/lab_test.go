//go:build e2e

package crash_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"icinga-enroll/testdata/campaign"
)

// labNode is a machine that enrols with the lab's servers. Its certificates are
// where its agent has them.
type labNode struct {
	*campaign.Node
	lab campaign.Lab
}

// newLabNode has an agent that runs as its package has left it. A real Director
// forgets no host, so each node has another name.
func newLabNode(t *testing.T, lab campaign.Lab, program string) labNode {
	t.Helper()
	n := labNode{campaign.NewNode(t, program, campaign.NewName("crash")), lab}
	lab.Do(t, "agent", "prepare", n.Dir)
	listen, err := os.ReadFile(n.Path("listen"))
	must(t, err)
	config := lab.Config(t, n.Dir, n.Name)
	n.Configure(t, strings.Replace(config, "  certs: "+n.Path("certs")+"\n", "", 1)+fmt.Sprintf(`agent:
  manage: always
  config_dir: %[1]s/etc
  data_dir: %[1]s/data
  listen: "%[2]s"
  validate: ["%[1]s/icinga2", "daemon", "-C"]
  reload: ["%[1]s/reload"]
`, n.Dir, strings.TrimSpace(string(listen))))
	lab.Do(t, "agent", "start", n.Dir)
	t.Cleanup(func() { lab.Do(t, "agent", "stop", n.Dir) })
	return n
}

// TestLab is the short form against a real Icinga 2 and a real Director, with a
// real agent: killed at every operation between what is written before the
// registration and the host API key, and at some of the others.
func TestLab(t *testing.T) {
	lab, program := campaign.OpenLab(t), campaign.Build(t, "failpoints")
	n := newLabNode(t, lab, program)
	trace := filepath.Join(t.TempDir(), "trace")
	n.Env = []string{"FAILPOINT_TRACE=" + trace}
	if r := n.Run(t, "once"); r.Code != 0 {
		t.Fatal(r)
	}
	n.wantSound(t)
	operations := readTrace(t, trace)
	window := 0
	for _, at := range labPoints(t, operations) {
		t.Run(fmt.Sprintf("%d-%s-%s", at.number, at.kind, filepath.Base(at.name)), func(t *testing.T) {
			n := newLabNode(t, lab, program)
			if n.strike(t, at) {
				window++
			}
			n.wantSound(t)
		})
	}
	fmt.Printf("seed %d: of %d kills %d met the host made in the lab's Director and its key not yet here\n", *seed, len(labPoints(t, operations)), window)
	if window == 0 {
		t.Error("none was in the window")
	}
}

// labPoints are the operations around the registration, and some others.
func labPoints(t *testing.T, operations []operation) (points []operation) {
	t.Helper()
	prepared := find(t, operations, "rename", "request.crt", 0)
	sent := find(t, operations, "rename", "state.json", prepared.ended)
	kept := find(t, operations, "rename", "state.json", sent.ended)
	points = slices.Clone(operations[sent.number:kept.number])
	r := rand.New(rand.NewPCG(*seed, 0))
	for range 6 {
		points = append(points, operations[r.IntN(len(operations))])
	}
	return points
}

// strike kills a run before an operation, and runs the program again. It reports
// whether that was in the window that nobody can close.
func (n labNode) strike(t *testing.T, at operation) (inWindow bool) {
	t.Helper()
	n.Env = []string{fmt.Sprintf("FAILPOINT=%d:before", at.number)}
	if r := n.Run(t, "once"); r.Signal != syscall.SIGKILL {
		t.Fatalf("it was not reached: %s", r)
	}
	n.Env = nil
	r := n.Run(t, "once")
	if r.Code == 0 {
		return false
	}
	if r.Code != 1 || !strings.Contains(r.Stderr, "already been registered") || !strings.Contains(r.Stderr, "probably its own") {
		t.Fatalf("it doesn't say what has happened and what to do: %s", r)
	}
	config, err := os.ReadFile(n.Path("config.yml"))
	must(t, err)
	must(t, os.WriteFile(n.Path("password"), []byte(n.lab.Values["LAB_CONTROLLER_PASSWORD"]), 0o600))
	n.Configure(t, strings.Replace(string(config), "director:\n",
		fmt.Sprintf("director:\n  user: %s\n  password_file: %s\n", n.lab.Values["LAB_CONTROLLER_USER"], n.Path("password")), 1))
	if r := n.Run(t, "once"); r.Code != 0 {
		t.Fatalf("a user of Icinga Web doesn't close the window: %s", r)
	}
	return true
}

// wantSound asserts that nothing was lost, and that the agent takes what it has.
func (n labNode) wantSound(t *testing.T) {
	t.Helper()
	data := campaign.Node{Dir: n.Path("data"), Name: n.Name}
	if _, err := data.Pair(); err != nil {
		t.Errorf("there is no valid pair: %v", err)
	}
	var host struct {
		Key string `json:"api_key"`
	}
	must(t, json.Unmarshal([]byte(n.lab.Do(t, "host", n.Name)), &host))
	if host.Key == "" || host.Key != n.HostKey() {
		t.Error("the host API key here isn't the Director's")
	}
	defer n.lab.Do(t, "host-delete", n.Name)
	if r := n.Run(t, "verify"); !strings.Contains(r.Stdout, "= agent       it listens on") {
		t.Errorf("the agent doesn't show this node's certificate: %s", r)
	}
	for _, folder := range []string{"", "state", "data", "data/certs", "etc", "etc/features-available", "etc/features-enabled"} {
		left, err := filepath.Glob(n.Path(folder, ".icinga-enroll-*"))
		must(t, err)
		if len(left) > 0 {
			t.Errorf("%v was left behind", left)
		}
	}
}
