package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"icinga-enroll/pki"
)

// everyVerb calls do for each verb that help shows, and those below it.
func everyVerb(parent *cobra.Command, do func(*cobra.Command)) {
	for _, cmd := range parent.Commands() {
		if cmd.Name() != "help" && cmd.Name() != "completion" && !cmd.Hidden {
			do(cmd)
			everyVerb(cmd, do)
		}
	}
}

// What help shows is typed in: it must be a command line of this very program.
func TestExamplesOfHelpAreCommandLines(t *testing.T) {
	everyVerb(newRoot(), func(verb *cobra.Command) {
		if verb.Example == "" {
			t.Errorf("%s has no example", verb.CommandPath())
		}
		for _, line := range regexp.MustCompile(`&&|\|\||\n`).Split(verb.Example, -1) {
			line, _, _ = strings.Cut(line, " > ")
			words := strings.Fields(regexp.MustCompile(`'[^']*'`).ReplaceAllString(line, "quoted"))
			if len(words) == 0 || words[0] != "icinga-enroll" {
				t.Errorf("%s: %q doesn't begin with the program", verb.CommandPath(), line)
				continue
			}
			if err := parseable(words[1:]); err != nil {
				t.Errorf("%s: %q: %v", verb.CommandPath(), line, err)
			}
		}
		if !strings.Contains(verb.Example, verb.CommandPath()) && !strings.Contains(verb.Example, " "+verb.Name()) {
			t.Errorf("%s: the example is another verb's: %s", verb.CommandPath(), verb.Example)
		}
	})
}

func parseable(words []string) error {
	cmd, rest, err := newRoot().Find(words)
	if err != nil {
		return err
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	if cmd.HasSubCommands() && cmd.Name() == "icinga-enroll" {
		return fmt.Errorf("names no verb")
	}
	if err := cmd.ValidateFlagGroups(); err != nil {
		return err
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

func TestErrorsOfTheConfigurationNameTheManualsSection(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Log("the manual is README.md here")
		return
	}
	for setting, want := range map[string]string{
		"director: {url: 5}":                  "icinga-enroll.yml(5) has more: CA\n", // where a pin is missing
		"key: {type: dsa}":                    "icinga-enroll.yml(5) has more: CA, KEY\n",
		"host: {send: [port]}":                "icinga-enroll.yml(5) has more: HOST, CA\n",
		"director: {urls: x}":                 "icinga-enroll.yml(5) has more: DIRECTOR\n",
		"agent: {listen: nowhere, manage: 1}": "AGENT",
	} {
		file := filepath.Join(t.TempDir(), "config.yml")
		if err := os.WriteFile(file, []byte(setting+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		code := run(t.Context(), []string{"--config", file, "config"}, &bytes.Buffer{}, &out)
		if code != exitUsage || !strings.Contains(out.String(), want) {
			t.Errorf("%s: exit code %d, want in it %q: %s", setting, code, want, &out)
		}
	}
}

// ---- The schema --------------------------------------------------------------

// violations is as much of a validator as the schema needs.
func violations(path string, s schema, value any) []string {
	kind := map[bool]string{value == nil: "null"}[true]
	var found []string
	switch value := value.(type) {
	case string:
		kind = "string"
	case bool:
		kind = "boolean"
	case int:
		kind = "integer"
	case []any:
		kind = "array"
		if len(value) < s.MinItems {
			found = append(found, path+": too few")
		}
		for i, item := range value {
			if s.Items != nil {
				found = append(found, violations(fmt.Sprintf("%s[%d]", path, i), *s.Items, item)...)
			}
		}
	case map[string]any:
		kind = "object"
		for key, item := range value {
			property, known := s.Properties[key]
			if !known {
				found = append(found, path+": unknown "+key)
				continue
			}
			found = append(found, violations(path+"."+key, property, item)...)
		}
	}
	if !slices.Contains(s.Type, kind) {
		found = append(found, fmt.Sprintf("%s: a %s, want %v", path, kind, s.Type))
	}
	if s.Enum != nil && !slices.Contains(s.Enum, value) {
		found = append(found, fmt.Sprintf("%s: %v is none of %v", path, value, s.Enum))
	}
	return found
}

// The schema's choices are what the packages below have.
func TestChoicesOfKeysAreThoseThatAreMade(t *testing.T) {
	s, _ := findSetting(func(s setting) bool { return s.key == "key.type" })
	var made []string
	for _, kind := range pki.KeyTypes() {
		made = append(made, string(kind))
	}
	if !slices.Equal(s.choices, made) {
		t.Errorf("choices are %v, keys %v", s.choices, made)
	}
}

// printedSchema is what "config schema" prints.
func printedSchema(t *testing.T) schema {
	t.Helper()
	var out, complaint bytes.Buffer
	if code := run(t.Context(), []string{"config", "schema"}, &out, &complaint); code != exitOK {
		t.Fatal(code, &complaint)
	}
	var s schema
	decoder := json.NewDecoder(&out)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

func judged(t *testing.T, s schema, text string) []string {
	t.Helper()
	var doc map[string]any
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	return violations("", s, doc)
}

func TestSchemaTakesTheExamplesOfTheReadme(t *testing.T) {
	data, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	s := printedSchema(t)
	examples := regexp.MustCompile("(?s)( *)```yaml\n(.*?)\n *```").FindAllStringSubmatch(string(data), -1)
	if len(examples) < 3 {
		t.Errorf("only %d examples", len(examples))
	}
	for _, example := range examples {
		text := strings.ReplaceAll("\n"+example[2], "\n"+example[1], "\n")
		if found := judged(t, s, text); found != nil {
			t.Errorf("%v in:\n%s", found, text)
		}
	}
}

func TestSchemaRefuses(t *testing.T) {
	s := printedSchema(t)
	for _, bad := range []string{
		"directors: {}", "director: {urls: x}", "director: {deploy: 1}", "profile: client", "key: {type: dsa}",
		"ca: {ticket: [none, gift]}", "hooks: {post_renew: [reload]}", "hooks: {post_renew: [[]]}", "log: text",
	} {
		if judged(t, s, bad) == nil {
			t.Errorf("taken: %s", bad)
		}
	}
	for _, good := range []string{"profile: api-client", "first_run_splay: 0", "ca: {ticket: none, fingerprint: [x]}", "director:", `hooks: {post_renew: [["a", "b"]]}`} {
		if found := judged(t, s, good); found != nil {
			t.Errorf("%s: %v", good, found)
		}
	}
}
