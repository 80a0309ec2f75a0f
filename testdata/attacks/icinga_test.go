//go:build linux

package attacks

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"icinga-enroll/enroll/sandbox"
	"icinga-enroll/selfservice/selfservicetest"
)

// Where an Icinga 2 is installed, it reads what was written of a Director's
// names: each is one string to it, and nothing in it an order.
func TestIcingaReadsTheNames(t *testing.T) {
	icinga, err := exec.LookPath("icinga2")
	if err != nil {
		t.Log("no Icinga 2 is installed here: the files were looked at only")
		return
	}
	a := attack("a Director names evil: what the installed Icinga 2 reads")
	for what, name := range names {
		a.try(t, "Icinga reads "+strings.ReplaceAll(what, ",", ""), func(t *testing.T) {
			s := servers(t, nil)
			host, port, _ := strings.Cut(s.Master.Addr(), ":")
			s.Director.SetTemplate(selfservicetest.Template{Name: "Linux agent", Key: s.TemplateKey, Zone: name + " zone", AcceptConfig: true, Parents: []selfservicetest.Parent{
				{Name: sandbox.MasterName, Host: host, Port: port}, {Name: name + " parent", Host: host, Port: port},
			}})
			m := newMachine(t, s)
			m.Env = append(m.Env, "ICINGA_ENROLL_AGENT_VALIDATE="+m.icinga(t, icinga))
			r := m.Run(t, "once")
			zones, err := os.ReadFile(m.agentPath("etc", "zones.conf"))
			must(t, err)
			written := strings.Contains(string(zones), "Written by icinga-enroll")
			refused := strings.Contains(r.Stderr, "powershell-parameters at") || strings.Contains(r.Stderr, "Object names may not contain '!'")
			if written == refused || written != (r.Code == 0) {
				t.Errorf("neither taken nor refused: %s", r)
			}
			objects, err := filepath.Glob(m.agentPath("cache", "*.debug"))
			must(t, err)
			if written != (len(objects) > 0) {
				t.Errorf("Icinga tells of no objects: %s", r)
			}
			for _, file := range objects {
				text, err := os.ReadFile(file)
				must(t, err)
				if strings.Contains(string(text), `"name":"evil"`) {
					t.Error("Icinga has an object of the Director's making")
				}
			}
			if evil, _ := filepath.Glob(filepath.Join(m.Dir, "*", "evil")); len(evil) > 0 {
				t.Errorf("it was an order: %q", evil)
			}
		})
	}
}

// icinga is the installed one's validation, in the machine's folders and as its
// own account. It knows no commands of checks: reading them takes longer than all else.
func (m *machine) icinga(t *testing.T, program string) string {
	t.Helper()
	account, err := user.Lookup("nagios")
	if err != nil {
		account, err = user.Lookup("icinga")
	}
	must(t, err)
	uid, errUID := strconv.Atoi(account.Uid)
	gid, errGID := strconv.Atoi(account.Gid)
	must(t, errUID, errGID)
	must(t, os.WriteFile(m.agentPath("etc", "icinga2.conf"), []byte("include \"constants.conf\"\ninclude \"zones.conf\"\ninclude \"features-enabled/*.conf\"\n"), 0o640))
	argv := []string{program, "daemon", "-C"}
	if help, _ := exec.Command(program, "daemon", "--help").Output(); strings.Contains(string(help), "--dump-objects") {
		argv = append(argv, "--dump-objects") // older ones do it unasked
	}
	for name, folder := range map[string]string{"DataDir": "data", "LogDir": "log", "CacheDir": "cache", "SpoolDir": "spool", "InitRunDir": "run"} {
		must(t, os.MkdirAll(m.agentPath(folder), 0o750))
		argv = append(argv, "-D", "Configuration."+name+"="+m.agentPath(folder))
	}
	must(t, filepath.WalkDir(m.agent, func(path string, _ os.DirEntry, err error) error {
		must(t, err)
		return os.Lchown(path, uid, gid)
	}))
	return strings.Join(argv, ",")
}
