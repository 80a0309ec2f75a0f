package enroll_test

import (
	"context"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"icinga-enroll/enroll"
	"icinga-enroll/pki"
	"icinga-enroll/selfservice"
)

func TestAgentIsConfiguredOnce(t *testing.T) {
	n := newAgentNode(t)
	if err := errors.Join(os.MkdirAll(n.CertsDir, 0o750), os.WriteFile(filepath.Join(n.CertsDir, "ticket"), []byte("t"), 0o600)); err != nil {
		t.Fatal(err)
	}
	r := n.quiet(t)
	n.wantConfigured(t)
	if !r.Changed || n.reloads != 1 || n.validated != 1 {
		t.Errorf("changed %v, %d reloads, %d validations", r.Changed, n.reloads, n.validated)
	}
	if exists(filepath.Join(n.CertsDir, "ticket")) {
		t.Error("a ticket was left behind")
	}
	if read(t, n.file("zones.conf.orig")) != stockFiles["zones.conf"] {
		t.Error("the package's file has no backup")
	}
	before := n.tree(t)
	if r := n.quiet(t); r.Changed || n.reloads != 1 || n.validated != 1 {
		t.Errorf("a second run: changed %v, %d reloads, %d validations", r.Changed, n.reloads, n.validated)
	}
	n.wantTree(t, before)
}

func TestAgentThatRefusesKeepsItsFiles(t *testing.T) {
	n := newAgentNode(t)
	before := n.tree(t)
	n.validate = func() (string, error) {
		return "information/cli: hello\ncritical/config: Error: bad zone\n", errors.New("exit status 1")
	}
	n.fails(t, "bad zone", "validate")
	n.wantTree(t, before)
	if n.reloads != 0 || exists(n.file("zones.conf.orig")) {
		t.Errorf("%d reloads, backup %v", n.reloads, exists(n.file("zones.conf.orig")))
	}
	n.validate = nil
	n.quiet(t)
	n.wantConfigured(t)
}

func TestReloadThatFailsBringsTheOldSetBack(t *testing.T) {
	n := newAgentNode(t)
	if err := os.Chmod(n.file("constants.conf"), 0o600); err != nil {
		t.Fatal(err)
	}
	n.mustEnsureWithout(t)
	before, reloads := n.tree(t), n.reloads
	n.Agent.Manage = enroll.ManageAuto
	n.reload = func() error {
		if strings.Contains(read(t, n.file("zones.conf")), "master1") {
			return errors.New("exit status 3")
		}
		return nil
	}
	n.shows = n.certificate(t) // it runs
	n.fails(t, "exit status 3", "reload's words", "the old one is back")
	n.wantTree(t, before)
	if n.reloads != reloads+2 {
		t.Errorf("%d reloads, want one with each set", n.reloads-reloads)
	}
	n.reload = nil
	n.quiet(t)
	n.wantConfigured(t)
}

func (n *agentNode) certificate(t *testing.T) *x509.Certificate {
	t.Helper()
	certs, err := pki.ParseCertificates([]byte(read(t, n.cert(".crt"))))
	if err != nil {
		t.Fatal(err)
	}
	return certs[0]
}

// mustEnsureWithout enrols, and leaves the agent alone.
func (n *agentNode) mustEnsureWithout(t *testing.T) {
	t.Helper()
	n.Agent.Manage = enroll.ManageNever
	n.ensure(t)
}

// An agent that doesn't come up with the new set gets the old one back.
func TestAgentThatDoesNotComeUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newAgentNode(t)
		n.mustEnsureWithout(t)
		n.shows = n.certificate(t)
		n.Agent.Manage = enroll.ManageAuto
		before, inner := n.tree(t), n.Agent.Run
		n.Agent.Run = func(ctx context.Context, argv, env []string) (string, error) {
			out, err := inner(ctx, argv, env)
			if strings.Contains(read(t, n.file("zones.conf")), "master1") {
				n.shows = nil
			}
			return out, err
		}
		n.fails(t, "doesn't answer on 127.0.0.1:5665")
		n.wantTree(t, before)
		if n.shows == nil {
			t.Error("the agent wasn't reloaded with the old set")
		}
	})
}

func TestFilesThatCannotBeWritten(t *testing.T) {
	n := newAgentNode(t)
	before := n.tree(t)
	n.validate = func() (string, error) { return "", os.Mkdir(n.file("features-enabled/api.conf"), 0o750) }
	n.fails(t, "features-enabled")
	n.wantTree(t, before)
	n.validate = nil
	n.quiet(t)
	n.wantConfigured(t)
}

