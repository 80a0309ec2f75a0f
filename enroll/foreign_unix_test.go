//go:build unix

package enroll_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What lies there could be a request for a key that somebody else knows, or a pair that
// waits to be put in place.
func TestRootUsesNoFolderThatOthersCanFill(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root is guarded so")
	}
	n := newNode(t)
	if err := errors.Join(os.MkdirAll(n.StateDir, 0o755), os.Chmod(n.StateDir, 0o775)); err != nil {
		t.Fatal(err)
	}
	n.write(t, n.state("request.key"), []byte("planted"))
	for what, do := range map[string]func() error{
		"once": func() error { _, err := n.Ensure(t.Context()); return err },
		"run":  func() error { return n.Mend(t.Context()) },
	} {
		if err := do(); err == nil || !strings.Contains(err.Error(), n.StateDir+" can be changed by others than root: run chmod go-w") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if n.director.registered > 0 || len(n.authority.asked) > 0 || read(t, n.state("request.key")) != "planted" {
		t.Error("somebody was asked, or a file is gone")
	}
}

// A folder is its account's: made root's, as other files that root reads have to
// be, the service that runs as that account couldn't use it any more.
func TestRootIsToldWhoseStateItIs(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give it away")
	}
	n := newNode(t)
	n.mustEnsure(t)
	err := filepath.WalkDir(n.StateDir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, 4321, 4321)
	})
	if err != nil {
		t.Fatal(err)
	}
	_, ensure := n.Ensure(t.Context())
	_, plan := n.Plan(t.Context())
	_, verify := n.Verify(t.Context())
	_, unfit := n.Unfit(t.Context())
	for verb, err := range map[string]error{"once": ensure, "once --dry-run": plan, "verify": verify, "seal --check": unfit} {
		if err == nil || !strings.Contains(err.Error(), n.StateDir+" is 4321's: run this as that account, such as with: runuser -u 4321 -- icinga-enroll") {
			t.Errorf("%s: %v", verb, err)
		}
	}
}
