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
