package enroll_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"icinga-enroll/enroll"
	"icinga-enroll/enroll/secret"
	"icinga-enroll/platform"
	"icinga-enroll/platform/machine"
	"icinga-enroll/selfservice"
)

// leaver is a Director's REST API as far as a node that leaves needs it; what
// else is called is a mistake, and panics.
type leaver struct {
	enroll.Controller
	host    *selfservice.Host // nil: there is none
	away    error
	deploys []selfservice.DeploymentState // what is answered, one after the other; the last for ever
	asked   []string
}

func (l *leaver) Host(_ context.Context, name string) (selfservice.Host, error) {
	l.asked = append(l.asked, "look "+name)
	switch {
	case l.away != nil:
		return selfservice.Host{}, l.away
	case l.host == nil:
		return selfservice.Host{}, selfservice.ErrNoHost
	}
	return *l.host, nil
}

func (l *leaver) DeleteHost(_ context.Context, name string) error {
	l.asked = append(l.asked, "delete "+name)
	l.host = nil
	return nil
}

func (l *leaver) Deploy(context.Context) (string, error) {
	l.asked = append(l.asked, "deploy")
	return "checksum", nil
}

func (l *leaver) DeploymentsPage() string { return "https://director.example.com/config/deployments" }

func (l *leaver) Deployment(context.Context, string) (selfservice.DeploymentState, error) {
	state := l.deploys[0]
	if len(l.deploys) > 1 {
		l.deploys = l.deploys[1:]
	}
	if state == "" {
		return "", errDead{}
	}
	return state, nil
}

func newLeaver(t *testing.T) (*node, *leaver) {
	n := newNode(t)
	n.mustEnsure(t)
	l := &leaver{host: &selfservice.Host{Name: nodeName, Type: "object", Key: secret.New(hostKey)}}
	n.Controller = l
	return n, l
}

// files are the names of what there is below the node's folders, but for locks.
func (n *node) files(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, dir := range []string{n.StateDir, n.CertsDir} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if name := entry.Name(); name != "lock" && name != "daemon" {
				names = append(names, name)
			}
		}
	}
	return names
}

// Nothing is removed here before the Director has done its part.
func TestLeaveKeepsTheIdentityUntilTheDirectorHasDoneItsPart(t *testing.T) {
	for what, test := range map[string]struct {
		change    func(l *leaver)
		deploy    bool
		temporary bool
		says      string
	}{
		"away":              {func(l *leaver) { l.away = errDead{} }, false, true, "Nothing was removed here"},
		"no permission":     {func(l *leaver) { l.away = selfservice.ErrNoPermission }, false, false, "Nothing was removed here"},
		"a template":        {func(l *leaver) { l.host.Type = "template" }, false, false, "is no host in the Director"},
		"refused by master": {func(l *leaver) { l.deploys = states("undeployed", "failed") }, true, false, "refuses the configuration"},
		"never taken":       {func(l *leaver) { l.deploys = states("undeployed") }, true, true, "has not loaded"},
		"master is away":    {func(l *leaver) { l.deploys = states("") }, true, true, "has not loaded"},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, l := newLeaver(t)
				test.change(l)
				before := n.files(t)
				err := n.Leave(t.Context(), enroll.LeaveOptions{Deploy: test.deploy})
				if err == nil || !strings.Contains(err.Error(), test.says) || enroll.IsTemporary(err) != test.temporary {
					t.Errorf("error is %v (temporary %v)", err, enroll.IsTemporary(err))
				}
				if after := n.files(t); !slices.Equal(before, after) {
					t.Errorf("there was %v, now %v", before, after)
				}
				if test.says == "is no host in the Director" && slices.Contains(l.asked, "delete "+nodeName) {
					t.Error("the template was deleted")
				}
				if err := n.Leave(t.Context(), enroll.LeaveOptions{Local: true}); err != nil || !slices.Equal(n.files(t), []string{"left.json", "ca.crt"}) {
					t.Errorf("leaving locally: %v, there is %v", err, n.files(t))
				}
			})
		})
	}
}

func states(texts ...string) (states []selfservice.DeploymentState) {
	for _, text := range texts {
		states = append(states, selfservice.DeploymentState(text))
	}
	return states
}