// A run that is cut short anywhere is completed, or undone, by the next.
func TestAgentAfterACrash(t *testing.T) {
	crash := func() error { panic("crash") }
	inValidate := func(t *testing.T, n *agentNode) {
		n.validate = func() (string, error) { return "", crash() }
		n.crash(t)
	}
	inReload := func(t *testing.T, n *agentNode) { n.reload = crash; n.crash(t) }
	half := func(back ...string) func(t *testing.T, n *agentNode) {
		return func(t *testing.T, n *agentNode) {
			inReload(t, n)
			state := read(t, n.state("state.json"))
			if !strings.Contains(state, `"placed": true`) {
				t.Fatal("the state doesn't say that the set is in place")
			}
			if err := os.WriteFile(n.state("state.json"), []byte(strings.Replace(state, `"placed": true`, `"placed": false`, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, name := range back {
				n.put(t, name, stockFiles[name])
			}
		}
	}
	tests := map[string]struct {
		crash    func(t *testing.T, n *agentNode)
		mendable bool // what Mend leaves is what was before
	}{
		"while it is validated": {inValidate, true},
		"nothing written":       {half("zones.conf", "features-available/api.conf", "constants.conf", "icinga2.conf"), true},
		"half written":          {half("constants.conf", "icinga2.conf"), true},
		"all written":           {half(), true},
		"before the reload":     {inReload, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			n := newAgentNode(t)
			before := n.tree(t)
			test.crash(t, n)
			if err := n.Mend(t.Context()); err != nil {
				t.Fatal(err)
			}
			if test.mendable {
				n.wantTree(t, before)
			}
			n.validate, n.reload = nil, nil
			n.quiet(t)
			n.wantConfigured(t)
			if n.shows == nil {
				t.Error("the agent hasn't read it")
			}
		})
	}
}

// A set that was put in place before a crash is put back like any other if the
// agent doesn't take it.
func TestReloadThatFailsAfterACrash(t *testing.T) {
	n := newAgentNode(t)
	before := n.tree(t)
	n.reload = func() error { panic("crash") }
	n.crash(t)
	n.reload = func() error { return errors.New("exit status 3") }
	n.fails(t, "exit status 3")
	n.wantTree(t, before)
}

// What can't be put back is no reason to leave the node without a certificate.
func TestOldFilesThatCannotBePutBack(t *testing.T) {
	tests := map[string]func(t *testing.T, n *agentNode){
		"no agent any more": func(_ *testing.T, n *agentNode) { n.Agent.ConfigDir = "" },
		"not to be managed": func(_ *testing.T, n *agentNode) { n.Agent.Manage, n.Agent.ConfigDir = enroll.ManageNever, "" },
		"another place for certificates": func(_ *testing.T, n *agentNode) {
			n.Agent.DataDir = filepath.Join(filepath.Dir(n.Agent.DataDir), "elsewhere")
		},
		"no folder": func(t *testing.T, n *agentNode) {
			if err := os.RemoveAll(n.Agent.ConfigDir); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			n := newAgentNode(t)
			n.reload = func() error { panic("crash") }
			n.crash(t)
			state := strings.Replace(read(t, n.state("state.json")), `"placed": true`, `"placed": false`, 1)
			if err := os.WriteFile(n.state("state.json"), []byte(state), 0o600); err != nil {
				t.Fatal(err)
			}
			n.reload = nil
			change(t, n)
			n.ensure(t) // enrolled, whatever the agent is
			n.Wish = enroll.Renewal
			n.ensure(t)
		})
	}
}

func TestFilesOfSomebodyElse(t *testing.T) {
	t.Run("edited", func(t *testing.T) {
		n := newAgentNode(t)
		n.quiet(t)
		n.put(t, "zones.conf", read(t, n.file("zones.conf"))+"// mine\n")
		before := n.tree(t)
		n.quiet(t)
		n.wantTree(t, before)
		if n.reloads != 1 || !n.warned("somebody has changed zones.conf") {
			t.Errorf("%d reloads; %+v", n.reloads, n.last.Steps)
		}
		n.Agent.Overwrite = true
		n.quiet(t)
		if n.wantConfigured(t); strings.Contains(read(t, n.file("zones.conf")), "mine") || n.reloads != 2 {
			t.Error("agent.overwrite doesn't")
		}
		if !strings.HasSuffix(read(t, n.file("zones.conf.orig.2")), "// mine\n") || read(t, n.file("zones.conf.orig")) != stockFiles["zones.conf"] {
			t.Error("what they had written is lost")
		}
		if !n.said("kept as zones.conf.orig.2") {
			t.Errorf("nothing says where it is: %+v", n.last.Steps)
		}
	})
	t.Run("foreign", func(t *testing.T) {
		n := newAgentNode(t)
		n.put(t, "zones.conf", "object Zone \"theirs\" { }\n")
		before := n.tree(t)
		n.quiet(t)
		n.wantTree(t, before)
		if n.reloads != 1 {
			t.Errorf("%d reloads for the new certificate", n.reloads)
		}
		if !n.warned("zones.conf is neither the package's nor written by icinga-enroll") {
			t.Errorf("%+v", n.last.Steps)
		}
		n.Agent.Manage = enroll.ManageAlways
		n.quiet(t)
		if n.wantConfigured(t); read(t, n.file("zones.conf.orig")) != "object Zone \"theirs\" { }\n" {
			t.Error("what they had written is lost")
		}
	})
}

// An agent that is left alone and goes by another node's name, as on a copy that has
// lost its state, is news for monitoring; one that somebody looks after isn't.
func TestAnAgentThatGoesByAnothersName(t *testing.T) {
	others := map[string]string{
		"constants.conf": "const NodeName = \"web0.example.com\" // the original's\nconst ZoneName = NodeName\n",
		"zones.conf":     "object Endpoint \"master1\" { }\nobject Zone \"master\" { endpoints = [ \"master1\" ] }\nobject Endpoint \"web0.example.com\" { }\nobject Zone \"web0.example.com\" { endpoints = [ \"web0.example.com\" ]; parent = \"master\" }\n",
	}
	tests := map[string]struct {
		change func(t *testing.T, n *agentNode)
		warns  bool
	}{
		"it does":                {func(*testing.T, *agentNode) {}, true},
		"nobody is to manage it": {func(_ *testing.T, n *agentNode) { n.Agent.Manage = enroll.ManageNever }, false},
		"zones.conf has this one, too": {func(t *testing.T, n *agentNode) {
			n.put(t, "zones.conf", others["zones.conf"]+"object Endpoint \""+nodeName+"\" { }\n")
		}, false},
		"its name is this one's": {func(t *testing.T, n *agentNode) {
			n.put(t, "constants.conf", "const NodeName = \""+nodeName+"\"\n")
			n.put(t, "zones.conf", strings.ReplaceAll(others["zones.conf"], "\"web0.example.com\"", "NodeName"))
		}, false},
		"nothing says which it is": {func(t *testing.T, n *agentNode) { n.put(t, "constants.conf", "const NodeName = FQDN\n") }, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			n := newAgentNode(t)
			for file, text := range others {
				n.put(t, file, text)
			}
			test.change(t, n)
			before := n.tree(t)
			if !test.warns {
				n.quiet(t)
				return
			}
			n.fails(t, "web0.example.com", "not "+nodeName, "neither the package's", "agent.manage: always")
			n.wantTree(t, before)
			if s, err := enroll.ReadStatus(n.StateDir); err != nil || s.State != enroll.Enrolled || s.LastError == nil || s.LastError.Kind != enroll.KindAgent {
				t.Errorf("the status is %+v, %v", s, err)
			}
			n.Agent.Manage = enroll.ManageAlways
			n.quiet(t)
			n.wantConfigured(t)
		})
	}
}

