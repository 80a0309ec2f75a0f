package enroll_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"icinga-enroll/selfservice"
)

// moved is what the Director says once somebody has edited the host's template.
func moved(p *selfservice.Parameters) {
	p.ParentZone = "satellite"
	p.Parents = []selfservice.Parent{{Name: "sat1", Host: "192.0.2.11", Port: "5665"}, {Name: "sat2", Host: "192.0.2.12", Port: "5665"}}
}

// followingNode is a daemon's node whose agent is connected to its master.
func followingNode(t *testing.T) *agentNode {
	t.Helper()
	n := newAgentNode(t)
	n.Daemon, n.Agent.Follow, n.connected = true, true, []string{"master1"}
	n.director.parameters = parameters(func(p *selfservice.Parameters) { p.AcceptConfig = true })
	if err := os.MkdirAll(filepath.Join(n.Agent.DataDir, "api", "zones-stage", "director-global"), 0o750); err != nil {
		t.Fatal(err)
	}
	n.quiet(t)
	return n
}

func (n *agentNode) move() {
	n.director.parameters = parameters(func(p *selfservice.Parameters) { moved(p); p.AcceptConfig = true })
	n.connected = nil
}

func (n *agentNode) isBelow(t *testing.T, zone string) bool {
	t.Helper()
	return strings.Contains(read(t, n.file("zones.conf")), `parent = "`+zone+`"`)
}

const overADay = 31 * time.Hour // the longest time between two looks is 30 hours

// An edit moves nobody who hasn't asked for it, and nobody to parents that don't
// answer.
func TestNewsOfTheDirector(t *testing.T) {
	tests := map[string]struct {
		follow, daemon, answer bool
		news                   string // "": it is followed
	}{
		"not wanted":         {false, true, true, "not followed (agent.follow is false)"},
		"once, by hand":      {true, false, true, "agent apply"},
		"no parent answers":  {true, true, false, "192.0.2.11:5665 doesn't answer"},
		"the parents answer": {true, true, true, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := followingNode(t)
				before := n.tree(t)
				n.move()
				n.Agent.Follow, n.Daemon, n.Look = test.follow, test.daemon, !test.daemon
				n.away["192.0.2.11:5665"], n.away["192.0.2.12:5665"] = true, !test.answer
				if r := n.quiet(t); test.daemon && r.News != "" {
					t.Errorf("the Director was asked before it was time: %s", r.News)
				}
				time.Sleep(overADay)
				for range 2 { // and it is said as long as it is so
					r := n.quiet(t)
					if !strings.Contains(r.News, test.news) || (r.News == "") != (test.news == "") {
						t.Errorf("news are %q, want %q", r.News, test.news)
					}
					if test.news != "" && !strings.Contains(r.News, "zone satellite, until now master") {
						t.Errorf("%q doesn't say what is new", r.News)
					}
				}
				if test.news != "" {
					n.wantTree(t, before)
				} else if !n.isBelow(t, "satellite") {
					t.Error("not followed")
				}
			})
		})
	}
}

func TestApplyFollowsAtOnce(t *testing.T) {
	n := newAgentNode(t)
	n.quiet(t)
	n.move()
	n.Apply = true
	if n.quiet(t); !n.isBelow(t, "satellite") || n.reloads != 2 {
		t.Errorf("%d reloads: %s", n.reloads, n.tree(t))
	}
}

func TestFollowedAndConnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := followingNode(t)
		n.move()
		time.Sleep(overADay)
		r := n.quiet(t)
		if look := time.Until(r.Look); look <= 0 || look > time.Minute || !n.isBelow(t, "satellite") {
			t.Fatalf("it looks again in %s: %s", look, n.tree(t))
		}
		time.Sleep(9 * time.Minute)
		n.quiet(t) // it may still connect
		n.connected = []string{"master1"}
		n.quiet(t) // not a parent any more
		n.connected = []string{"sat2"}
		if r := n.quiet(t); !r.Changed || r.Look.Before(time.Now().Add(time.Hour)) {
			t.Errorf("the trial doesn't end: changed %v, next look in %s", r.Changed, time.Until(r.Look))
		}
		n.connected = nil
		time.Sleep(time.Hour)
		if n.quiet(t); !n.isBelow(t, "satellite") || n.reloads != 2 {
			t.Errorf("what has been settled was put back; %d reloads", n.reloads)
		}
	})
}

