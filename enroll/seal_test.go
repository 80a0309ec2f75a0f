package enroll_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"icinga-enroll/enroll"
	"icinga-enroll/platform/machine"
)

// Nothing of the sealed machine is in the image, also of another that it was a copy of.
func TestAnImageInheritsNothing(t *testing.T) {
	n, id := newOriginal(t)
	id.Hardware, n.Name = "copy", "web2.example.com"
	n.mustEnsure(t)
	secrets := []string{hostKey, nodeName, "web2.example.com"}
	n.Name = ""
	if reasons, err := n.Unfit(t.Context()); err != nil || len(reasons) < 3 {
		t.Errorf("fit but for %q, %v", reasons, err)
	}
	for range 2 {
		if err := n.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range n.files(t) {
		if strings.HasSuffix(name, ".key") || strings.HasPrefix(name, "state") {
			t.Errorf("%s is left", name)
		}
	}
	if err := grepTree(n.StateDir, secrets); err != nil {
		t.Error(err)
	}
	if err := grepTree(n.CertsDir, secrets); err != nil {
		t.Error(err)
	}
	if reasons, err := n.Unfit(t.Context()); err != nil || len(reasons) != 0 {
		t.Errorf("unfit: %q, %v", reasons, err)
	}
	if !enroll.IsSealed(n.state("")) {
		t.Error("it doesn't know that it is an image")
	}
	// Its copies are no clones of it.
	id.Hardware, id.MachineID, id.Kind = "another", "another", machine.Virtual
	r := n.mustEnsure(t)
	if !slices.ContainsFunc(r.Steps, func(s enroll.Step) bool { return s.Name == "sealed" }) || enroll.IsSealed(n.state("")) {
		t.Errorf("%+v", r.Steps)
	}
}

// What a run has left that could not register is named when it goes.
func TestSealTellsOfARunThatCameToNothing(t *testing.T) {
	n := newNode(t)
	n.director.register = func(context.Context) error { return errDead{} }
	if _, err := n.Ensure(t.Context()); err == nil {
		t.Fatal("enrolled without a Director")
	}
	if !exists(n.state("request.key")) {
		t.Fatal("no key was made before the registration")
	}
	var told []string
	n.Observe = func(s enroll.Step) {
		if s.Name == "wipe" && s.Changed {
			told = append(told, s.Text)
		}
	}
	if err := n.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(told) != 1 || !strings.Contains(told[0], n.state("request.key")) || !strings.Contains(told[0], n.state("status.json")) {
		t.Errorf("told %q", told)
	}
}

// grepTree is an error where a file of dir has one of the words, in it or in its name.
func grepTree(dir string, words []string) (err error) {
	entries, err := os.ReadDir(dir)
	for _, entry := range entries {
		data, rerr := os.ReadFile(filepath.Join(dir, entry.Name()))
		err = errors.Join(err, rerr)
		for _, word := range words {
			if strings.Contains(entry.Name()+string(data), word) {
				err = errors.Join(err, errors.New(entry.Name()+" has "+word))
			}
		}
	}
	return err
}

func TestNoImageIsMadeWhileTheDaemonRuns(t *testing.T) {
	n := newNode(t)
	n.mustEnsure(t)
	hold, err := enroll.MarkRunning(t.Context(), n.StateDir)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Seal(t.Context()); err == nil || !strings.Contains(err.Error(), "service stop") || !exists(n.cert(".key")) {
		t.Errorf("got %v", err)
	}
	if reasons, err := n.Unfit(t.Context()); err != nil || !strings.Contains(strings.Join(reasons, "\n"), "run is at work") {
		t.Errorf("unfit: %q, %v", reasons, err)
	}
	hold.Release()
	if err := n.Seal(t.Context()); err != nil {
		t.Error(err)
	}
}

// A private key is in no image, whatever the file is called that somebody, or a run
// that was killed, has put it into; what seal removes itself nobody is told to.
func TestNoKeyGetsIntoAnImage(t *testing.T) {
	n := newNode(t)
	n.mustEnsure(t)
	key, err := os.ReadFile(n.cert(".key"))
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Dir(n.cert(".key"))
	bundle, tpm, harmless := filepath.Join(folder, "x.pem"), filepath.Join(folder, "tpm.pem"), filepath.Join(folder, "notes.txt")
	half, halfState := filepath.Join(folder, ".icinga-enroll-ABC"), n.state(".icinga-enroll-DEF")
	n.write(t, bundle, append([]byte("Bag Attributes\n"), key...))
	n.write(t, tpm, []byte("-----BEGIN TSS2 PRIVATE KEY-----\nAAAA\n-----END TSS2 PRIVATE KEY-----\n"))
	n.write(t, harmless, []byte("where the PRIVATE KEY is\n"))
	n.write(t, half, key)
	n.write(t, halfState, key)
	below := filepath.Join(folder, "backup", "old", "k.pem")
	if err := os.MkdirAll(filepath.Join(filepath.Dir(below), "d.key"), 0o700); err != nil { // no file is no secret
		t.Fatal(err)
	}
	n.write(t, below, key)
	said := map[string]string{}
	for _, reason := range n.unfit(t) {
		file, what, _ := strings.Cut(reason, " is ")
		said[file] = what
	}
	for file, want := range map[string]string{
		n.cert(".key"): "icinga-enroll seal removes it", half: "icinga-enroll seal removes it", halfState: "icinga-enroll seal removes it",
		bundle: "machine's: remove it", tpm: "machine's: remove it", below: "machine's: remove it",
	} {
		if !strings.Contains(said[file], want) {
			t.Errorf("of %s it says %q, want %q", file, said[file], want)
		}
	}
	for _, file := range []string{harmless, filepath.Join(filepath.Dir(below), "d.key")} {
		if what, named := said[file]; named {
			t.Errorf("%s is %s", file, what)
		}
	}
	if err := n.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := n.unfit(t); len(left) != 3 || !strings.HasPrefix(left[0], below) || !strings.HasPrefix(left[1], tpm) || !strings.HasPrefix(left[2], bundle) {
		t.Errorf("after seal it says %q", left)
	}
}

func (n *node) unfit(t *testing.T) []string {
	t.Helper()
	n.Name = ""
	reasons, err := n.Unfit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return reasons
}

// What was kept of the agent's files when they were overwritten has the name, too.
func TestNoBackupTakesTheNameIntoAnImage(t *testing.T) {
	n := newAgentNode(t)
	n.ensure(t)
	zones, err := os.ReadFile(n.file("zones.conf"))
	if err != nil {
		t.Fatal(err)
	}
	n.put(t, "zones.conf", string(zones)+"// edited\n")
	n.Agent.Overwrite, n.Apply = true, true
	n.ensure(t)
	n.put(t, "features-available/.icinga-enroll-ABC", nodeName)
	stage := n.state("agent-stage") // of a run that was killed while the agent validated it
	if err := os.Mkdir(stage, 0o700); err != nil {
		t.Fatal(err)
	}
	n.write(t, filepath.Join(stage, "zones.conf"), zones)
	said := strings.Join(n.unfit(t), "\n")
	for _, want := range []string{n.file("zones.conf.orig.2") + " has the name", n.file("features-available/.icinga-enroll-ABC") + " was left", stage + " is this machine's"} {
		if !strings.Contains(said, want) {
			t.Errorf("unfit is\n%s\nwithout %s", said, want)
		}
	}
	err = n.Seal(t.Context())
	if err == nil || !strings.Contains(err.Error(), "zones.conf.orig.2 in ") {
		t.Fatalf("seal leaves somebody's text with the name in the image: %v", err)
	}
	if !exists(n.state("state.json")) || !exists(n.file("zones.conf.orig.2")) {
		t.Error("what isn't sealed has lost something")
	}
	if err := os.Remove(n.file("zones.conf.orig.2")); err != nil {
		t.Fatal(err)
	}
	if err := n.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if exists(n.file("features-available/.icinga-enroll-ABC")) || exists(stage) {
		t.Error("what a killed run has left is there still")
	}
}

// Also what somebody has put beside the files that icinga-enroll writes has the name: the
// agent reads any conf.d/*.conf, and an image that has a copy has the name.
func TestNoFileOfTheAgentsTakesTheNameIntoAnImage(t *testing.T) {
	n := newAgentNode(t)
	n.quiet(t)
	zones := read(t, n.file("zones.conf"))
	strays := []string{"conf.d/app/x.conf", "zones.conf.bak", "zones.d/a/z.conf"}
	for _, name := range strays {
		n.put(t, name, zones)
	}
	n.put(t, "conf.d/note.conf", "// object Endpoint \""+nodeName+"\" { }\nconst Other = \"not."+nodeName+"\"\n")
	said := n.unfit(t)
	for _, name := range strays {
		if !slices.ContainsFunc(said, func(reason string) bool { return strings.HasPrefix(reason, n.file(name)+" has the name "+nodeName) }) {
			t.Errorf("unfit is %q without %s", said, name)
		}
	}
	if strings.Contains(strings.Join(said, "\n"), "note.conf") {
		t.Errorf("a comment has the name: %q", said)
	}
	for _, name := range strays {
		err := n.Seal(t.Context())
		if err == nil || !strings.Contains(err.Error(), name) || !exists(n.state("state.json")) {
			t.Fatalf("seal leaves %s in the image: %v", name, err)
		}
		if err := os.Remove(n.file(name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Seal(t.Context()); err != nil {
		t.Error(err)
	}
	if left := n.unfit(t); len(left) != 0 {
		t.Errorf("unfit is %q", left)
	}
}

// After a purge nothing tells any more what icinga-enroll has written: seal and its
// check say the same of that, and where the package's file is.
func TestSealSaysWhereThePackagesFileIs(t *testing.T) {
	n := newAgentNode(t)
	n.quiet(t)
	if said := strings.Join(n.unfit(t), "\n"); !strings.Contains(said, n.file("zones.conf")+" has the name "+nodeName+": icinga-enroll seal takes it out") {
		t.Errorf("unfit is\n%s", said)
	}
	if err := os.RemoveAll(n.StateDir); err != nil {
		t.Fatal(err)
	}
	n.Name = nodeName
	n.ensure(t)                                                    // installed again
	n.put(t, "constants.conf.orig", "const NodeName = \"mine\"\n") // somebody's
	said := strings.Join(n.unfit(t), "\n")
	if strings.Contains(said, "seal takes it out") || !strings.Contains(said, "isn't as icinga-enroll has written it: take the name out, or put the package's file there (beside it: zones.conf.orig)") {
		t.Errorf("unfit is\n%s", said)
	}
	err := n.Seal(t.Context())
	if err == nil || !strings.Contains(err.Error(), "put the package's file there (beside it: zones.conf.orig, features-available/api.conf.orig)") || strings.Contains(err.Error(), "constants.conf.orig") {
		t.Errorf("seal says %v", err)
	}
}

// What seal writes itself is no run's that hasn't registered.
func TestSealTellsOfNoFileOfItsOwn(t *testing.T) {
	n := newAgentNode(t)
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	for _, name := range []string{"icinga2", "icinga2.exe"} {
		if err := os.WriteFile(filepath.Join(bin, name), nil, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	n.version = func() (string, error) { // which seal writes down
		return "(version: r2.14.6-1)\n  Config directory: /etc/icinga2\n  Data directory: /var/lib/icinga2\n  Run directory: /run/icinga2\n", nil
	}
	var told []string
	n.Observe = func(s enroll.Step) {
		if s.Name == "wipe" && s.Text != "" {
			told = append(told, s.Text)
		}
	}
	for range 2 {
		if err := n.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(told, []string{"nothing to do", "nothing to do"}) {
		t.Errorf("told %q", told)
	}
}