func TestLeaveWaitsForTheDeployment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, l := newLeaver(t)
		l.deploys = states("undeployed", "", "undeployed", "active")
		if err := n.Leave(t.Context(), enroll.LeaveOptions{Deploy: true}); err != nil {
			t.Fatal(err)
		}
		if want := []string{"look " + nodeName, "delete " + nodeName, "deploy"}; !slices.Equal(l.asked, want) {
			t.Errorf("asked %v, want %v", l.asked, want)
		}
	})
}

// Whatever a crash has left, the next Leave removes, and one after it does nothing.
func TestLeaveGoesOnAfterACrash(t *testing.T) {
	full, _ := newLeaver(t)
	names := full.files(t)
	for _, gone := range names {
		n, l := newLeaver(t)
		for _, dir := range []string{n.StateDir, n.CertsDir} {
			if gone != "state.json" { // the state goes last
				_ = os.Remove(filepath.Join(dir, gone))
			}
		}
		l.host = nil // deleted before
		for range 2 {
			if err := n.Leave(t.Context(), enroll.LeaveOptions{}); err != nil {
				t.Fatalf("without %s: %v", gone, err)
			}
			left := slices.DeleteFunc(n.files(t), func(name string) bool { return name == "ca.crt" })
			if len(left) > 0 {
				t.Errorf("without %s there is left %v", gone, left)
			}
		}
		if slices.Contains(l.asked, "delete "+nodeName) {
			t.Error("a host that isn't there was deleted")
		}
	}
}

// A pair that a crash has left in the journal holds a key.
func TestLeaveRemovesTheJournalAndHalfWrittenFiles(t *testing.T) {
	n, _ := newLeaver(t)
	for file, dir := range map[string]string{"switch.pem": n.StateDir, ".icinga-enroll-x": n.CertsDir, "request.key": n.StateDir} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte("key"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Leave(t.Context(), enroll.LeaveOptions{}); err != nil {
		t.Fatal(err)
	}
	if left := n.files(t); !slices.Equal(left, []string{"ca.crt"}) {
		t.Errorf("there is left %v", left)
	}
}

func TestLeaveRefusesWhileTheDaemonRuns(t *testing.T) {
	n, l := newLeaver(t)
	hold, err := enroll.MarkRunning(t.Context(), n.StateDir)
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Release()
	err = n.Leave(t.Context(), enroll.LeaveOptions{})
	if err == nil || !strings.Contains(err.Error(), "service stop") || enroll.IsTemporary(err) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v", err)
	}
	if len(l.asked) > 0 || !exists(n.cert(".key")) {
		t.Errorf("asked %v", l.asked)
	}
}

// A Director's part that was left out is done later, by the machine whose it is.
func TestLeaveFinishesWhatWasLeftOut(t *testing.T) {
	for what, test := range map[string]struct {
		change  func(n *node, l *leaver)
		deleted bool
		says    string
	}{
		"later":             {func(*node, *leaver) {}, true, "host " + nodeName + " deleted"},
		"deleted meanwhile": {func(_ *node, l *leaver) { l.host = nil }, false, "there is no host"},
		"its key dropped":   {func(_ *node, l *leaver) { l.host.Key = secret.Text{} }, true, "host " + nodeName + " deleted"},
		"another's by now":  {func(_ *node, l *leaver) { l.host.Key = secret.New(strings.Repeat("f", 40)) }, false, "another key"},
		"an image of it":    {func(n *node, _ *leaver) { n.Machine.Identify = virtual("B") }, false, "of which this is a copy"},
	} {
		t.Run(what, func(t *testing.T) {
			n, l := newLeaver(t)
			n.Machine.Identify = virtual("A")
			var steps []string
			n.Observe = func(s enroll.Step) { steps = append(steps, s.Text) }
			n.Controller = nil // nobody to ask, without being told so
			if err := n.Leave(t.Context(), enroll.LeaveOptions{}); err != nil {
				t.Fatal(err)
			}
			n.Controller = l
			test.change(n, l)
			if err := n.Leave(t.Context(), enroll.LeaveOptions{}); err != nil {
				t.Fatal(err)
			}
			if deleted := slices.Contains(l.asked, "delete "+nodeName); deleted != test.deleted || !strings.Contains(strings.Join(steps, "\n"), test.says) {
				t.Errorf("deleted %v; it said %q", deleted, steps)
			}
			if left := n.files(t); !slices.Equal(left, []string{"ca.crt"}) {
				t.Errorf("there is left %v", left)
			}
		})
	}
}

func virtual(hardware string) func() machine.Identity {
	return func() machine.Identity { return machine.Identity{Kind: machine.Virtual, Hardware: hardware} }
}

