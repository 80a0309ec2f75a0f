package selfservice_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/selfservice"
)

func newTestKey() string {
	b := make([]byte, 20)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

func isThere(t *testing.T, d *contractDirector, name string) {
	t.Helper()
	if _, ok := d.host(t, name); !ok {
		t.Errorf("there is no host %q", name)
	}
}

func keyStays(t *testing.T, d *contractDirector, name string) {
	t.Helper()
	if h, ok := d.host(t, name); !ok || h.key == "" {
		t.Errorf("host %+v (there: %t), want it with its key", h, ok)
	}
}

func keyIsGone(t *testing.T, d *contractDirector, name string) {
	t.Helper()
	if h, ok := d.host(t, name); !ok || h.key != "" {
		t.Errorf("host %+v (there: %t), want it without a key", h, ok)
	}
}

// runREST has what takes more than one call.
func runREST(t *testing.T, d *contractDirector) {
	t.Run("a key is as good as a registration", func(t *testing.T) { testGivenKey(t, d) })
	t.Run("a dropped key can be had again", func(t *testing.T) { testDroppedKey(t, d) })
	t.Run("the rest of a host stays", func(t *testing.T) { testRestStays(t, d) })
	t.Run("the last template decides", func(t *testing.T) { testLastTemplate(t, d) })
	t.Run("deployments", func(t *testing.T) { testDeployments(t, d) })
}

// testLastTemplate: of the templates that say whether their hosts are agents.
func testLastTemplate(t *testing.T, d *contractDirector) {
	name, _ := stage(t, d, contractRow{}, 0)
	c := d.controller(t, controller)
	if err := c.CreateHost(t.Context(), selfservice.HostSpec{Name: name, Imports: []string{d.template, d.noAgent}}); err != nil {
		t.Fatal(err)
	}
	if err := isAgent(false, true)(t.Context(), c, name); err != nil {
		t.Error(err)
	}
	if _, err := c.UpdateHost(t.Context(), name, selfservice.HostSpec{Imports: []string{d.noAgent, d.template}}); err != nil {
		t.Fatal(err)
	}
	if err := isAgent(true, true)(t.Context(), c, name); err != nil {
		t.Error(err)
	}
}

// testGivenKey: a host made with a key needs no registration, and both APIs
// give the same ticket.
func testGivenKey(t *testing.T, d *contractDirector) {
	name, _ := stage(t, d, contractRow{}, 0)
	c, key := d.controller(t, controller), secret.New(newTestKey())
	spec := selfservice.HostSpec{Name: name, Imports: []string{d.template}, Key: key}
	if err := c.CreateHost(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	h, err := c.Host(t.Context(), name)
	if err != nil || !h.Key.Equal(key) || h.Type != "object" || len(h.Imports) != 1 || h.Imports[0] != d.template {
		t.Errorf("host %+v, %v", h, err)
	}
	want, err := c.Ticket(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := d.client(t).Ticket(t.Context(), key); err != nil || !got.Equal(want) {
		t.Errorf("the self-service API gives another ticket, %v", err)
	}
	if p, err := d.client(t).Parameters(t.Context(), key); err != nil || p.ParentZone == "" {
		t.Errorf("parameters %+v, %v", p, err)
	}
}

// testDroppedKey: a host whose key got lost is registered anew, or given
// another key.
func testDroppedKey(t *testing.T, d *contractDirector) {
	name, _ := stage(t, d, contractRow{}, 0)
	old := secret.New(agentHost(t, d, name))
	c := d.controller(t, controller)
	for range 2 { // the second time there is nothing to drop
		if err := c.DropHostKey(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	registered, err := d.client(t).Register(t.Context(), secret.New(d.key), name, selfservice.HostProperties{})
	if err != nil {
		t.Fatal(err)
	}
	given := secret.New(newTestKey())
	if err := c.SetHostKey(t.Context(), name, given); err != nil {
		t.Fatal(err)
	}
	for _, lost := range []secret.Text{old, registered} {
		if _, err := d.client(t).Ticket(t.Context(), lost); err == nil {
			t.Error("a replaced key still gets tickets")
		}
	}
	if _, err := d.client(t).Ticket(t.Context(), given); err != nil {
		t.Error(err)
	}
}

// testRestStays: an update leaves alone what it doesn't name, variables
// included, and says when there was nothing to change.
func testRestStays(t *testing.T, d *contractDirector) {
	name, _ := stage(t, d, contractRow{}, 0)
	c, key := d.controller(t, controller), secret.New(newTestKey())
	must := func(changed bool, spec selfservice.HostSpec) {
		t.Helper()
		if got, err := c.UpdateHost(t.Context(), name, spec); err != nil || got != changed {
			t.Fatalf("changed is %t, want %t; %v", got, changed, err)
		}
	}
	vars := map[string]any{"os": "Linux", "tags": []string{"a"}, "a.b c": "x"}
	if err := c.CreateHost(t.Context(), selfservice.HostSpec{Name: name, Imports: []string{d.template}, Key: key,
		DisplayName: "shown", Address: "192.0.2.1", Address6: "2001:db8::1", Vars: vars}); err != nil {
		t.Fatal(err)
	}
	must(false, selfservice.HostSpec{Vars: vars, Imports: []string{d.template}})
	must(true, selfservice.HostSpec{Vars: map[string]any{"more": 1, "os": nil}})
	must(false, selfservice.HostSpec{Vars: map[string]any{"tags": []string{"a"}, "a.b c": "x", "more": 1}})
	must(true, selfservice.HostSpec{Vars: map[string]any{"os": "Linux"}}) // it was gone
	must(true, selfservice.HostSpec{Zone: "master", Name: "another"})
	h, err := c.Host(t.Context(), name)
	if err != nil || !h.Key.Equal(key) || h.DisplayName != "shown" || h.Address != "192.0.2.1" ||
		h.Address6 != "2001:db8::1" || h.Zone != "master" || h.Disabled {
		t.Errorf("host %+v, %v", h, err)
	}
}

// testDeployments: a configuration becomes active; deployed again it still is;
// with a host that has no check command the master refuses the whole; and the
// one that was active before is remembered.
func testDeployments(t *testing.T, d *contractDirector) {
	c := d.controller(t, admin)
	t.Cleanup(func() { // a Director is shared: leave it without this test's hosts
		deploy(t, c)
	})
	name, _ := stage(t, d, contractRow{}, 0)
	deployAs := func(want selfservice.DeploymentState) (checksum string) {
		t.Helper()
		checksum = deploy(t, c)
		if state := await(t, c, checksum); state != want {
			t.Fatalf("state %q, want %q", state, want)
		}
		return checksum
	}
	create := func(name string, imports ...string) {
		t.Helper()
		t.Cleanup(func() { d.deleteHost(t, name) })
		if err := c.CreateHost(t.Context(), selfservice.HostSpec{Name: name, Imports: imports}); err != nil {
			t.Fatal(err)
		}
	}
	create(name, d.template)
	first := deployAs(selfservice.DeploymentActive)
	if again := deployAs(selfservice.DeploymentActive); again != first {
		t.Error("without a change, the configuration is another one")
	}
	create(name + "-no-check")
	failed := deployAs(selfservice.DeploymentFailed)
	d.deleteHost(t, name+"-no-check")
	create(name+"-two", d.template)
	deployAs(selfservice.DeploymentActive)
	for checksum, want := range map[string]selfservice.DeploymentState{
		first: selfservice.DeploymentReplaced, failed: selfservice.DeploymentFailed,
	} {
		if state := await(t, c, checksum); state != want {
			t.Errorf("state %q, want %q", state, want)
		}
	}
}

// deploy tries again while the master is busy with the deployment before.
func deploy(t *testing.T, c *selfservice.Controller) (checksum string) {
	t.Helper()
	patiently(t, func(ctx context.Context) (done bool, err error) {
		checksum, err = c.Deploy(ctx)
		return true, err
	})
	return checksum
}

// await asks until the master has taken the configuration or refused it.
func await(t *testing.T, c *selfservice.Controller, checksum string) (state selfservice.DeploymentState) {
	t.Helper()
	patiently(t, func(ctx context.Context) (done bool, err error) {
		state, err = c.Deployment(ctx, checksum)
		return state != selfservice.DeploymentPending, err
	})
	return state
}

// patiently makes a call until it is done, for a minute; a cleanup needs it, too.
func patiently(t *testing.T, call func(context.Context) (done bool, err error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		done, err := call(ctx)
		var e *selfservice.Error
		switch {
		case err == nil && done:
			return
		case err == nil:
		case ctx.Err() != nil || !errors.As(err, &e) || !e.Temporary():
			t.Fatal(err)
		}
	}
}
