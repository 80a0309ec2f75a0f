package enroll_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"icinga-enroll/enroll"
)

// Whoever switches deployments off means those, too, that have not come about yet.
func TestADeploymentThatIsSwitchedOffIsForgotten(t *testing.T) {
	n, l := newLeaver(t)
	n.Deploy, l.deploys = true, states("failed")
	state := strings.Replace(read(t, n.state("state.json")), "{", `{"deploy_due": true,`, 1)
	if err := os.WriteFile(n.state("state.json"), []byte(state), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := n.mustEnsure(t); r.Missed() == nil {
		t.Fatal("none is due")
	}
	n.Deploy, l.asked = false, nil
	r, err := n.Plan(t.Context())
	if err != nil || strings.Contains(strings.Join(stepsOf(r, "plan"), ""), "deploy") {
		t.Errorf("a dry run says %+v, %v", r.Steps, err)
	}
	if r := n.mustEnsure(t); r.Missed() != nil || slices.Contains(l.asked, "deploy") {
		t.Errorf("it has deployed: %v, asked was %q", r.Missed(), l.asked)
	}
}

// What fails after a deployment doesn't hide that it failed, for those who ran
// this and those who read the status.
func TestFailedDeploymentIsNotHidden(t *testing.T) {
	n, l := newLeaver(t)
	l.deploys, n.Deploy = states("failed"), true
	state := strings.Replace(read(t, n.state("state.json")), "{", `{"deploy_due": true, "hooks_due": "enrolled",`, 1)
	if err := os.WriteFile(n.state("state.json"), []byte(state), 0o600); err != nil {
		t.Fatal(err)
	}
	n.Hooks = enroll.Hooks{PostRenew: [][]string{{"hook"}}, Run: func(context.Context, []string, []string) (string, error) {
		return "", errors.New("exit status 9")
	}}
	r := n.mustEnsure(t)
	if r.Missed() == nil || r.Certificate == nil {
		t.Errorf("missed %v, setback %v", r.Missed(), r.Setback)
	}
	s, err := enroll.ReadStatus(n.StateDir)
	if err != nil || s.LastError == nil {
		t.Fatalf("%+v, %v", s, err)
	}
	for _, words := range []string{"refuses the configuration", "exit status 9"} {
		if !strings.Contains(s.LastError.Message, words) {
			t.Errorf("the last error is %q", s.LastError.Message)
		}
	}
	// A hook alone is nothing that can't wait.
	l.deploys = states("active")
	if r := n.mustEnsure(t); r.Missed() != nil || r.Setback == nil {
		t.Errorf("missed %v, setback %v", r.Missed(), r.Setback)
	}
}
