package main

import (
	"os"
	"strings"
	"testing"
)

func TestReadmeHasEverySettingAndVerb(t *testing.T) {
	data, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(data)
	for _, s := range allSettings() {
		if !strings.Contains(readme, "`"+s.key+"`") {
			t.Errorf("the README doesn't have the setting %s", s.key)
		}
	}
	for _, verb := range newRoot().Commands() {
		if !verb.Hidden && !strings.Contains(readme, "| `"+strings.Split(verb.Use, " [")[0]+"` |") {
			t.Errorf("the README doesn't have the verb %q", verb.Use)
		}
	}
}

func TestHelpOfEveryVerbHasAnExample(t *testing.T) {
	for _, verb := range newRoot().Commands() {
		if verb.Example == "" && verb.Name() != "version" {
			t.Errorf("%s has no example in its help", verb.Name())
		}
	}
}
