package main

import (
	"os"
	"path/filepath"
	"testing"
)

// Without its build date the program would believe any clock.
func TestEnrollerKnowsWhenItWasBuilt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yml")
	if err := os.WriteFile(file, []byte("director: {url: https://icinga.example.com/director}\nca: {trust_on_first_use: true}\n"), 0o600); err != nil {
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
	defer done()
	if e.BuildDate.Before(firstCommit) {
		t.Errorf("the build date is %s", e.BuildDate)
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
