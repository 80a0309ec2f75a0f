//go:build linux

package attacks

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// spoilt is what others can change, and what is said of it.
var spoilt = []struct {
	name  string
	spoil func(t *testing.T, m *machine) (path string)
	says  string
}{
	{"a configuration of the agent's", func(t *testing.T, m *machine) string {
		return chown(t, m.Path("config.yml"))
	}, "belongs to uid"},
	{"a configuration that a group may write", func(t *testing.T, m *machine) string {
		return chmod(t, m.Path("config.yml"), 0o660)
	}, "chmod go-w"},
	{"a configuration that everybody may write", func(t *testing.T, m *machine) string {
		return chmod(t, m.Path("config.yml"), 0o602)
	}, "chmod go-w"},
	{"a configuration in a folder that everybody may write to", func(t *testing.T, m *machine) string {
		return chmod(t, m.Dir, 0o777)
	}, "chmod go-w"},
	{"a configuration in the agent's folder", func(t *testing.T, m *machine) string {
		return m.move(t, "config.yml", m.agentPath("etc"))
	}, "belongs to uid"},
	{"a configuration by way of the agent's link", func(t *testing.T, m *machine) string {
		return m.linkTo(t, "config.yml")
	}, "belongs to uid"},
	{"a template key of the agent's", func(t *testing.T, m *machine) string {
		return chown(t, m.Path("template-key"))
	}, "belongs to uid"},
	{"a template key that everybody may read", func(t *testing.T, m *machine) string {
		return chmod(t, m.Path("template-key"), 0o644)
	}, "chmod o="},
	{"a template key that a group may write", func(t *testing.T, m *machine) string {
		return chmod(t, m.Path("template-key"), 0o660)
	}, "chmod go-w"},
	{"the Director's CA in a file of the agent's", func(t *testing.T, m *machine) string {
		return chown(t, m.Path("director-ca.pem"))
	}, "belongs to uid"},
	{"the Icinga CA in a file that everybody may write", func(t *testing.T, m *machine) string {
		must(t, os.WriteFile(m.Path("ca.pem"), []byte("x"), 0o600))
		m.Env = append(m.Env, "ICINGA_ENROLL_CA_FILE="+m.Path("ca.pem"))
		return chmod(t, m.Path("ca.pem"), 0o666)
	}, "chmod go-w"},
	{"a hook of the agent's", func(t *testing.T, m *machine) string {
		return chown(t, m.hook(t, "hook", m.Dir))
	}, "belongs to uid"},
	{"a hook that everybody may write", func(t *testing.T, m *machine) string {
		return chmod(t, m.hook(t, "hook", m.Dir), 0o757)
	}, "chmod go-w"},
	{"a hook in a folder that everybody may write to", func(t *testing.T, m *machine) string {
		must(t, os.Mkdir(m.Path("bin"), 0o755))
		m.hook(t, "hook", m.Path("bin"))
		return chmod(t, m.Path("bin"), 0o777)
	}, "chmod go-w"},
	{"a hook that PATH finds in the agent's folder", func(t *testing.T, m *machine) string {
		m.hook(t, "hook", m.agent)
		m.Env = append(m.Env, "PATH="+m.agent+":"+os.Getenv("PATH"), `ICINGA_ENROLL_HOOKS_POST_RENEW=[["hook"]]`)
		return m.agent
	}, "belongs to uid"},
	{"a hook by way of the agent's link", func(t *testing.T, m *machine) string {
		hook := m.hook(t, "hook", m.Dir)
		must(t, os.Symlink(hook, m.agentPath("hook")))
		m.Env = append(m.Env, `ICINGA_ENROLL_HOOKS_POST_RENEW=[["`+m.agentPath("hook")+`"]]`)
		return m.agent
	}, "belongs to uid"},
	{"a reload that everybody may write", func(t *testing.T, m *machine) string {
		hook := m.hook(t, "reload", m.Dir)
		m.Env = append(m.Env, "ICINGA_ENROLL_AGENT_RELOAD="+hook, "ICINGA_ENROLL_HOOKS_POST_RENEW=[]")
		return chmod(t, hook, 0o757)
	}, "chmod go-w"},
}

// Who can change what root reads or runs decides what root does: it is refused
// before anything is done, by an error that names the file and what mends it.
func TestRightsOfOthers(t *testing.T) {
	s := servers(t, nil)
	a := attack("others can change what root reads or runs")
	for _, c := range spoilt {
		a.try(t, c.name, func(t *testing.T) {
			m := newMachine(t, s)
			path := c.spoil(t, m)
			r := m.Run(t, "once")
			if r.Code != 2 || !strings.Contains(r.Stderr, c.says) || !strings.Contains(r.Stderr, path) {
				t.Errorf("not refused with %q and %s: %s", c.says, path, r)
			}
			if _, err := os.Stat(m.Path("ran")); err == nil {
				t.Error("root has run it")
			}
			if _, known := s.Director.Host(m.Name); known {
				t.Error("it was registered all the same")
			}
		})
	}
}