// An agent that doesn't connect gets back what it had, addresses too.
func TestFollowedAndNotConnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := followingNode(t)
		before := n.tree(t)
		n.move()
		time.Sleep(overADay)
		n.quiet(t)
		time.Sleep(10*time.Minute + time.Second)
		n.fails(t, "no connection 10m0s after it followed the Director", "zone satellite, until now master")
		n.wantTree(t, before)
		if n.reloads != 3 {
			t.Errorf("%d reloads", n.reloads)
		}
		n.connected = []string{"master1"}
		for range 20 {
			time.Sleep(time.Hour)
			if r := n.quiet(t); !strings.Contains(r.News, "was tried") {
				t.Fatalf("news are %q", r.News)
			}
			n.wantTree(t, before)
		}
		time.Sleep(12 * time.Hour)
		if n.quiet(t); !n.isBelow(t, "satellite") {
			t.Error("not tried again after a day")
		}
	})
}

// What was looked up for a trial is not left to the configuration that is put
// back.
func TestAddressesAreThoseOfTheConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newAgentNode(t)
		n.Daemon, n.Agent.Follow = true, true
		resolving := func(change func(*selfservice.Parameters)) func() (selfservice.Parameters, error) {
			return parameters(func(p *selfservice.Parameters) { change(p); p.ResolveParentHost = true })
		}
		n.director.parameters = resolving(func(p *selfservice.Parameters) { p.Parents[0].Host, p.Parents[1].Host = "master1.example.com", "" })
		n.quiet(t)
		before := n.tree(t)
		if !strings.Contains(before, "192.0.2.99") {
			t.Fatal("the parent's address wasn't looked up")
		}
		n.director.parameters = resolving(moved)
		time.Sleep(overADay)
		n.quiet(t)
		if !n.isBelow(t, "satellite") {
			t.Fatal("not followed")
		}
		n.connected = nil
		time.Sleep(11 * time.Minute)
		n.fails(t, "no connection")
		n.wantTree(t, before)
		reloads := n.reloads
		if n.quiet(t); n.reloads > reloads {
			t.Errorf("%d more reloads", n.reloads-reloads)
		}
		n.wantTree(t, before)
	})
}

// A lookup that fails leaves what was looked up before.
func TestAddressThatCannotBeLookedUp(t *testing.T) {
	n := newAgentNode(t)
	n.director.parameters = parameters(func(p *selfservice.Parameters) { p.Parents[0].Host, p.ResolveParentHost = "master1.example.com", true })
	n.quiet(t)
	before := n.tree(t)
	n.Apply = true
	n.Machine.Resolve = failing
	n.fails(t, "resolve_parent_host")
	n.Apply = false
	n.quiet(t)
	n.wantTree(t, before)
}

// A crash while the agent follows ends like any other.
func TestCrashWhileItFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := followingNode(t)
		before := n.tree(t)
		n.move()
		time.Sleep(overADay)
		n.reload = func() error { panic("crash") }
		n.crash(t)
		n.reload = func() error {
			if n.isBelow(t, "satellite") {
				return errors.New("exit status 3")
			}
			return nil
		}
		n.fails(t, "exit status 3", "the old one is back")
		n.wantTree(t, before)
	})
}

// A Director that is away is no failure of this node's; one that doesn't know it
// any more is.
func TestDailyLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := followingNode(t)
		asked := 0
		answer := func(err error) {
			n.director.parameters = func() (selfservice.Parameters, error) { asked++; return selfservice.Parameters{}, err }
		}
		answer(awayError{errors.New("connection refused")})
		time.Sleep(overADay)
		r := n.quiet(t)
		if again := time.Until(r.Look); asked != 1 || n.warned("") || again < 40*time.Minute || again > 80*time.Minute {
			t.Errorf("asked %d times, again in %s: %+v", asked, again, r.Steps)
		}
		n.quiet(t)
		if asked != 1 {
			t.Error("asked again at once")
		}
		answer(selfservice.ErrKeyRejected)
		time.Sleep(2 * time.Hour)
		if r := n.ensure(t); asked != 2 || !errors.Is(r.Setback, selfservice.ErrKeyRejected) || !strings.Contains(r.Setback.Error(), "--director-reregister") {
			t.Errorf("asked %d times, setback %v", asked, r.Setback)
		}
	})
}

func failing(context.Context, string) (string, error) { return "", errors.New("no such host") }
