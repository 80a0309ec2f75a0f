package enroll_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"icinga-enroll/enroll"
)

// A reload that was cut short has killed the agent, and the next one fails with
// the new set: with the old one it is started again by the same program.
func TestAgentThatAReloadHasKilled(t *testing.T) {
	n := newAgentNode(t)
	n.mustEnsureWithout(t)
	n.shows = n.certificate(t)
	n.Agent.Manage = enroll.ManageAuto
	before := n.tree(t)
	n.reload = func() error { n.shows = nil; panic("crash") }
	n.crash(t)
	n.reload = func() error {
		if strings.Contains(read(t, n.file("zones.conf")), "master1") {
			return errors.New("exit status 3")
		}
		return nil
	}
	n.fails(t, "exit status 3", "the old one is back")
	n.wantTree(t, before)
	if n.shows == nil {
		t.Error("nobody has started the agent again")
	}
}

// Where it isn't, somebody has to: whether the program says so or only looks as
// if it had done it.
func TestAgentThatStaysDead(t *testing.T) {
	for what, second := range map[string]error{"the program fails": errors.New("exit status 7"), "it doesn't come up": nil} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newAgentNode(t)
				n.mustEnsureWithout(t)
				n.shows = n.certificate(t)
				n.Agent.Manage = enroll.ManageAuto
				before, inner := n.tree(t), n.Agent.Run
				n.reload = func() error { return second }
				n.Agent.Run = func(ctx context.Context, argv, env []string) (string, error) {
					out, err := inner(ctx, argv, env)
					if argv[0] == "reload" {
						n.shows = nil
					}
					return out, err
				}
				words := []string{"the old one is back", "with the old configuration", "start the agent yourself", "agent.reload"}
				if second != nil {
					words = append(words, second.Error())
				}
				n.fails(t, words...)
				n.wantTree(t, before)
			})
		})
	}
}

// A run that was killed while it wrote a file has left it under another name.
func TestAgentsFolderIsSweptAfterACrash(t *testing.T) {
	for what, prepare := range map[string]func(*testing.T, *agentNode){
		"in a backup": func(*testing.T, *agentNode) {},
		"in a file of a set": func(t *testing.T, n *agentNode) {
			n.reload = func() error { panic("crash") }
			n.crash(t)
			n.reload = nil
		},
	} {
		t.Run(what, func(t *testing.T) {
			n := newAgentNode(t)
			prepare(t, n)
			for _, folder := range []string{"", "features-available/", "features-enabled/"} {
				n.put(t, folder+".icinga-enroll-LEFT", "half of a file")
			}
			n.quiet(t)
			n.wantConfigured(t)
			if strings.Contains(n.tree(t), "LEFT") {
				t.Errorf("left behind:\n%s", n.tree(t))
			}
		})
	}
}
