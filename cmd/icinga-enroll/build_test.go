package main

import (
	"os"
	"path/filepath"
	"testing"

	"icinga-enroll/enroll"
	"icinga-enroll/platform"
)

// enrollerOf is that of a configuration file.
func enrollerOf(t *testing.T, config string) *enroll.Enroller {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	once, _, err := newRoot().Find([]string{"once"})
	if err != nil {
		t.Fatal(err)
	}
	if err := once.ParseFlags([]string{"--config", file}); err != nil {
		t.Fatal(err)
	}
	e, done, err := newEnroller(once, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(done)
	return e
}

// Without its build date the program would believe any clock.
func TestEnrollerKnowsWhenItWasBuilt(t *testing.T) {
	e := enrollerOf(t, "director: {url: https://icinga.example.com/director}\nca: {trust_on_first_use: true}\n")
	if e.BuildDate.Before(firstCommit) {
		t.Errorf("the build date is %s", e.BuildDate)
	}
}

// Its folders are where an agent's would be that has the same name.
func TestAnAPIClientIsHeldAgainstThisMachinesAgent(t *testing.T) {
	e := enrollerOf(t, "profile: api-client\nhost: {name: user-grafana}\nca: {trust_on_first_use: true, endpoints: [master1@192.0.2.1]}\n")
	if first := platform.DefaultPaths(); e.HostState != first.State || e.HostCerts != first.Certs {
		t.Errorf("it looks into %q and %q", e.HostState, e.HostCerts)
	}
}

func TestWithPort(t *testing.T) {
	good := map[string]string{
		"192.0.2.1:5665": "192.0.2.1:5665", "192.0.2.1": "192.0.2.1:5665", "master1": "master1:5665",
		"[2001:db8::1]:5666": "[2001:db8::1]:5666", "[2001:db8::1]": "[2001:db8::1]:5665", "2001:db8::1": "[2001:db8::1]:5665",
	}
	for text, want := range good {
		if got, err := withPort(text); err != nil || got != want {
			t.Errorf("withPort(%q) = %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"", ":5665", "a:b:c", "host:", "host:x", "host:0", "host:70000", "a b:1", "a/b:1", "a,b:1", "x@y:1", "[::1"} {
		if got, err := withPort(text); err == nil {
			t.Errorf("withPort(%q) = %q, want an error", text, got)
		}
	}
}
