package enroll_test

import (
	"context"
	"crypto/x509/pkix"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"icinga-enroll/enroll"
	"icinga-enroll/enroll/secret"
	"icinga-enroll/platform/machine"
)

// newOriginal is an enrolled virtual machine. What it is now can be set.
func newOriginal(t *testing.T) (*node, *machine.Identity) {
	t.Helper()
	n, id := newVirtual(t)
	n.mustEnsure(t)
	return n, id
}

func newVirtual(t *testing.T) (*node, *machine.Identity) {
	t.Helper()
	n := newNode(t)
	id := &machine.Identity{Kind: machine.Virtual, MachineID: "machine", Hardware: "original"}
	n.Machine.Identify = func() machine.Identity { return *id }
	return n, id
}

func (n *node) quarantined(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(n.StateDir, "quarantine", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for i, file := range found {
		found[i] = filepath.Base(file)
	}
	return found
}

func TestACopyUnderItsOriginalsNameUsesNothing(t *testing.T) {
	n, id := newOriginal(t)
	id.Hardware = "copy"
	state, registered := read(t, n.state("state.json")), n.director.registered
	_, err := n.Ensure(t.Context())
	if !errors.Is(err, enroll.ErrClone) || !strings.Contains(err.Error(), "accept-machine") || !strings.Contains(err.Error(), nodeName) {
		t.Fatalf("got %v", err)
	}
	if read(t, n.state("state.json")) != state || n.director.registered != registered || !exists(n.cert(".key")) {
		t.Error("it has touched what is the original's")
	}
	s, err := enroll.ReadStatus(n.StateDir)
	if err != nil || s.State != enroll.Failed || s.LastError == nil || s.LastError.Kind != enroll.KindClone || s.Name != nodeName {
		t.Errorf("the status is %+v, %v", s, err)
	}
}

// Each of them would speak for the original, or do away with what is its.
func TestACopyIsRefusedByEveryVerb(t *testing.T) {
	n, id := newOriginal(t)
	id.Hardware = "copy"
	l := &leaver{}
	n.Controller = l
	for name, verb := range map[string]func(context.Context) error{
		"mend":    n.Mend,
		"leave":   func(ctx context.Context) error { return n.Leave(ctx, enroll.LeaveOptions{}) },
		"discard": func(ctx context.Context) error { _, err := n.DiscardRequest(ctx); return err },
		"import":  func(ctx context.Context) error { _, err := n.Import(ctx, enroll.Files{}); return err },
		"whoami":  func(ctx context.Context) error { _, _, err := n.WhoAmI(ctx); return err },
		"verify":  func(ctx context.Context) error { _, err := n.Verify(ctx); return err },
		"plan":    func(ctx context.Context) error { _, err := n.Plan(ctx); return err },
		"agent":   func(ctx context.Context) error { _, err := n.PlanAgent(ctx); return err },
	} {
		if err := verb(t.Context()); !errors.Is(err, enroll.ErrClone) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(l.asked) != 0 || !exists(n.cert(".key")) {
		t.Errorf("the Director was asked %q", l.asked)
	}
}

func TestACopyWithANameOfItsOwnEnrolsAsItself(t *testing.T) {
	n, id := newOriginal(t)
	id.Hardware = "copy"
	n.Name = "web2.example.com"
	r, err := n.Plan(t.Context())
	if err != nil || !strings.Contains(r.Steps[0].Text, "quarantine") || len(n.quarantined(t)) != 0 {
		t.Errorf("planned %+v, %v", r.Steps, err)
	}
	if r := n.mustEnsure(t); r.Name != "web2.example.com" || n.director.registered != 2 {
		t.Errorf("enrolled as %s, registered %d times", r.Name, n.director.registered)
	}
	if exists(n.cert(".key")) || exists(n.cert(".crt")) {
		t.Error("the original's key and certificate are still in the agent's folder")
	}
	if got := n.quarantined(t); !slices.Equal(got, []string{"state.json", "status.json", nodeName + ".crt", nodeName + ".key"}) {
		t.Errorf("in quarantine: %q", got)
	}
	files, _ := filepath.Glob(filepath.Join(n.StateDir, "quarantine", "*", "state.json"))
	if !strings.Contains(read(t, files[0]), hostKey) {
		t.Error("the original's host API key is lost")
	}
	n.mustEnsure(t)
	if n.director.registered != 2 {
		t.Error("the second run registers again")
	}
}

// It was the original, with new hardware: what it enrolled as is not lost either.
func TestWhatIsInQuarantineIsTakenBack(t *testing.T) {
	n, id := newOriginal(t)
	key := read(t, n.cert(".key"))
	for _, ext := range []string{".csr", ".key.0123abcd"} {
		if err := os.WriteFile(n.cert(ext), []byte(ext), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	id.Hardware = "new"
	n.Name = "web2.example.com"
	n.mustEnsure(t)
	n.Name = ""
	if err := n.AcceptMachine(t.Context(), "web3"); err == nil || !strings.Contains(err.Error(), nodeName) {
		t.Errorf("got %v", err)
	}
	// by its path, as a dry run has named it
	if err := n.AcceptMachine(t.Context(), filepath.Join(n.state("quarantine"), n.folders(t)[0])+string(filepath.Separator)); err != nil {
		t.Fatal(err)
	}
	if r := n.mustEnsure(t); r.Name != nodeName || read(t, n.cert(".key")) != key || n.director.registered != 2 {
		t.Errorf("it is %s now, registered %d times", r.Name, n.director.registered)
	}
	if !exists(n.cert(".csr")) || read(t, n.cert(".key.0123abcd")) != ".key.0123abcd" {
		t.Error("what belonged to the pair hasn't come back")
	}
	if got := n.quarantined(t); !slices.Contains(got, "web2.example.com.key") || slices.Contains(got, nodeName+".key") {
		t.Errorf("in quarantine: %q", got)
	}
}

func (n *node) folders(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(n.state("quarantine"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// To accept a machine a second time must not make it its original.
func TestAcceptingTakesNothingBackUnasked(t *testing.T) {
	n, id := newOriginal(t)
	id.Hardware, n.Name = "copy", "web2.example.com"
	n.mustEnsure(t)
	id.Hardware = "moved"
	for range 3 {
		if err := n.AcceptMachine(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
	}
	if r := n.mustEnsure(t); r.Name != "web2.example.com" {
		t.Errorf("it is %s now", r.Name)
	}
}

// The state is what says that there is more to move.
func TestAQuarantineThatCantRemoveThePairGoesOn(t *testing.T) {
	n, id := newOriginal(t)
	id.Hardware, n.Name = "copy", "web2.example.com"
	stuck := n.cert(".key.00000000")
	if err := os.Mkdir(stuck, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Ensure(t.Context()); err == nil || !exists(n.state("state.json")) || !exists(n.cert(".key")) {
		t.Fatalf("got %v", err)
	}
	n.Name = ""
	if err := n.AcceptMachine(t.Context(), ""); err != nil { // the folder there isn't complete
		t.Fatal(err)
	}
	if r := n.mustEnsure(t); r.Name != nodeName {
		t.Errorf("it is %s now", r.Name)
	}
}

func TestAMovedMachineIsAccepted(t *testing.T) {
	n, id := newOriginal(t)
	id.Hardware = "new"
	if _, err := n.Ensure(t.Context()); !errors.Is(err, enroll.ErrClone) {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing to do
		if err := n.AcceptMachine(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
	}
	if s, err := enroll.ReadStatus(n.StateDir); err != nil || s.State != enroll.Enrolled || s.LastError != nil {
		t.Errorf("the status still is %+v, %v", s, err)
	}
	n.mustEnsure(t)
	if n.director.registered != 1 {
		t.Error("it has registered again")
	}
}

func TestACopyMayBeToldToWait(t *testing.T) {
	n, id := newOriginal(t)
	id.Hardware, n.Name, n.ClonePolicy = "copy", "web2.example.com", enroll.CloneStop
	if _, err := n.Ensure(t.Context()); !errors.Is(err, enroll.ErrClone) || !strings.Contains(err.Error(), "clone_policy") {
		t.Errorf("got %v", err)
	}
	if len(n.quarantined(t)) != 0 || n.director.registered != 1 {
		t.Error("it hasn't waited")
	}
}

// Every verb says what ends the waiting by the policy that is set; where no server is
// to be reached, what has to go besides the state: an agent that keeps its files, and a
// pair that stays, are the original's.
func TestACopyIsToldWhatItsPolicyAllows(t *testing.T) {
	n := newAgentNode(t)
	id := &machine.Identity{Kind: machine.Virtual, MachineID: "machine", Hardware: "original"}
	n.Machine.Identify = func() machine.Identity { return *id }
	n.quiet(t)
	id.Hardware = "copy"
	for policy, want := range map[enroll.ClonePolicy]bool{enroll.CloneStop: true, enroll.CloneReenroll: false} {
		n.ClonePolicy = policy
		for name, verb := range map[string]func(context.Context) error{
			"verify":     func(ctx context.Context) error { _, err := n.Verify(ctx); return err },
			"agent plan": func(ctx context.Context) error { _, err := n.PlanAgent(ctx); return err },
			"csr":        func(ctx context.Context) error { _, err := n.PrepareCSR(ctx, pkix.Name{}); return err },
		} {
			err := verb(t.Context())
			if !errors.Is(err, enroll.ErrClone) || strings.Contains(err.Error(), "clone_policy: reenroll") != want {
				t.Errorf("%s with clone_policy %s: %v", name, policy, err)
				continue
			}
			for _, part := range []string{n.StateDir, n.cert(".key"), n.cert(".crt"), "*.orig"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%s doesn't say that %s has to go: %v", name, part, err)
				}
			}
		}
	}
}

// The service says at its start that a copy enrols as itself at once: nobody is to run
// accept-machine for what is about to go away.
func TestACopyThatEnrolsAtOnceIsNoCallForHelp(t *testing.T) {
	for _, row := range []struct {
		policy    enroll.ClonePolicy
		host, key string
		at        string
	}{
		{enroll.CloneReenroll, "web2", "", `is now "web2"`},
		{enroll.CloneReenroll, "web1", "", ""},
		{enroll.CloneStop, "web2", "", ""},
		{enroll.CloneReenroll, "web2", hostKey, ""},
	} {
		n, id := newOriginal(t)
		id.Hardware, n.Name, n.ClonePolicy, n.HostKey = "copy", "", row.policy, secret.New(row.key)
		n.Machine.Hostname = func() (string, error) { return row.host, nil }
		err := n.Mend(t.Context())
		const said = "nobody has to do anything"
		if !errors.Is(err, enroll.ErrClone) || strings.Contains(err.Error(), said) != (row.at != "") || !strings.Contains(err.Error(), row.at) {
			t.Errorf("%+v: %v", row, err)
		}
	}
}

// The key of a prepared host speaks for that host under any name.
func TestACopyDoesntUseAPreparedHostsKey(t *testing.T) {
	n, id := newVirtual(t)
	n.HostKey = secret.New(hostKey)
	n.mustEnsure(t)
	id.Hardware, n.Name = "copy", "web2.example.com"
	if _, err := n.Ensure(t.Context()); !errors.Is(err, enroll.ErrClone) || !strings.Contains(err.Error(), "director.host_key") {
		t.Errorf("got %v", err)
	}
}

func TestANewPartIsNoCopy(t *testing.T) {
	n, id := newVirtual(t)
	id.Kind = machine.Physical
	n.mustEnsure(t)
	for _, part := range []*string{&id.Hardware, &id.MachineID} { // one after the other
		*part = "new"
		r := n.mustEnsure(t)
		if !slices.ContainsFunc(r.Steps, func(s enroll.Step) bool { return s.Name == "machine" && s.Warning }) {
			t.Errorf("nothing is said of it: %+v", r.Steps)
		}
	}
	if n.director.registered != 1 {
		t.Error("it has registered again")
	}
}

// A state of a version that didn't look is this machine's.
func TestAnOlderStateIsBound(t *testing.T) {
	n, id := newVirtual(t)
	identify := n.Machine.Identify
	n.Machine.Identify = nil
	n.mustEnsure(t)
	n.Machine.Identify = identify
	n.mustEnsure(t)
	id.Hardware = "copy"
	if _, err := n.Ensure(t.Context()); !errors.Is(err, enroll.ErrClone) {
		t.Errorf("got %v", err)
	}
}

// Enrolled where nothing tells one machine from another, as in an image builder's
// chroot: that is said, once, and a machine of another name that is more than that is
// a copy.
func TestACopyOfAMachineThatNothingTellsFromOthers(t *testing.T) {
	const said = "nothing tells this machine from a copy"
	for _, row := range []struct {
		what, hostname string
		cloned         bool
	}{
		{"the same", "web1", false},
		{"with its domain by now", "WEB1.example.com", false},
		{"another", "web2", true},
		{"no name yet", "localhost", true},
	} {
		n, id := newVirtual(t)
		*id = machine.Identity{Kind: machine.Container}
		n.Name = ""
		if r := n.mustEnsure(t); !hasWarned(r, said) {
			t.Errorf("%s: nothing is said at the enrolment: %+v", row.what, r.Steps)
		}
		if r := n.mustEnsure(t); hasWarned(r, said) {
			t.Errorf("%s: it is said again: %+v", row.what, r.Steps)
		}
		n.Machine.Hostname = func() (string, error) { return row.hostname, nil }
		n.Machine.FQDN = func(context.Context) (string, error) { return "web2.example.com", nil }
		n.mustEnsure(t) // nothing is known of this one either
		*id = machine.Identity{Kind: machine.Virtual, MachineID: "machine", Hardware: "x"}
		if _, err := n.DiscardRequest(t.Context()); errors.Is(err, enroll.ErrClone) != row.cloned || row.cloned && !strings.Contains(err.Error(), "the hostname differs") {
			t.Errorf("%s: %v", row.what, err)
		}
		if !row.cloned {
			n.mustEnsure(t)
			n.Machine.Hostname = func() (string, error) { return "web3", nil }
			n.mustEnsure(t) // by now it is known
			continue
		}
		r, err := n.Ensure(t.Context())
		if row.hostname == "localhost" {
			if !errors.Is(err, enroll.ErrClone) || !enroll.IsTemporary(err) {
				t.Errorf("%s: %v", row.what, err)
			}
			continue
		}
		if err != nil || r.Name != "web2.example.com" || n.director.registered != 2 {
			t.Errorf("%s: it is %s, %v", row.what, r.Name, err)
		}
	}
}

// What its hostname is says nothing of an API client, nor of a machine that was set up in
// a builder's chroot, and has its own name now.
func TestAnotherHostnameIsNoCopyInItself(t *testing.T) {
	for what, row := range map[string]struct {
		prepare  func(*node)
		hostname string
	}{
		"a client in a container": {func(n *node) { asClient(n, nil) }, "0123456789ab"},
		"set up in a chroot":      {func(n *node) { n.Name = nodeName }, "web1"},
	} {
		n, id := newVirtual(t)
		*id = machine.Identity{Kind: machine.Container}
		n.Machine.Hostname = func() (string, error) { return "builder", nil }
		row.prepare(n)
		n.mustEnsure(t)
		n.Machine.Hostname = func() (string, error) { return row.hostname, nil }
		*id = machine.Identity{Kind: machine.Container, MachineID: "machine", Chip: "chip"}
		if r, err := n.Ensure(t.Context()); err != nil || r.Name != nodeName {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func hasWarned(r enroll.Report, words string) bool {
	return slices.ContainsFunc(r.Steps, func(s enroll.Step) bool { return s.Warning && strings.Contains(s.Text, words) })
}

// Cut short after any file, the quarantine is complete in the end.
func TestAQuarantineThatWasCutShort(t *testing.T) {
	n, id := newOriginal(t)
	key := read(t, n.cert(".key"))
	id.Hardware, n.Name = "copy", "web2.example.com"
	folder := n.state("quarantine")
	if err := os.WriteFile(folder, nil, 0o600); err != nil { // in the way
		t.Fatal(err)
	}
	if _, err := n.Ensure(t.Context()); err == nil || !exists(n.cert(".key")) || !exists(n.state("state.json")) {
		t.Fatalf("got %v", err)
	}
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	stateBefore := read(t, n.state("state.json"))
	n.mustEnsure(t)
	// As if it had ended before the state was removed.
	if err := errors.Join(os.WriteFile(n.state("state.json"), []byte(stateBefore), 0o600), os.Remove(filepath.Join(n.CertsDir, "web2.example.com.key"))); err != nil {
		t.Fatal(err)
	}
	n.mustEnsure(t)
	files, _ := filepath.Glob(filepath.Join(folder, nodeName+"-*", "*.key"))
	if len(files) != 1 || read(t, files[0]) != key {
		t.Errorf("the original's key is lost: %q", files)
	}
}
