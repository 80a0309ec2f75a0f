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

func TestHelpIsNoWiderThanATerminal(t *testing.T) {
	everyVerb(newRoot(), func(verb *cobra.Command) {
		for line := range strings.Lines(verb.Long) {
			if len(line) > 100 {
				t.Errorf("%s: %s", verb.CommandPath(), line)
			}
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
		if !regexp.MustCompile(s.Pattern).MatchString(value) {
			found = append(found, fmt.Sprintf("%s: %q is not of the form %s", path, value, s.Pattern))
		}
	case bool:
		kind = "boolean"
	case int:
		kind = "integer"
		if s.Minimum != nil && value < *s.Minimum || s.Maximum != nil && value > *s.Maximum {
			found = append(found, fmt.Sprintf("%s: %d is too small or too great", path, value))
		}
	case []any:
		kind = "array"
		if len(value) < s.MinItems {
			found = append(found, path+": too few")
		}
		for i, item := range value {
			if i < len(s.FirstItems) {
				found = append(found, violations(fmt.Sprintf("%s[%d]", path, i), s.FirstItems[i], item)...)
			} else if s.Items != nil {
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

// What the schema says of a setting alone is what the program says.
func TestSchemaJudgesAsTheProgram(t *testing.T) {
	s := printedSchema(t)
	t.Setenv("ICINGA_ENROLL_DIRECTOR_TEMPLATE_KEY", exampleKey) // which no setting alone lacks
	pin := strings.Repeat("0a", 32)
	root := map[bool]string{true: "C:/", false: "/"}[runtime.GOOS == "windows"]
	for _, bad := range []string{
		"directors: {}", "directors:", "director: {urls: x}", "director: {deploy: perhaps}", "profile: client", "key: {type: dsa}", "log: text", "log: [text]",
		"director: {url: icinga.example.com}", "director: {url: 'ftp://icinga.example.com/'}", "director: {url: 5}", "director: {proxy: nonsense}",
		"first_run_splay: soon", "first_run_splay: '5'", "first_run_splay: 10", "first_run_splay: -10", "first_run_splay: -5m", "first_run_splay: ''", "host: {name: a b}", "host: {address: 'a b'}", "host: {address6: 192.0.2.1}", "host: {vars: role}", "host: {vars: [=web]}",
		"host: {send: ipv4}", "host: {send: [ipv4]}", "ca: {ticket: gift}", "ca: {ticket: [none, gift]}", "ca: {ticket: []}",
		"ca: {endpoints: '@host:1'}", "ca: {endpoints: ['a/b']}", "ca: {fingerprint: 'spki:12'}", "ca: {fingerprint: [x]}", "api: {address: 'host:5665'}",
		"paths: {state: relative}", "paths: {state: '" + root + "'}", "paths: {certs: ''}", "paths: {certs: '" + root + root[len(root)-1:] + "'}", "agent: {data_dir: '" + root + "'}", "agent: {config_dir: relative}", "agent: {listen: '5665'}", "agent: {zone: z, parents: [a b]}",
		"metrics: {textfile: /var/lib/x.txt}", "hooks: {post_renew: [reload]}", "hooks: {post_renew: [[]]}", "hooks: {on_failure: [['']]}", "hooks: {post_renew: [[a/b]]}",
	} {
		if judged(t, s, bad) == nil {
			t.Errorf("the schema takes: %s", bad)
		}
		if said := programSays(t, bad); said == "" {
			t.Errorf("the program takes: %s", bad)
		}
	}
	for _, good := range []string{
		"profile: agent", "director:", "director: {url: 'HTTPS://icinga.example.com/director'}", "director: {proxy: 'http://proxy.example.com:3128'}",
		"first_run_splay: 0", "first_run_splay: 1h30m", "host: {name: 5}", "host: {name: ''}", "host: {address: '2001:db8::1'}", "host: {address6: '2001:db8::1%eth0'}", "host: {address6: ''}",
		"host: {vars: role=}", "host: {send: []}", "host: {send: address}", "ca: {ticket: [static, none], static_ticket: x}", "ca: {endpoints: []}",
		"ca: {endpoints: [host, '[2001:db8::1]:5665', 'name@host:5665', 'a name@host']}", "ca: {trust_on_first_use: false, fingerprint: 'SPKI: " + pin + "'}", "ca: {trust_on_first_use: false, fingerprint: [':" + strings.Repeat("0A:", 32) + "']}",
		"paths: {state: '" + root + "srv/state'}", "paths: {certs: '" + root + root[len(root)-1:] + "srv//certs/'}", "agent: {config_dir: ''}", "agent: {listen: ':5665'}", "agent: {zone: z, parents: [one, 'two@host', 'three@[::1]:1', 'four@']}",
		"metrics: {textfile: ''}", `hooks: {post_renew: [["a", ""], ["` + root + `b/c"]]}`, "hooks: {on_failure: []}",
	} {
		if found := judged(t, s, good); found != nil {
			t.Errorf("the schema refuses %s: %v", good, found)
		}
		if said := programSays(t, good); said != "" {
			t.Errorf("the program refuses %s: %s", good, said)
		}
	}
}

// programSays checks a configuration that lacks nothing but what text has.
func programSays(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yml")
	if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"--config", file, "config"}
	for flag, value := range map[string]string{"director-url": "https://icinga.example.com/", "ca-trust-on-first-use": "true"} {
		if _, name, _ := strings.Cut(flag, "-"); !strings.Contains(text, strings.ReplaceAll(name, "-", "_")+":") {
			args = append(args, "--"+flag+"="+value)
		}
	}
	var out bytes.Buffer
	if code := run(t.Context(), args, &bytes.Buffer{}, &out); code != exitOK {
		return out.String()
	}
	return ""
}
