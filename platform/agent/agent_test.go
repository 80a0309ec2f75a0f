package agent

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write the golden files anew")

const testNode = "web1.example.com"

// must fails the test at the first error.
func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// stock returns an agent as a package installs it: the files of
// testdata/NAME.stock, on Windows with lines that end in CR LF.
func stock(t *testing.T, name string) Agent {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err, os.Chmod(root, 0o755))
	a := Agent{ConfigDir: filepath.Join(root, "etc"), DataDir: filepath.Join(root, "data")}
	archive, err := txtar.ParseFile(filepath.Join("testdata", name+".stock"))
	must(t, err, os.MkdirAll(a.DataDir, 0o750))
	for _, f := range archive.Files {
		path := a.path(f.Name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o750))
		text := strings.ReplaceAll(string(f.Data), "{{ConfigDir}}", a.ConfigDir)
		if target, isLink := strings.CutPrefix(text, "-> "); isLink {
			must(t, os.Symlink(strings.TrimSpace(target), path))
			continue
		}
		if name == "windows" {
			text = strings.ReplaceAll(text, "\n", "\r\n")
		}
		must(t, os.WriteFile(path, []byte(text), 0o640))
	}
	return a
}

func (a Agent) path(name string) string { return filepath.Join(a.ConfigDir, filepath.FromSlash(name)) }

// asOn makes the features what they are on Windows, or elsewhere.
func asOn(t *testing.T, system string) {
	before := includesFeatures
	includesFeatures = system == "windows"
	t.Cleanup(func() { includesFeatures = before })
}

func twoParents() Setup {
	return Setup{
		Name: testNode, ParentZone: "master",
		Parents:      []Parent{{"master1", "192.0.2.1", "5665"}, {"master2", "master2.example.com", "5666"}},
		GlobalZones:  []string{"global-templates", "director-global"},
		AcceptConfig: true, AcceptCommands: true, ListenHost: "::", ListenPort: "5665",
	}
}

func setups() map[string]Setup {
	all := map[string]Setup{}
	add := func(name string, change func(*Setup)) {
		s := twoParents()
		change(&s)
		all[name] = s
	}
	add("parent-without-host", func(s *Setup) { s.Parents[1] = Parent{Name: "master2"} })
	add("parents-connect", func(s *Setup) { s.Parents = []Parent{{Name: "master1"}, {Name: "master2"}} })
	add("ipv6", func(s *Setup) { s.Parents, s.ListenHost = []Parent{{"master1", "2001:db8::1", "5665"}}, "2001:db8::7" })
	add("odd-names", func(s *Setup) {
		s.ParentZone, s.Parents[0].Name = `a "zone" \ {{.Name}} {`, `{{{ $x$ }}}`
		s.GlobalZones = []string{"}", "// no comment", "zwei\nZeilen", "Zürich"}
	})
	add("global-zones-doubled", func(s *Setup) { s.GlobalZones = append(s.GlobalZones, "windows", "director-global", "windows") })
	add("accepts-nothing", func(s *Setup) { s.AcceptConfig, s.AcceptCommands = false, false })
	return all
}

func mustChange(t *testing.T, a Agent, s Setup, written map[string]string) []Change {
	t.Helper()
	changes, err := a.Changes(s, written)
	must(t, err)
	return changes
}

// show writes changes as a text that can be read, with a sign for CR.
func show(changes []Change, only ...string) string {
	var b strings.Builder
	for _, c := range changes {
		if len(only) > 0 && !strings.Contains(strings.Join(only, " "), c.New.Name) {
			continue
		}
		switch {
		case c.New.None:
			fmt.Fprintf(&b, "-- %s --\n(removed)\n", c.New.Name)
		case c.New.Link != "":
			fmt.Fprintf(&b, "-- %s --\n-> %s\n", c.New.Name, c.New.Link)
		default:
			fmt.Fprintf(&b, "-- %s --\n%s", c.New.Name, strings.ReplaceAll(c.New.Text, "\r", "␍"))
		}
	}
	return b.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		must(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	must(t, err)
	if got != string(want) {
		t.Errorf("not as %s (go test -run %s -update writes it anew):\n%s", file, t.Name(), got)
	}
}

// Every package's files count as nobody's, and become the same agent.
func TestStockInstallationsBecomeAgents(t *testing.T) {
	for _, system := range []string{"debian", "rhel-suse", "alpine", "freebsd", "windows"} {
		t.Run(system, func(t *testing.T) {
			asOn(t, system)
			a := stock(t, system)
			changes := mustChange(t, a, twoParents(), nil)
			for _, c := range changes {
				if c.Standing != Nobodys {
					t.Errorf("%s isn't taken for the package's own: %v", c.Old.Name, statements(c.Old.Text))
				}
			}
			golden(t, system, show(changes))

			var files []File
			for _, c := range changes {
				files = append(files, c.New)
			}
			must(t, a.Put(files))
			if left := mustChange(t, a, twoParents(), nil); len(left) > 0 {
				t.Errorf("it has been made so, and still would change: %s", Names(left))
			}
			if parent, err := a.IsParent(testNode); err != nil || parent != "" {
				t.Errorf("its own work is taken for a parent's: %q, %v", parent, err)
			}
		})
	}
}

func TestWhatTheDirectorMaySay(t *testing.T) {
	for name, setup := range setups() {
		t.Run(name, func(t *testing.T) {
			a := stock(t, "debian")
			golden(t, "setup-"+name, show(mustChange(t, a, setup, nil), zonesName, apiName))
		})
	}
}

func TestZoneThatIsGlobalAndNot(t *testing.T) {
	for _, zone := range []string{testNode, "master"} {
		s := twoParents()
		s.GlobalZones = append(s.GlobalZones, zone)
		if _, err := stock(t, "debian").Changes(s, nil); err == nil || !strings.Contains(err.Error(), zone) {
			t.Errorf("global zone %s: %v", zone, err)
		}
	}
}

// unquote reads a string of Icinga's configuration language: its escapes are
// those of C but for numbers, and a line may not end in it.
func unquote(q string) (string, error) {
	if len(q) < 2 || q[0] != '"' || q[len(q)-1] != '"' {
		return "", fmt.Errorf("no quotes around %s", q)
	}
	var b strings.Builder
	for in := q[1 : len(q)-1]; in != ""; {
		c := in[0]
		in = in[1:]
		switch {
		case c == '"' || c == '\n':
			return "", fmt.Errorf("the string ends early: %s", q)
		case c != '\\':
			b.WriteByte(c)
		case in == "":
			return "", fmt.Errorf("the last quote is escaped: %s", q)
		default:
			escapes := map[byte]byte{'n': '\n', 't': '\t', 'r': '\r', 'b': '\b', 'f': '\f', '"': '"', '\\': '\\'}
			plain, known := escapes[in[0]]
			if !known {
				return "", fmt.Errorf("no such escape: %s", q)
			}
			b.WriteByte(plain)
			in = in[1:]
		}
	}
	return b.String(), nil
}

var awkward = []string{"", "a", `"`, `\`, `\"`, "\x007", "a\nb", "\r\n\t\x7f", "Zürich", "{{{ }}}", "// /* # */", "$host.name$", `\012`, "\x1b9"}

func FuzzQuote(f *testing.F) {
	for _, s := range awkward {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := unquote(Quote(s)); err != nil || got != s {
			t.Errorf("%q became %s, which is %q (%v)", s, Quote(s), got, err)
		}
		if q := Quote(s); strings.ContainsAny(q, "\n\r") {
			t.Errorf("%s has an end of a line in it", q)
		}
	})
}
