package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"icinga-enroll/platform"
)

func packaged(t *testing.T) map[string]string {
	t.Helper()
	files, err := packageFiles(newRoot())
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// The file as it is sets nothing; without its "#" it sets every default.
func TestPackagedConfigurationHasEverySetting(t *testing.T) {
	shipped := packaged(t)["config.yml"]
	set := regexp.MustCompile(`(?m)^( *)#(\w)`).ReplaceAllString(shipped, "$1$2")
	if set == shipped {
		t.Fatal("it has no settings")
	}
	s := printedSchema(t)
	for what, text := range map[string]string{"as shipped": shipped, "without #": set} {
		if found := judged(t, s, text); found != nil {
			t.Errorf("%s: %v", what, found)
		}
		file := filepath.Join(t.TempDir(), "config.yml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := fileLayer(file, true)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if what == "as shipped" && len(l.values) > 0 {
			t.Errorf("%s it sets %v", what, l.values)
		}
		for key, value := range defaults(platform.DefaultPaths()) {
			if got := strings.Trim(setting{}.show(l.values[key]), "[]"); what != "as shipped" && got != (setting{}).show(value) {
				t.Errorf("%s: %s is %s, want %v", what, key, got, value)
			}
		}
	}
	for _, s := range allSettings() {
		name := s.key[strings.LastIndex(s.key, ".")+1:]
		if !regexp.MustCompile(`(?m)^ *#` + name + `:`).MatchString(shipped) {
			t.Errorf("%s isn't in it", s.key)
		}
	}
}

func TestPackagedSchemaIsThePrintedOne(t *testing.T) {
	var out, complaint bytes.Buffer
	if code := run(t.Context(), []string{"config", "schema"}, &out, &complaint); code != exitOK {
		t.Fatal(code, &complaint)
	}
	if packaged(t)["config.schema.json"] != out.String() {
		t.Error("their bytes differ")
	}
}

// A man page is read by a program that has opinions on it.
func TestManualHasEverything(t *testing.T) {
	files := packaged(t)
	for _, s := range allSettings() {
		if !strings.Contains(files["icinga-enroll.yml.5"], "\n.B "+roff(s.key)+" ") {
			t.Errorf("icinga-enroll.yml(5) doesn't have %s", s.key)
		}
		if !strings.Contains(files["icinga-enroll.yml.5"], `.SH "`+s.section()+`"`) {
			t.Errorf("icinga-enroll.yml(5) has no section %s", s.section())
		}
	}
	for _, verb := range newRoot().Commands() {
		if !verb.Hidden && !strings.Contains(files["icinga-enroll.1"], `.SS "`+roff(strings.TrimPrefix(verb.UseLine(), "icinga-enroll "))+`"`) {
			t.Errorf("icinga-enroll(1) doesn't have %s", verb.Name())
		}
	}
	for _, page := range []string{"icinga-enroll.1", "icinga-enroll.yml.5"} {
		for line := range strings.Lines(files[page]) {
			if strings.HasPrefix(line, "'") || strings.HasPrefix(line, ".") && !regexp.MustCompile(`^\.(TH|SH|SS|TP|B|PP|nf|fi|br)\b`).MatchString(line) {
				t.Errorf("%s: troff takes this for a request: %s", page, line)
			}
		}
	}
}

// The completion of a shell asks the program itself.
func TestCompletion(t *testing.T) {
	for typed, want := range map[string]string{"re": "renew", "renew --d": "--due", "service st": "start", "config s": "schema", "export --format p": "pkcs12", "once --key-type e": "ed25519", "once --clone-policy ": "reenroll"} {
		var out, debug bytes.Buffer
		if code := run(t.Context(), append([]string{"__complete"}, strings.Split(typed, " ")...), &out, &debug); code != exitOK {
			t.Fatal(code, &debug)
		}
		if !strings.Contains("\n"+out.String(), "\n"+want) {
			t.Errorf("%q isn't completed to %s: %s", typed, want, &out)
		}
	}
	// Where the shell's own helper isn't installed, the script brings a stand-in.
	script := filepath.Join(t.TempDir(), "bash")
	if err := os.WriteFile(script, []byte(packaged(t)["icinga-enroll.bash"]), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("sh", "-n", "-c", "command -v bash >/dev/null || exit 0; bash -n "+script).CombinedOutput(); err != nil {
		t.Errorf("bash: %s", out)
	}
}
