package enroll_test

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"icinga-enroll/enroll"
	"icinga-enroll/pki"
)

// obstruct puts something into the place of file that can't be replaced, for
// root neither.
func obstruct(t *testing.T, file string) {
	t.Helper()
	if err := os.RemoveAll(file); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(file, "something"), 0o700); err != nil {
		t.Fatal(err)
	}
}

func withHook(n *node) {
	n.Hooks = enroll.Hooks{
		PostRenew: [][]string{{"reload"}},
		Run:       func(context.Context, []string, []string) (string, error) { return "", nil },
	}
}

// The certs folder can't be written any more when the new certificate is here.
// It is put in place by the first run that can, and the CA isn't asked again.
func TestSwitchThatFailsIsCompletedByTheNextRun(t *testing.T) {
	for _, rotates := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			n := newNode(t)
			if rotates {
				withHook(n)
			}
			n.mustEnsure(t)
			time.Sleep(380 * day)
			n.authority.request = func(_ string, req pki.Request) (pki.Issued, error) {
				obstruct(t, n.cert(".crt"))
				return n.authority.sign(req.Certificate.PublicKey, nodeName)
			}
			n.authority.asked = nil
			r := n.mustEnsure(t)
			if r.Setback == nil || !strings.Contains(r.Setback.Error(), n.cert(".crt")) {
				t.Errorf("rotates %v: setback is %v, want one that names the file", rotates, r.Setback)
			}
			if len(n.authority.asked) != 1 {
				t.Errorf("rotates %v: the CA was asked %d times, want once", rotates, len(n.authority.asked))
			}

			if err := os.RemoveAll(n.cert(".crt")); err != nil {
				t.Fatal(err)
			}
			if r = n.mustEnsure(t); r.Setback != nil || exists(n.state("switch.pem")) {
				t.Errorf("rotates %v: not completed: %v", rotates, r.Setback)
			}
			if until := r.Certificate.NotAfter; time.Until(until) < 390*day {
				t.Errorf("rotates %v: the new certificate ends on %s", rotates, until)
			}
			if len(n.authority.asked) != 1 {
				t.Errorf("rotates %v: the CA was asked again", rotates)
			}
		})
	}
}

// What can't be completed at the start is no reason not to use a valid pair,
// nor to ask for another.
func TestSwitchThatStaysCutShortIsASetback(t *testing.T) {
	n := newNode(t)
	n.mustEnsure(t)
	journal := read(t, n.cert(".key")) + read(t, n.cert(".crt")) + read(t, filepath.Join(n.CertsDir, "ca.crt"))
	if err := os.WriteFile(n.state("switch.pem"), []byte(journal), 0o600); err != nil {
		t.Fatal(err)
	}
	obstruct(t, n.state("request.crt"))
	n.authority.asked = nil
	n.Wish = enroll.Renewal
	if r := n.mustEnsure(t); r.Setback == nil || !strings.Contains(r.Setback.Error(), "switch: ") {
		t.Errorf("setback is %v", r.Setback)
	}
	if len(n.authority.asked) > 0 || !exists(n.state("switch.pem")) {
		t.Error("another certificate was asked for, or the journal forgotten")
	}
	if err := n.Mend(t.Context()); err == nil {
		t.Error("Mend says nothing")
	}
	if err := os.RemoveAll(n.state("request.crt")); err != nil {
		t.Fatal(err)
	}
	n.Wish = enroll.WhenDue
	if r := n.mustEnsure(t); r.Setback != nil || exists(n.state("switch.pem")) {
		t.Errorf("not completed: %v", r.Setback)
	}
}

// Whoever ends a run learns nothing of the node by that, and monitoring neither.
func TestAnInterruptedRenewalIsNoFailure(t *testing.T) {
	n := newNode(t)
	n.mustEnsure(t)
	before, err := enroll.ReadStatus(n.StateDir)
	if err != nil {
		t.Fatal(err)
	}
	n.Hooks = enroll.Hooks{
		OnFailure: [][]string{{"alarm"}},
		Run: func(context.Context, []string, []string) (string, error) {
			t.Error("a failure was told")
			return "", nil
		},
	}
	ctx, end := context.WithCancel(t.Context())
	n.authority.request = func(string, pki.Request) (pki.Issued, error) { end(); return pki.Issued{}, ctx.Err() }
	n.Wish = enroll.Rekey
	if r, err := n.Ensure(ctx); err != nil || r.Setback == nil {
		t.Errorf("the run's own end is %v, %v; want the interruption", r.Setback, err)
	}
	if now, err := enroll.ReadStatus(n.StateDir); err != nil || !reflect.DeepEqual(now, before) {
		t.Errorf("the status was\n%+v\nand is %v\n%+v", before, err, now)
	}
}
