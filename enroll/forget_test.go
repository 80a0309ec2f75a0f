package enroll_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"icinga-enroll/enroll"
	"icinga-enroll/pki"
)

// newForgetful is a node whose template key is to be forgotten.
func newForgetful(t *testing.T) *node {
	t.Helper()
	n := newNode(t)
	n.TemplateKeyFile = filepath.Join(t.TempDir(), "template-key")
	if err := os.WriteFile(n.TemplateKeyFile, []byte(n.TemplateKey.Reveal()), 0o600); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *node) hasTemplateKey(t *testing.T) bool {
	t.Helper()
	return read(t, n.TemplateKeyFile) != ""
}

// What can register this node is kept until nothing can make that necessary:
// as long as it has no certificate, its host may have to be made anew.
func TestTheTemplateKeyIsForgottenLast(t *testing.T) {
	n := newForgetful(t)
	n.authority.request = func(string, pki.Request) (pki.Issued, error) { return pki.Issued{}, errors.New("no") }
	if _, err := n.Ensure(t.Context()); err == nil {
		t.Fatal("enrolled without a CA")
	}
	if !n.hasTemplateKey(t) || n.TemplateKey.IsZero() {
		t.Fatal("the template key is gone, and there is no certificate")
	}
	n.authority.request = nil
	r := n.mustEnsure(t)
	if n.hasTemplateKey(t) || !n.TemplateKey.IsZero() || !r.KeyForgotten {
		t.Errorf("the template key is still here: in memory %t, report %t", !n.TemplateKey.IsZero(), r.KeyForgotten)
	}
	if r = n.mustEnsure(t); r.Changed || r.Setback != nil {
		t.Errorf("without it the node isn't settled: %+v", r)
	}
}

// A node that is enrolled already forgets the key as soon as that is asked for.
func TestAnEnrolledNodeForgetsTheTemplateKey(t *testing.T) {
	n := newForgetful(t)
	file := n.TemplateKeyFile
	n.TemplateKeyFile = ""
	n.mustEnsure(t)
	n.TemplateKeyFile = file
	if !n.hasTemplateKey(t) {
		t.Fatal("it was not asked for")
	}
	n.mustEnsure(t)
	if n.hasTemplateKey(t) {
		t.Error("the template key is still here")
	}
}

// A file that can't be emptied, such as a service's in its sandbox, costs nothing
// but a warning, which is no sign of anything else.
func TestATemplateKeyThatStaysIsSaid(t *testing.T) {
	n := newForgetful(t)
	n.TemplateKeyFile = filepath.Join(t.TempDir(), "nowhere", "template-key")
	r := n.mustEnsure(t)
	if r.Setback == nil || r.KeyForgotten || enroll.IsTemporary(r.Setback) {
		t.Errorf("setback %v, forgotten %t", r.Setback, r.KeyForgotten)
	}
}
