// Package crash has the campaign of crashes: the program, killed at every
// operation on the file system and at random moments, in everything it does, and
// the same with a disk that is full or broken there. Run again it must end as if
// nothing had happened.
//
//	go test ./testdata/crash -kills 2000 -seed 7
//
// The seed decides what is tried where a run tries less than all, and the random
// moments. A failure is named by its place in that plan: with -run, the same seed
// and the same number of kills it is tried again.
package crash_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"icinga-enroll/testdata/campaign"
)

var (
	seed  = flag.Uint64("seed", uint64(time.Now().UnixNano()%1_000_000), "decides the plan")
	kills = flag.Int("kills", 200, "how many times the program is killed")
)

func TestMain(m *testing.M) {
	flag.Parse()
	syscall.Umask(0o077) // as on machines of the cautious: what others must read, they must read all the same
	os.Exit(m.Run())
}

// theatre is a phase with a world of its own, and what is planned there.
type theatre struct {
	phase
	*world
	operations []operation
	took       time.Duration
	blows      []blow
	toll
}

func (th *theatre) isDaemon() bool { return th.run[0] == "run" }

func TestCrashes(t *testing.T) {
	fmt.Printf("seed %d, %d kills\n", *seed, *kills)
	program := campaign.Build(t, "failpoints")
	var all []*theatre
	for _, p := range phases() {
		all = append(all, open(t, p, program))
	}
	plan(all)
	t.Run("phases", func(t *testing.T) {
		for _, th := range all {
			t.Run(strings.ReplaceAll(th.name, " ", "-"), func(t *testing.T) {
				t.Parallel()
				for i, b := range th.blows {
					t.Run(fmt.Sprint(i), func(t *testing.T) { th.strike(t, b) })
				}
			})
		}
	})
	printTolls(all)
}

// open prepares a phase, and has it go through once without a crash.
func open(t *testing.T, p phase, program string) *theatre {
	t.Helper()
	th := &theatre{phase: p, world: newWorld(t, program)}
	p.prepare(t, th.world)
	th.save(t)
	th.operations, th.took = th.record(t, p.run...)
	if th.agent != nil {
		th.tree = th.agentTree(t)
	}
	th.wantSound(t)
	return th
}

// strike has a run killed, or fail, and asserts that the next one ends as if
// nothing had been.
func (th *theatre) strike(t *testing.T, b blow) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("it was struck %s; again: go test ./testdata/crash -seed %d -kills %d -run '^%s$'", th.describe(b), *seed, *kills, t.Name())
		} else {
			th.survived++
		}
	})
	if b.isKill() {
		th.kill(t, b)
	} else {
		th.fail(t, b)
	}
	th.wantSecret(t)
	registration := th.inRegistration()
	th.count(b, registration, th.inSwitch())
	th.runAgain(t, registration)
	th.wantSound(t)
}

// kill plays the phase until it is killed. A moment after its end is followed by
// an earlier one.
func (th *theatre) kill(t *testing.T, b blow) {
	t.Helper()
	for part := b.part; ; part *= 0.9 {
		th.restore(t)
		th.Env = append(th.Env, "FAILPOINT="+b.point)
		r := th.play(t, time.Duration(part*float64(th.took)), th.run...)
		switch {
		case r.Signal == syscall.SIGKILL:
			return
		case b.point != "":
			t.Fatalf("it was not reached: %s", r)
		}
	}
}

// fail plays the phase with a disk that fails once. A full one may pass, and
// costs no key: there is room for that.
func (th *theatre) fail(t *testing.T, b blow) {
	t.Helper()
	th.restore(t)
	th.Env = append(th.Env, "FAILPOINT="+b.point)
	r := th.play(t, 0, th.run...)
	codes := []int{0, 75}
	if strings.HasSuffix(b.point, "EIO") {
		codes = []int{0, 1, 75}
	}
	if !slices.Contains(codes, r.Code) {
		t.Errorf("want an exit code of %v: %s", codes, r)
	}
	if th.inRegistration() {
		t.Errorf("the host API key is lost: %s", r)
	}
}

// runAgain is the next run. Where the Director has made the host and its key isn't
// here, it says so and what to do; a user of Icinga Web is one of the ways. A
// daemon says so, too, where the registration may not have been sent.
func (th *theatre) runAgain(t *testing.T, registration bool) {
	t.Helper()
	th.Env = th.Env[:1]
	if th.knowsUser() || !registration && (!th.isDaemon() || !th.awaitsAnswer()) {
		th.mustRun(t, th.next...)
		return
	}
	if th.isDaemon() {
		r := th.play(t, 0, "run")
		if !strings.Contains(r.Stderr, "its answer was lost") {
			t.Errorf("the daemon doesn't say what has happened: %s", r)
		}
	}
	if !registration {
		th.mustRun(t, "once") // as it says
	} else {
		th.wantAdvice(t)
		th.addUser(t)
	}
	th.mustRun(t, th.next...)
}

// wantAdvice asserts what a person is told in the window that nobody can close.
func (th *theatre) wantAdvice(t *testing.T) {
	t.Helper()
	r := th.play(t, 0, "once")
	for _, words := range []string{"already been registered", "Drop Self Service API key", "probably its own"} {
		if r.Code != 1 || !strings.Contains(r.Stderr, words) {
			t.Errorf("it doesn't say %q: %s", words, r)
		}
	}
}

func (th *theatre) wantSound(t *testing.T) {
	t.Helper()
	if th.leaves {
		th.wantLeft(t)
		return
	}
	th.wantEnrolled(t)
	th.want(t, th.world)
}