// What lies in the state folder before there is a state may be a key that its owner knows,
// or a pair of another name.
func TestStateIsPlantedBefore(t *testing.T) {
	s := servers(t, nil)
	a := attack("others can fill the state folder before the first enrolment")
	for name, mode := range map[string]os.FileMode{"its group": 0o775, "everybody": 0o777, "everybody, who may remove only what is his": 0o777 | os.ModeSticky} {
		for _, file := range []string{"request.key", "switch.pem"} {
			a.try(t, file+" by "+name, func(t *testing.T) {
				m := newMachine(t, s)
				must(t, os.MkdirAll(m.Path("state"), 0o755))
				path := chmod(t, m.Path("state"), mode)
				must(t, os.WriteFile(m.Path("state", file), []byte("planted"), 0o600))
				chown(t, m.Path("state", file))
				if r := m.refused(t, "once"); !strings.Contains(r.Stderr, path+" can be changed by others than root") {
					t.Errorf("not refused for that: %s", r)
				}
				if _, known := s.Director.Host(m.Name); known {
					t.Error("it was registered all the same")
				}
			})
		}
	}
}

// What becomes another's while the service runs isn't run, either.
func TestHookIsReplacedLater(t *testing.T) {
	s := servers(t, nil)
	a := attack("a hook, or the state, changes hands later")
	a.try(t, "a hook between two runs of one process", func(t *testing.T) {
		m := newMachine(t, s)
		first := filepath.Join(m.Dir, "first")
		second := m.hook(t, "second", m.Dir)
		must(t, os.WriteFile(first, []byte(fmt.Sprintf("#!/bin/sh\nchown %d %s\n", agentID, second)), 0o755))
		m.Env = append(m.Env, fmt.Sprintf(`ICINGA_ENROLL_HOOKS_POST_RENEW=[[%q],[%q]]`, first, second))
		r := m.Run(t, "once")
		if r.Code != 0 || !strings.Contains(r.Stdout, "belongs to uid") {
			t.Errorf("enrolled, and one hook refused, should be what comes of it: %s", r)
		}
		if _, err := os.Stat(m.Path("ran")); err == nil {
			t.Error("root has run it")
		}
	})
	for name, spoil := range map[string]func(t *testing.T, m *machine) string{
		"a state file of the agent's":                     func(t *testing.T, m *machine) string { return chown(t, m.Path("state", "state.json")) },
		"a state file that everybody may write":           func(t *testing.T, m *machine) string { return chmod(t, m.Path("state", "state.json"), 0o666) },
		"a state folder of the agent's":                   func(t *testing.T, m *machine) string { return chown(t, m.Path("state")) },
		"a state folder that everybody may write to":      func(t *testing.T, m *machine) string { return chmod(t, m.Path("state"), 0o777) },
		"a state folder in a folder of the agent's":       func(t *testing.T, m *machine) string { return chown(t, m.Dir) },
		"a state file that is a link to the agent's file": func(t *testing.T, m *machine) string { return m.stateElsewhere(t) },
	} {
		a.try(t, name, func(t *testing.T) {
			m := newMachine(t, s)
			m.enrol(t)
			path := spoil(t, m)
			before, err := os.ReadFile(m.certs("CN.crt"))
			must(t, err)
			r := m.Run(t, "renew", "--rekey")
			after, err := os.ReadFile(m.certs("CN.crt"))
			must(t, err)
			if r.Code != 1 && r.Code != 2 || !strings.Contains(r.Stderr, path) || string(before) != string(after) {
				t.Errorf("not refused: %s", r)
			}
		})
	}
}

func chown(t *testing.T, path string) string {
	t.Helper()
	must(t, os.Chown(path, agentID, agentID))
	return path
}

func chmod(t *testing.T, path string, mode os.FileMode) string {
	t.Helper()
	must(t, os.Chmod(path, mode))
	return path
}

// move has the configuration elsewhere, and returns that folder.
func (m *machine) move(t *testing.T, name, folder string) string {
	t.Helper()
	must(t, os.Rename(m.Path(name), filepath.Join(folder, name)))
	m.config = filepath.Join(folder, name)
	return folder
}