// Masters and satellites are left alone, whatever the setting.
func TestParentsOfOthersAreRefused(t *testing.T) {
	tests := map[string]func(t *testing.T, n *agentNode){
		"master": func(t *testing.T, n *agentNode) {
			ca := filepath.Join(n.Agent.DataDir, "ca")
			if err := errors.Join(os.MkdirAll(ca, 0o700), os.WriteFile(filepath.Join(ca, "ca.key"), nil, 0o600)); err != nil {
				t.Fatal(err)
			}
		},
		"satellite": func(t *testing.T, n *agentNode) {
			n.put(t, "zones.conf", "object Zone \"sat\"{endpoints=[NodeName]}\nobject Zone \"child\"{parent=\"sat\";}\n")
		},
	}
	for name, make := range tests {
		for _, manage := range []enroll.Manage{enroll.ManageAuto, enroll.ManageAlways} {
			t.Run(name+" "+string(manage), func(t *testing.T) {
				n := newAgentNode(t)
				make(t, n)
				n.Agent.Manage = manage
				before := n.tree(t)
				if manage == enroll.ManageAlways {
					n.fails(t, "agent.manage: never")
				} else if n.quiet(t); !n.warned("master or a satellite") {
					t.Errorf("%+v", n.last.Steps)
				}
				if n.wantTree(t, before); n.reloads != 0 {
					t.Error("it was reloaded")
				}
			})
		}
	}
}

