//go:build unix

package service

import (
	"encoding/xml"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

var awkward = []string{"--config", `/etc/my  files/$HOME "x" 'y' \ & <z>.yml`, "run"}

func awkwardly(template string) string {
	c := example
	c.Executable, c.Arguments = "/opt/my tools/icinga-enroll", awkward
	return fill(template, c)
}

// sh runs a script and returns the lines that it prints.
func sh(t *testing.T, script string) []string {
	t.Helper()
	out, err := exec.Command("sh", "-c", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s in:\n%s", err, out, script)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}

func TestScriptsAreComplete(t *testing.T) {
	for name, template := range map[string]string{
		"openrc": openrcTemplate, "sysv": sysvTemplate, "freebsd": freebsdTemplate, "launchd": plistTemplate,
	} {
		text := fill(template, example)
		if left := strings.Count(text, "@"); left != strings.Count(text, `"$@"`) {
			t.Errorf("%s: something is not filled in:\n%s", name, text)
		}
		if name != "launchd" {
			if out, err := exec.Command("sh", "-n", "-c", text).CombinedOutput(); err != nil {
				t.Errorf("%s: %s", name, out)
			}
		}
	}
}

// The words of a command line arrive as they were given, through every shell
// that reads them.
func TestScriptsKeepWords(t *testing.T) {
	assigned := func(text, variable string) string {
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, variable+"=") {
				return line
			}
		}
		t.Fatalf("no %s in:\n%s", variable, text)
		return ""
	}
	print := `eval "set -- $command_args"; printf '%s\n' "$@"`

	got := sh(t, assigned(awkwardly(openrcTemplate), "command_args")+print)
	if !slices.Equal(got, awkward) {
		t.Errorf("OpenRC: %q", got)
	}
	got = sh(t, assigned(awkwardly(freebsdTemplate), "command_args")+print)
	if want := append([]string{"/opt/my tools/icinga-enroll"}, awkward...); len(got) < 4 || !slices.Equal(got[len(got)-4:], want) {
		t.Errorf("FreeBSD: %q", got)
	}
	_, line, _ := strings.Cut(awkwardly(sysvTemplate), "while :; do\n")
	line, _, _ = strings.Cut(line, " >>")
	got = sh(t, "set -- "+strings.TrimSpace(line)+"\nprintf '%s\\n' \"$@\"")
	if !slices.Equal(got, append([]string{"/opt/my tools/icinga-enroll"}, awkward...)) {
		t.Errorf("System V: %q", got)
	}
}

func TestPlistKeepsWords(t *testing.T) {
	var plist struct {
		Words []string `xml:"dict>array>string"`
	}
	if err := xml.Unmarshal([]byte(awkwardly(plistTemplate)), &plist); err != nil {
		t.Fatal(err)
	}
	if want := append([]string{"/opt/my tools/icinga-enroll"}, awkward...); !slices.Equal(plist.Words, want) {
		t.Errorf("got %q", plist.Words)
	}
}

// A name with "-" is no variable of a shell, and rc.subr makes variables of it.
func TestFreeBSDNameIsAVariable(t *testing.T) {
	text := fill(freebsdTemplate, example)
	for _, want := range []string{"name=icinga_enroll\n", "rcvar=icinga_enroll_enable\n", ": ${icinga_enroll_enable:=NO}\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
}
