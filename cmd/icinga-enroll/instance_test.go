package main

import (
	"os"
	"path/filepath"
	"testing"
)

// A package's template is for API clients. Its account can do nothing for an agent.
func TestAgentsConfiguration(t *testing.T) {
	for text, want := range map[string]bool{
		"profile: api-client\n":        false,
		"profile: agent\n":             true,
		"paths: {certs: /srv/certs}\n": true,
		"neither: is known\n":          false,
	} {
		file := filepath.Join(t.TempDir(), "two.yml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := isAgents(file); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	if isAgents(filepath.Join(t.TempDir(), "missing.yml")) {
		t.Error("what isn't there is an agent's")
	}
}