func TestReceivedConfigurationIsFlushed(t *testing.T) {
	for _, flush := range []bool{true, false} {
		n := newAgentNode(t)
		n.director.parameters = parameters(func(p *selfservice.Parameters) { p.FlushAPIDirectory = flush })
		api := filepath.Join(n.Agent.DataDir, "api")
		for _, name := range []string{"zones/old", "zones-stage/old", "packages/old", "log"} {
			if err := os.MkdirAll(filepath.Join(api, name), 0o750); err != nil {
				t.Fatal(err)
			}
		}
		n.quiet(t)
		if exists(filepath.Join(api, "zones")) == flush || exists(filepath.Join(api, "packages")) == flush || !exists(filepath.Join(api, "log")) {
			t.Errorf("flush_api_directory %v", flush)
		}
		if err := os.MkdirAll(filepath.Join(api, "zones", "new"), 0o750); err != nil {
			t.Fatal(err)
		}
		if n.quiet(t); !exists(filepath.Join(api, "zones")) {
			t.Error("what the agent has received since is gone")
		}
	}
}

// A flush that a crash has kept away is done before the reload.
func TestFlushAfterACrash(t *testing.T) {
	n := newAgentNode(t)
	n.director.parameters = parameters(func(p *selfservice.Parameters) { p.FlushAPIDirectory = true })
	n.reload = func() error { panic("crash") }
	n.crash(t)
	zones := filepath.Join(n.Agent.DataDir, "api", "zones")
	if err := os.MkdirAll(zones, 0o750); err != nil {
		t.Fatal(err)
	}
	n.reload = nil
	if n.quiet(t); exists(zones) {
		t.Error("the former parents' configuration is still there")
	}
}

func parameters(change func(*selfservice.Parameters)) func() (selfservice.Parameters, error) {
	return func() (selfservice.Parameters, error) {
		p, err := (&director{}).Parameters(context.Background(), enroll.Settings{}.TemplateKey)
		change(&p)
		return p, err
	}
}

func TestWhichAgentItIs(t *testing.T) {
	elsewhere := func(n *agentNode) { n.Agent.DataDir = filepath.Join(n.Agent.ConfigDir, "..", "other") }
	none := func(n *agentNode) { n.Agent.Reload = nil }
	tests := map[string]struct {
		change func(n *agentNode)
		always string // what is said with agent.manage: always; auto says nothing
	}{
		"certificates of another": {elsewhere, "paths.certs"},
		"no icinga2":              {none, "install"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			n := newAgentNode(t)
			test.change(n)
			before := n.tree(t)
			if n.quiet(t); n.warned("") || n.reloads > 0 {
				t.Errorf("auto says something: %+v", n.last.Steps)
			}
			n.Agent.Manage = enroll.ManageAlways
			n.fails(t, test.always)
			n.wantTree(t, before)
		})
	}
}

// Who has said all about the agent needn't have an icinga2 that says it.
func TestAgentThatDoesNotTellItsFolders(t *testing.T) {
	n := newAgentNode(t)
	n.version = func() (string, error) { return "(version: r2.4.0-1)", nil }
	n.quiet(t)
	n.wantConfigured(t)
}

// A hand-made agent, of whose parents nothing is known, reads a new certificate
// all the same.
func TestAgentOfNoKnownParentsIsReloaded(t *testing.T) {
	n := newAgentNode(t)
	n.Director, n.Tickets = nil, []enroll.TicketSource{enroll.TicketNone}
	n.Endpoints = []enroll.Endpoint{{Name: "master1", Address: "192.0.2.1:5665"}}
	before := n.tree(t)
	for range 2 {
		n.quiet(t)
	}
	if n.wantTree(t, before); n.reloads != 1 {
		t.Errorf("%d reloads", n.reloads)
	}
}