// Where no Director is set nothing is said of one.
func TestLeaveWithoutADirector(t *testing.T) {
	n := newNode(t)
	n.Enroller.Director, n.Tickets = nil, []enroll.TicketSource{enroll.TicketNone}
	n.Endpoints = []enroll.Endpoint{{Name: "master1", Address: "192.0.2.1:5665"}}
	n.mustEnsure(t)
	var steps []enroll.Step
	n.Observe = func(s enroll.Step) { steps = append(steps, s) }
	if err := n.Leave(t.Context(), enroll.LeaveOptions{}); err != nil {
		t.Fatal(err)
	}
	said := ""
	for _, s := range steps {
		said += s.Text + "\n"
		if s.Warning {
			t.Errorf("a warning: %q", s.Text)
		}
	}
	for _, words := range []string{"no Director is set here", "on the CA there is nothing to do", "stays valid until"} {
		if !strings.Contains(said, words) {
			t.Errorf("%q doesn't say %q", said, words)
		}
	}
	if left := n.files(t); !slices.Equal(left, []string{"ca.crt"}) {
		t.Errorf("there is left %v", left)
	}
}

// An API client is no host: nothing in the Director is its own.
func TestAPIClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		l := &leaver{}
		n.Controller, n.APIClient = l, true
		n.Tickets = []enroll.TicketSource{enroll.TicketNone}
		n.Endpoints = []enroll.Endpoint{{Name: "master1", Address: "192.0.2.1:5665"}}
		n.CertsDir = filepath.Join(n.StateDir, "certs")
		l.host = &selfservice.Host{Name: nodeName, Type: "object"}
		if _, err := n.Ensure(t.Context()); err == nil || len(n.authority.asked) > 0 {
			t.Errorf("error %v; the CA was asked at %v", err, n.authority.asked)
		}
		l.host = nil
		n.mustEnsure(t)
		if n.director.registered > 0 {
			t.Error("it was registered as a host")
		}
		asked := len(l.asked)
		n.mustEnsure(t)
		if len(l.asked) != asked {
			t.Errorf("nothing is due, and the Director was asked %v", l.asked)
		}
		// Due, and the Director is away: renewed all the same. A host of its name
		// has come: not any more.
		time.Sleep(380 * day)
		l.away = errDead{}
		if r := n.mustEnsure(t); !r.Renewed || r.Setback == nil {
			t.Errorf("renewed %v, setback %v", r.Renewed, r.Setback)
		}
		time.Sleep(380 * day)
		l.away, l.host, n.authority.asked = nil, &selfservice.Host{Type: "template"}, nil
		if _, err := n.Ensure(t.Context()); err == nil || len(n.authority.asked) > 0 {
			t.Errorf("error %v; the CA was asked at %v", err, n.authority.asked)
		}
		l.asked = nil
		if err := n.Leave(t.Context(), enroll.LeaveOptions{}); err != nil || len(l.asked) > 0 {
			t.Errorf("error %v, asked %v", err, l.asked)
		}
		if left := n.files(t); !slices.Equal(left, []string{"certs"}) {
			t.Errorf("there is left %v", left)
		}
	})
}

// Root gives the files of an API client, and their folder, to whom the settings say.
func TestOwnerOfAnAPIClientsFiles(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can")
	}
	n := newNode(t)
	n.Enroller.Director, n.APIClient, n.GroupReads = nil, true, true
	n.Tickets = []enroll.TicketSource{enroll.TicketNone}
	n.Endpoints = []enroll.Endpoint{{Name: "master1", Address: "192.0.2.1:5665"}}
	n.CertsDir = filepath.Join(n.StateDir, "certs")
	for _, group := range []string{"12345", "12346"} { // and again where the setting has changed
		owner, err := platform.LookupOwner("4321", group)
		if err != nil {
			t.Fatal(err)
		}
		n.Owner = owner
		n.mustEnsure(t)
		for file, mode := range map[string]string{"": "drwxr-x---", "/" + nodeName + ".key": "-rw-r-----", "/" + nodeName + ".crt": "-rw-r--r--", "/ca.crt": "-rw-r--r--"} {
			info, err := os.Stat(n.CertsDir + file)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().String() != mode || file != "/ca.crt" && owned(info) != "4321:"+group {
				t.Errorf("certs%s has %s %s", file, info.Mode(), owned(info))
			}
		}
	}
}
