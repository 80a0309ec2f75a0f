package enroll_test

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/selfservice"
)

// keeper is a leaver whose host can be given a key and changed.
type keeper struct {
	leaver
	updates []selfservice.HostSpec
	err     error // of the next update
}

func (k *keeper) SetHostKey(_ context.Context, _ string, key secret.Text) error {
	k.host.Key = key
	return nil
}

func (k *keeper) UpdateHost(_ context.Context, _ string, spec selfservice.HostSpec) (bool, error) {
	k.updates = append(k.updates, spec)
	return true, k.err
}

// A key that somebody has dropped is made anew by the daemon, at its next look.
func TestDroppedKeyIsMadeAnewAtTheDailyLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		k := &keeper{leaver: leaver{host: &selfservice.Host{Name: nodeName, Type: "object", Key: secret.New(hostKey)}}}
		n.Controller, n.Daemon = k, true
		n.mustEnsure(t)
		k.host.Key = secret.Text{}
		n.director.parameters = func() (selfservice.Parameters, error) {
			if k.host.Key.IsZero() {
				return selfservice.Parameters{}, fmt.Errorf("404: %w", selfservice.ErrKeyRejected)
			}
			return parameters(func(*selfservice.Parameters) {})()
		}
		if n.mustEnsure(t); !k.host.Key.IsZero() {
			t.Error("the Director was asked before it was time")
		}
		time.Sleep(overADay)
		if r := n.mustEnsure(t); k.host.Key.IsZero() || r.Setback != nil || !r.KeyRejected.IsZero() {
			t.Errorf("no new key, or not well with it: setback %v, rejected %v", r.Setback, r.KeyRejected)
		}
	})
}

// The daemon is told of a changed configuration by a reload; what fails then is
// a setback, and tried again until the Director has it.
func TestChangedSettingsAreToldUntilTheDirectorHasThem(t *testing.T) {
	n := newNode(t)
	k := &keeper{leaver: leaver{host: &selfservice.Host{Name: nodeName, Type: "object", Key: secret.New(hostKey)}}}
	n.Controller, n.Daemon = k, true
	n.mustEnsure(t)
	if len(k.updates) != 0 {
		t.Errorf("nothing is configured, and sent was %+v", k.updates)
	}
	n.Vars, n.Properties.DisplayName, k.err = map[string]any{"env": "prod"}, "Web 1", errDead{}
	if r := n.mustEnsure(t); r.Setback == nil {
		t.Error("a failed update is not told")
	}
	k.err = nil
	if r := n.mustEnsure(t); r.Setback != nil || !r.Changed {
		t.Errorf("setback %v, changed %v", r.Setback, r.Changed)
	}
	n.mustEnsure(t)
	n.Vars = map[string]any{"env": "prod", "os": "Linux"}
	n.mustEnsure(t)
	if len(k.updates) != 3 || len(k.updates[2].Vars) != 1 || k.updates[2].Vars["os"] != "Linux" || k.updates[2].DisplayName != "" {
		t.Errorf("updates are %+v, want two alike and one of what is new", k.updates)
	}
	if k.updates[0].Address != "" {
		t.Error("an address that was only found was sent")
	}
}

// To Icinga the text "false" is true, and a text is no list: what is there stays of its
// kind, and what only looks otherwise isn't sent.
func TestVariablesStayOfTheirKind(t *testing.T) {
	n := newNode(t)
	k := &keeper{leaver: leaver{host: &selfservice.Host{Name: nodeName, Type: "object", Key: secret.New(hostKey), Vars: map[string]any{
		"backup": false, "disks": json.Number("5"), "os": "Linux", "roles": []any{"web"}, "limit": json.Number("7"), "audit": true, "site": json.Number("3"),
	}}}}
	n.Controller = k
	n.mustEnsure(t)
	n.Vars = map[string]any{"backup": "false", "disks": "5", "os": "Linux"}
	plan, err := n.Plan(t.Context())
	if err != nil || !slices.Equal(stepsOf(plan, "plan"), []string{"nothing to do"}) {
		t.Errorf("a dry run says %q, %v", stepsOf(plan, "plan"), err)
	}
	if n.mustEnsure(t); len(k.updates) > 0 {
		t.Errorf("sent was %+v", k.updates)
	}
	n.Vars = map[string]any{"backup": "true", "disks": "6", "os": "BSD", "roles": "web", "limit": "null", "audit": "true", "site": "3", "new": "1"}
	r := n.mustEnsure(t)
	want := map[string]any{"backup": true, "disks": json.Number("6"), "os": "BSD", "limit": "null", "new": "1"}
	if len(k.updates) != 1 || !reflect.DeepEqual(k.updates[0].Vars, want) {
		t.Errorf("sent was %+v, want %v", k.updates, want)
	}
	if said := strings.Join(stepsOf(r, "host"), "\n"); !strings.Contains(said, "in the Director roles is a list or a dictionary") || !strings.HasSuffix(said, "changed in the Director: host.vars backup, disks, limit, new, os") {
		t.Errorf("it says %q", said)
	}
}

// What host.send leaves out is not sent later either.
func TestSettingsThatAreNoHostsAreNotTold(t *testing.T) {
	n := newNode(t)
	n.mustEnsure(t)
	k := &keeper{leaver: leaver{host: &selfservice.Host{Name: nodeName, Type: "object"}}}
	n.Controller, n.Properties.Address, n.Send = k, "192.0.2.8", []string{"display_name"}
	if n.mustEnsure(t); len(k.updates) != 0 {
		t.Errorf("sent was %+v", k.updates)
	}
}

// overtaker is a Director in which another run makes the host first.
type overtaker struct{ *leaver }

func (o *overtaker) CreateHost(_ context.Context, spec selfservice.HostSpec) error {
	o.host = &selfservice.Host{Name: spec.Name, Type: "object", Imports: spec.Imports, Key: secret.New(hostKey)}
	return fmt.Errorf("HTTP status 422: %w", selfservice.ErrHostExists)
}

// Runs that begin at once make one host, and each has its key.
func TestAHostThatAnotherRunHasMadeIsTakenOver(t *testing.T) {
	n := newNode(t)
	n.Controller, n.Imports = &overtaker{&leaver{}}, []string{"Linux agent"}
	r := n.mustEnsure(t)
	if said := stepsOf(r, "register"); len(said) != 1 || !strings.Contains(said[0], "its key was read back") {
		t.Errorf("it says %q", said)
	}
}
