// Package campaign is what the campaigns of crashes, faults and attacks share:
// the program as users have it, the machine that it enrols, and the servers.
package campaign

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Build builds the program with these build tags, and returns its path.
func Build(t testing.TB, tags ...string) string {
	t.Helper()
	path, err := BuildIn(t.TempDir(), tags...)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// BuildIn is Build for who has no test yet.
func BuildIn(dir string, tags ...string) (string, error) {
	path := filepath.Join(dir, "icinga-enroll")
	args := []string{"build", "-trimpath", "-tags", strings.Join(tags, ","), "-o", path, "icinga-enroll/cmd/icinga-enroll"}
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return path, nil
}

// Lab is the real servers of testdata/lab.
type Lab struct {
	Values  map[string]string // of its lab.json
	program string
}

// OpenLab is the running lab whose lab.json ENROLL_LAB names.
func OpenLab(t testing.TB) Lab {
	t.Helper()
	data, err := os.ReadFile(os.Getenv("ENROLL_LAB"))
	if err != nil {
		t.Fatalf("ENROLL_LAB must name the lab.json of a running lab: %v", err)
	}
	_, here, _, _ := runtime.Caller(0)
	lab := Lab{program: filepath.Join(filepath.Dir(here), "..", "lab", "lab")}
	if err := json.Unmarshal(data, &lab.Values); err != nil {
		t.Fatal(err)
	}
	return lab
}

// Do runs the lab's program, and returns what it prints.
func (l Lab) Do(t testing.TB, args ...string) string {
	t.Helper()
	cmd := exec.Command(l.program, args...)
	cmd.Env = append(os.Environ(), "LAB_DIR="+filepath.Dir(os.Getenv("ENROLL_LAB")))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("lab %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// failer is a test, or a script of testscript.
type failer interface {
	Fatalf(format string, args ...any)
}

// Config is a configuration for a node of that name in dir, where its template
// key is written, too. It can be followed by further settings of other groups.
func (l Lab) Config(t failer, dir, name string) string {
	key := filepath.Join(dir, "template-key")
	if err := os.WriteFile(key, []byte(l.Values["LAB_TEMPLATE_KEY"]), 0o600); err != nil {
		t.Fatalf("%v", err)
	}
	return fmt.Sprintf(`director:
  url: %s
  template_key_file: %s
  ca_file: %s
host:
  name: %s
ca:
  fingerprint: spki:%s
paths:
  state: %[6]s/state
  certs: %[6]s/certs
`, l.Values["LAB_DIRECTOR_URL"], key, l.Values["LAB_DIRECTOR_CA_FILE"], name, l.Values["LAB_CA_SPKI"], dir)
}

// NewName is a node's name that no other run has.
func NewName(kind string) string {
	return fmt.Sprintf("%s-%s.example.com", kind, strings.ToLower(rand.Text()[:10]))
}
