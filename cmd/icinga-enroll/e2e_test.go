//go:build e2e

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"icinga-enroll/testdata/campaign"
)

const labProgram = "../../testdata/lab/lab"

// TestLab runs the program against the real Icinga 2 and Director of the lab.
func TestLab(t *testing.T) {
	lab := campaign.OpenLab(t)
	program, err := filepath.Abs(labProgram)
	if err != nil {
		t.Fatal(err)
	}
	runScripts(t, "../../testdata/e2e", map[string]func(*testscript.TestScript, bool, []string){
		"run":      cmdRun,
		"filemode": cmdFileMode,
		"await":    cmdAwait,
		"signal":   cmdSignal,
		"plugin":   cmdPlugin,
		"nolisten": cmdNoListen,
		"node":     func(ts *testscript.TestScript, _ bool, args []string) { cmdNode(ts, lab, program, args) },
		"agent":    func(ts *testscript.TestScript, _ bool, args []string) { cmdAgent(ts, program, args) },
		"lab":      func(ts *testscript.TestScript, neg bool, args []string) { cmdLab(ts, neg, program, args) },
		"basket":   func(ts *testscript.TestScript, _ bool, args []string) { cmdBasket(ts, program, args) },
		"tpm":      chips{}.cmd,
		"keys":     cmdKeys,
		"onlist":   func(ts *testscript.TestScript, _ bool, args []string) { cmdOnList(ts, program, args) },
	})
}

// node NAME gives the script all values of the lab, $NAME as a name that no
// other run has, $PIN, and config.yml for it.
func cmdNode(ts *testscript.TestScript, lab campaign.Lab, program string, args []string) {
	s := scriptOf(ts)
	name := campaign.NewName(args[0])
	ts.Setenv("NAME", name)
	ts.Setenv("LAB", program)
	ts.Setenv("PIN", "spki:"+lab.Values["LAB_CA_SPKI"])
	ts.Check(os.WriteFile(filepath.Join(s.dir, "config.yml"), []byte(lab.Config(ts, s.dir, name)), 0o600))
	s.audit.secret(templateKey, lab.Values["LAB_TEMPLATE_KEY"])
	own, err := exec.Command(program, "ticket", name).Output()
	ts.Check(err)
	s.audit.secret(ticket, strings.TrimSpace(string(own)))
	for key, value := range lab.Values {
		ts.Setenv(key, value)
		if strings.HasSuffix(key, "_PASSWORD") {
			s.audit.secret(password, value)
		}
	}
}

// agent [ADDRESS:PORT] has the node manage an Icinga agent of its own, below
// $WORK/agent: as the package leaves one, and not running.
func cmdAgent(ts *testscript.TestScript, program string, args []string) {
	s := scriptOf(ts)
	dir := filepath.Join(s.dir, "agent")
	if out, err := exec.Command(program, append([]string{"agent", "prepare", dir}, args...)...).CombinedOutput(); err != nil {
		ts.Fatalf("lab agent prepare: %v\n%s", err, out)
	}
	ts.Defer(func() { _ = exec.Command(program, "agent", "stop", dir).Run() })
	listen, err := os.ReadFile(filepath.Join(dir, "listen"))
	ts.Check(err)
	config, err := os.ReadFile(filepath.Join(s.dir, "config.yml"))
	ts.Check(err)
	text := strings.Replace(string(config), "  certs: "+filepath.Join(s.dir, "certs")+"\n", "", 1) + fmt.Sprintf(`agent:
  manage: always
  config_dir: %[1]s/etc
  data_dir: %[1]s/data
  listen: "%[2]s"
  validate: ["%[1]s/icinga2", "daemon", "-C"]
  reload: ["%[1]s/reload"]
`, dir, strings.TrimSpace(string(listen)))
	ts.Check(os.WriteFile(filepath.Join(s.dir, "config.yml"), []byte(text), 0o600))
}

// Where the servers' own words have keys in them: a host's JSON, the access log.
var serversKeys = regexp.MustCompile(`("api_key": "|[?&]key=)[0-9a-f]{40}`)

// lab ARG... runs the lab's program. What the servers print of keys isn't
// what this program printed.
func cmdLab(ts *testscript.TestScript, neg bool, program string, args []string) {
	if args[0] == "stop" { // whatever becomes of the script, the lab is whole again
		ts.Defer(func() { _ = exec.Command(program, "start", args[1]).Run() })
	}
	if args[0] == "host-create" { // one that no master takes would spoil every later deployment
		ts.Defer(func() { _ = exec.Command(program, "host-delete", args[1]).Run() })
	}
	out, err := exec.Command(program, args...).CombinedOutput()
	_, _ = ts.Stdout().Write(serversKeys.ReplaceAll(out, []byte("${1}(a key)")))
	if (err != nil) != neg {
		ts.Fatalf("lab %v: %v\n%s", args, err, out)
	}
}

// basket PLUGIN HOST restores the basket that is shipped, with the program where this
// test has it. Whatever becomes of the script, the Director forgets HOST, whose
// services use it, and then what the basket has brought.
func cmdBasket(ts *testscript.TestScript, program string, args []string) {
	shipped, err := os.ReadFile("../../packaging/director/icinga-enroll.json")
	ts.Check(err)
	const installed = `"/usr/bin/icinga-enroll check"`
	if !strings.Contains(string(shipped), installed) {
		ts.Fatalf("the basket's command is not %s", installed)
	}
	ts.Defer(func() {
		_ = exec.Command(program, "host-delete", args[1]).Run()
		_ = exec.Command(program, "icingacli", "director", "service", "delete", "icinga-enroll").Run()
		_ = exec.Command(program, "icingacli", "director", "command", "delete", "icinga-enroll").Run()
		_ = exec.Command(program, "sql", "-e", "DELETE FROM director_datafield WHERE varname LIKE 'icinga\\_enroll\\_%'").Run()
	})
	restore := exec.Command(program, "icingacli", "director", "basket", "restore")
	restore.Stdin = strings.NewReader(strings.Replace(string(shipped), installed, fmt.Sprintf("%q", args[0]+" check"), 1))
	out, err := restore.CombinedOutput()
	if err != nil {
		ts.Fatalf("director basket restore: %v\n%s", err, out)
	}
}

// onlist NAME COUNT asserts how many requests for NAME wait on the real CA's
// list, and sets $FINGERPRINT to the last one's.
func cmdOnList(ts *testscript.TestScript, program string, args []string) {
	out, err := exec.Command(program, "ca-list").Output()
	ts.Check(err)
	var requests map[string]struct {
		Subject  string
		Response string `json:"cert_response"` // it is signed, and not yet fetched or forgotten
	}
	ts.Check(json.Unmarshal(out, &requests))
	count := 0
	for fingerprint, request := range requests {
		if request.Subject == "CN = "+args[0] && request.Response == "" {
			count++
			ts.Setenv("FINGERPRINT", fingerprint)
		}
	}
	if fmt.Sprint(count) != args[1] {
		ts.Fatalf("%d requests for %s on the CA's list, want %s", count, args[0], args[1])
	}
}

// plugin FILE builds the program as users have it: the icinga-enroll of the
// scripts is the test's own program, which only runs under the test.
func cmdPlugin(ts *testscript.TestScript, _ bool, args []string) {
	out, err := exec.Command("go", "build", "-o", ts.MkAbs(args[0]), ".").CombinedOutput()
	if err != nil {
		ts.Fatalf("go build: %v\n%s", err, out)
	}
}