// linkTo has the configuration behind a link of the agent's.
func (m *machine) linkTo(t *testing.T, name string) string {
	t.Helper()
	must(t, os.Symlink(m.Path(name), m.agentPath(name)))
	m.config = m.agentPath(name)
	return m.agent
}

func (m *machine) stateElsewhere(t *testing.T) string {
	t.Helper()
	path := m.Path("state", "state.json")
	must(t, os.Rename(path, m.agentPath("state.json")), os.Symlink(m.agentPath("state.json"), path))
	return path
}

// hook makes a program that tells that it was run, and has it run.
func (m *machine) hook(t *testing.T, name, folder string) string {
	t.Helper()
	path := filepath.Join(folder, name)
	must(t, os.WriteFile(path, []byte("#!/bin/sh\ntouch "+m.Path("ran")+"\n"), 0o755))
	m.Env = append(m.Env, fmt.Sprintf(`ICINGA_ENROLL_HOOKS_POST_RENEW=[[%q]]`, path))
	return path
}

// The environment of a service is whose who has started it. It neither changes
// what this program does, nor comes to the programs that this one runs; no
// secret does.
func TestEnvironment(t *testing.T) {
	s := servers(t, nil)
	a := attack("LD_PRELOAD, PATH, SSLKEYLOGFILE, GODEBUG and secrets in the environment")
	for _, child := range []string{"hooks.post_renew", "agent.validate", "agent.reload", "hooks.on_failure"} {
		a.try(t, "of "+child, func(t *testing.T) {
			m := newMachine(t, s)
			dump := m.Path("dump")
			must(t, os.WriteFile(dump, []byte("#!/bin/sh\n(env; cat /proc/$PPID/maps; tr '\\0' '\\n' </proc/$PPID/cmdline) >>"+m.Path("seen")+"\n"), 0o755))
			key, err := os.ReadFile(m.Path("template-key"))
			must(t, err)
			value := dump
			if strings.HasPrefix(child, "hooks") {
				value = fmt.Sprintf("[[%q]]", dump)
			}
			m.Env = append(m.Env,
				"ICINGA_ENROLL_"+strings.ToUpper(strings.ReplaceAll(child, ".", "_"))+"="+value,
				"ICINGA_ENROLL_DIRECTOR_TEMPLATE_KEY="+strings.TrimSpace(string(key)), "ICINGA_ENROLL_DIRECTOR_TEMPLATE_KEY_FILE=",
				"LD_PRELOAD="+m.Path("evil.so"), "LD_LIBRARY_PATH="+m.agent, "LD_AUDIT="+m.Path("evil.so"),
				"SSLKEYLOGFILE="+m.Path("keylog"), "GODEBUG=http2debug=2,x509sha1=1",
				"CREDENTIALS_DIRECTORY="+m.Dir, "WATCHDOG_USEC=1",
			)
			if child == "hooks.on_failure" {
				m.Env = append(m.Env, "ICINGA_ENROLL_DIRECTOR_URL=https://127.0.0.1:1/")
				m.Run(t, "once")
			} else {
				m.enrol(t)
			}
			seen, err := os.ReadFile(m.Path("seen"))
			must(t, err)
			host, _ := s.Director.Host(m.Name)
			for _, bad := range []string{"LD_", "SSLKEYLOGFILE", "GODEBUG", "evil.so", "ICINGA_ENROLL_", "CREDENTIALS_DIRECTORY", "WATCHDOG",
				strings.TrimSpace(string(key)), host.Key, s.CA.Ticket(m.Name)} {
				if bad != "" && strings.Contains(string(seen), bad) {
					t.Errorf("%s knows %q", child, bad)
				}
			}
			if _, err := os.Stat(m.Path("keylog")); err == nil {
				t.Error("the keys of connections were written down")
			}
		})
	}
	a.try(t, "of systemctl", func(t *testing.T) {
		m := newMachine(t, s)
		bin := m.Path("bin")
		must(t, os.Mkdir(bin, 0o755), os.WriteFile(filepath.Join(bin, "systemctl"), []byte("#!/bin/sh\nenv >>"+m.Path("seen")+"\nexit 4\n"), 0o755))
		m.Env = append(m.Env, "PATH="+bin+":"+os.Getenv("PATH"), "ICINGA_ENROLL_DIRECTOR_TEMPLATE_KEY="+precious, "LD_PRELOAD=/evil.so")
		m.Run(t, "service", "status")
		if seen, err := os.ReadFile(m.Path("seen")); err == nil && (strings.Contains(string(seen), "precious") || strings.Contains(string(seen), "LD_PRELOAD")) {
			t.Error("systemctl knows the template key")
		}
	})
}
