package main

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"icinga-enroll/enroll"
)

// FuzzConfiguration: a file is refused with its name and a place in it, or means
// what it says: each value has the line it stands on, has its setting's type, and
// is the same once a program has written it.
func FuzzConfiguration(f *testing.F) {
	for _, seed := range []string{
		"director:\n  url: https://icinga.example.com/icingaweb2/director\n  template_key: 0123\n  deploy: yes\n",
		"ca: {fingerprint: 12:34, ticket: [static, none]}\nhost: {vars: [\"a=b\"], send: []}\n",
		"hooks:\n  post_renew: [[systemctl, reload, x]]\nprofile: api-client\nfirst_run_splay: 0\n",
		"a: &x {b: 1}\ndirector: *x\n", "director:\n", "---\n---\n", "", "\xff\xfe", "host: {name: !!binary aGk=}\n", "? [a]\n: b\n",
		"host: {name: one}\nhost: {name: two}\n", "director: &a\n  url: *a\n",
	} {
		f.Add(seed)
	}
	folder := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		file := filepath.Join(folder, "config.yml")
		first, err := loadText(t, file, text)
		if err != nil {
			if exitCode(err) != exitUsage || !strings.Contains(err.Error(), file) && !strings.Contains(err.Error(), "configuration") {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		written, err := yaml.Marshal(asYAML(first, file, strings.Count(text, "\n")+1, t))
		if err != nil {
			t.Fatal(err)
		}
		second, err := loadText(t, file, string(written))
		if err != nil {
			t.Fatalf("%q was written as %q: %v", text, written, err)
		}
		if !reflect.DeepEqual(first.config, second.config) {
			t.Errorf("%q was written as %q and became another configuration", text, written)
		}
	})
}

func loadText(t *testing.T, file, text string) (*loaded, error) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.String("config", "", "")
	if err := flags.Set("config", file); err != nil {
		t.Fatal(err)
	}
	return load(flags)
}

// asYAML is what was set in file, group by group.
func asYAML(c *loaded, file string, lines int, t *testing.T) map[string]any {
	t.Helper()
	all := map[string]any{}
	for key, origin := range c.origin {
		text, inFile := strings.CutPrefix(origin, file+":")
		if !inFile {
			continue
		}
		if line, err := strconv.Atoi(text); err != nil || line < 1 || line > lines {
			t.Errorf("%s is said to be at %s, of %d lines", key, origin, lines)
		}
		group, name, grouped := strings.Cut(key, ".")
		if !grouped {
			all[key] = c.values[key]
			continue
		}
		if all[group] == nil {
			all[group] = map[string]any{}
		}
		all[group].(map[string]any)[name] = c.values[key]
	}
	return all
}

var sample = regexp.MustCompile(`^icinga_enroll_[a-z_]+\{[a-z]+="(?:\\[\\"n]|[^\\"\n])*"(?:,[a-z]+="(?:\\[\\"n]|[^\\"\n])*")*\} -?\d+$`)

// FuzzStatus: whatever a status file says that is believed, a terminal is shown
// lines and nothing that could move about on it, and Prometheus can read what it
// is told.
func FuzzStatus(f *testing.F) {
	for _, seed := range []string{
		`{"version":1,"name":"web1","state":"pending","pending":{"fingerprint":"ab","since":"2026-01-02T03:04:05Z"},"next_step":"x"}`,
		`{"version":1,"name":"a\"b\nc\\","state":"failed","last_error":{"kind":"temporary","message":"\u001b[2J\u2028","at":"2026-01-02T03:04:05Z","since":"2026-01-02T03:04:05Z"}}`,
		`{"version":1,"state":"enrolled","certificate":{"file":"x","not_before":"2026-01-02T03:04:05Z","not_after":"0001-01-02T03:04:05Z"}}`,
		`{"version":1,"name":"a\u0001\u2028","state":"failed"}`, `{"version":1,"state":"failed"}`, `{}`, ``,
	} {
		f.Add([]byte(seed))
	}
	folder := f.TempDir()
	now := time.Unix(1_800_000_000, 0)
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(filepath.Join(folder, "status.json"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := enroll.ReadStatus(folder)
		if err != nil {
			return
		}
		var shown strings.Builder
		if err := printStatus(&shown, s, now); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsFunc(strings.ReplaceAll(shown.String(), "\n", ""), unicode.IsControl) {
			t.Errorf("a terminal is shown %q", &shown)
		}
		for line := range strings.Lines(string(metrics(s, now))) {
			if !strings.HasPrefix(line, "# ") && !sample.MatchString(strings.TrimSuffix(line, "\n")) {
				t.Errorf("Prometheus is told %q", line)
			}
		}
	})
}
