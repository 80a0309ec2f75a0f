package selfservice_test

import (
	"net/http"
	"strings"
	"testing"

	"icinga-enroll/selfservice"
)

// TestAHostIsNotImported: a Director takes a host for a template, and then can't
// load the new one nor deploy anything (observed on 1.10.2), so nothing is sent.
// On a real Director that would have to be mended in its database.
func TestAHostIsNotImported(t *testing.T) {
	f := newFake(t)
	d := f.contract()
	agentHost(t, d, "web1")
	agentHost(t, d, "web2")
	c := d.controller(t, admin)
	for what, call := range map[string]func(selfservice.HostSpec) error{
		"create": func(s selfservice.HostSpec) error { return c.CreateHost(t.Context(), s) },
		"update": func(s selfservice.HostSpec) error { _, err := c.UpdateHost(t.Context(), "web2", s); return err },
	} {
		err := call(selfservice.HostSpec{Name: "web3", Imports: []string{d.template, "web1"}})
		if err == nil || !strings.Contains(err.Error(), `"web1" is a host and no template`) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, call := range f.Calls() {
		if call.Method != http.MethodGet {
			t.Errorf("%s %s was sent", call.Method, call.Name)
		}
	}
}

// TestMissingTemplateIsNamed: the Director says only that one is missing.
func TestMissingTemplateIsNamed(t *testing.T) {
	d := newFake(t).contract()
	spec := selfservice.HostSpec{Name: "web1", Imports: []string{d.template, "gone", d.noAgent}}
	err := d.controller(t, admin).CreateHost(t.Context(), spec)
	if err == nil || !strings.Contains(err.Error(), `No such template: "gone".`) {
		t.Error(err)
	}
}

// TestTheFakeCantLoadIt holds the fake to what was observed once: see above.
func TestTheFakeCantLoadIt(t *testing.T) {
	f := newFake(t)
	d := f.contract()
	agentHost(t, d, "web1")
	d.setHost(t, "web2", contractHost{template: "web1"})
	c := d.controller(t, admin)
	for what, err := range map[string]error{
		"delete": c.DeleteHost(t.Context(), "web2"),
		"deploy": deploys(t.Context(), c, ""),
	} {
		if err == nil || !strings.Contains(err.Error(), "from the table icinga_host") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestHiddenTemplates: a role with a restriction does not see templates, and
// may use them all the same (observed on Director 1.10.2).
func TestHiddenTemplates(t *testing.T) {
	f := newFake(t)
	d := f.contract()
	f.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		hidden := r.Method == http.MethodGet
		if hidden {
			w.Header().Set("Content-Type", asJSON)
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"error":"` + noObject + `"}`))
		}
		return hidden
	}
	spec := selfservice.HostSpec{Name: "web1", Imports: []string{d.template}}
	if err := d.controller(t, controller).CreateHost(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	isThere(t, d, "web1")
}
