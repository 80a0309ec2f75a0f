package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"icinga-enroll/enroll/sandbox"
	"icinga-enroll/pki/pkitest"
	"icinga-enroll/platform/machine"
	"icinga-enroll/selfservice/selfservicetest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"icinga-enroll": main, "hook": hook})
}

// hook is a program that the scripts have told of changes. It appends what it
// was told to a file, writes its environment to another, for the audit, and fails without an argument, or where "fail" exists.
func hook() {
	if _, err := os.Stat("fail"); err == nil || len(os.Args) < 2 {
		fmt.Println("no")
		os.Exit(1)
	}
	line := os.Args[1]
	for _, name := range []string{"CN", "REASON", "CERT", "KEY", "CA", "NOT_AFTER"} {
		line += " " + os.Getenv("ICINGA_HOOK_"+name)
	}
	f, err := os.OpenFile("told", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = fmt.Fprintln(f, line)
	}
	if err == nil {
		err = os.WriteFile("environ", []byte(strings.Join(os.Environ(), "\n")), 0o600)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// TestScript runs the program as a user does, against the sandbox.
func TestScript(t *testing.T) {
	runScripts(t, "../../testdata/script", map[string]func(*testscript.TestScript, bool, []string){
		"run":          cmdRun,
		"sandbox":      cmdSandbox,
		"director":     cmdDirector,
		"ca":           cmdCA,
		"calls":        cmdCalls,
		"noticket":     cmdNoTicket,
		"install":      cmdInstallCert,
		"awaitrequest": cmdAwaitRequest,
		"await":        cmdAwait,
		"signal":       cmdSignal,
		"filemode":     cmdFileMode,
		"ls":           cmdList,
		"edit":         cmdEdit,
		"copied":       cmdCopied,
		"nolisten":     cmdNoListen,
		"signcsr":      cmdSignCSR,
		"signed":       cmdSigned,
		"apiuser":      cmdAPIUser,
		"ticketuser":   cmdTicketUser,
		"host":         cmdHost,
	})
}

// runScripts runs the scripts of dir, and searches all that they have printed
// and all files that they have left for the secrets that they have used.
func runScripts(t *testing.T, dir string, cmds map[string]func(*testscript.TestScript, bool, []string)) {
	scripts, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts in %s (%v)", dir, err)
	}
	for _, file := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			audit := &audit{T: t, secrets: map[string]secretKind{}}
			testscript.RunT(audit, testscript.Params{
				Files:     []string{file},
				Cmds:      cmds,
				Condition: condition,
				Setup: func(env *testscript.Env) error {
					env.Values[keyScript] = &script{audit: audit, dir: env.WorkDir}
					env.Defer(func() { audit.searchFiles(env.WorkDir) })
					return nil
				},
			})
		})
	}
}

type contextKey int

const keyScript contextKey = 0

// script is what the commands of one script share.
type script struct {
	*sandbox.Sandbox
	audit *audit
	dir   string

	mu     sync.Mutex
	faults map[string]http.HandlerFunc // by call
}

func scriptOf(ts *testscript.TestScript) *script { return ts.Value(keyScript).(*script) }

// run CODE VERB... runs "icinga-enroll --config config.yml VERB..." and asserts
// its exit code.
func cmdRun(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec("icinga-enroll", append([]string{"--config", "config.yml"}, args[1:]...)...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// sandbox [option...] NAME starts a Director and a master and writes
// config.yml for a node of that name.
func cmdSandbox(ts *testscript.TestScript, _ bool, args []string) {
	s := scriptOf(ts)
	name := args[len(args)-1]
	options := map[string]func(*pkitest.Server){
		"-satellite": func(m *pkitest.Server) { m.Satellite = true },
		"-otherca": func(m *pkitest.Server) {
			other, err := pkitest.NewCA()
			ts.Check(err)
			m.Certificate = identity(ts, other, sandbox.MasterName, time.Hour)
		},
		"-imposter": func(m *pkitest.Server) { m.Certificate = identity(ts, s.CA, "web2.example.com", time.Hour) },
		"-expired":  func(m *pkitest.Server) { m.Certificate = identity(ts, s.CA, sandbox.MasterName, -time.Hour) },
	}
	var chosen []func(*pkitest.Server)
	for _, option := range args[:len(args)-1] {
		if options[option] == nil {
			ts.Fatalf("sandbox: no option %s; there are %v", option, slices.Sorted(maps.Keys(options)))
		}
		chosen = append(chosen, options[option])
	}
	_, err := sandbox.Start(func(started *sandbox.Sandbox) {
		s.Sandbox = started
		started.Director.Fault = s.fault
	}, chosen...)
	ts.Check(err)
	ts.Defer(s.close)
	_, err = s.WriteConfig(s.dir, name)
	ts.Check(err)
	ts.Setenv("MASTER", s.Master.Addr())
	ts.Setenv("URL", s.Director.URL())
	ts.Setenv("CA_PIN", pkiPin(s))
	ts.Check(os.WriteFile(filepath.Join(s.dir, "ca.crt"), pemOf(s.CA.Certificate()), 0o600))
	s.audit.secret(templateKey, s.TemplateKey)
	s.audit.secret(ticket, s.CA.Ticket(name))
}

func identity(ts *testscript.TestScript, ca *pkitest.CA, name string, left time.Duration) tls.Certificate {
	id, err := ca.Identity(name, time.Now().Add(-2*time.Hour), time.Now().Add(left))
	ts.Check(err)
	return id
}

func (s *script) close() {
	for _, call := range s.Director.Calls() {
		if host, known := s.Director.Host(call.Host); known {
			s.audit.secret(hostKey, host.Key)
		}
	}
	s.Sandbox.Close()
}

func (s *script) fault(w http.ResponseWriter, r *http.Request) bool {
	s.mu.Lock()
	answer := s.faults[filepath.Base(r.URL.Path)]
	s.mu.Unlock()
	if answer != nil {
		answer(w, r)
	}
	return answer != nil
}

// director drop|delete HOST
// director rename HOST NEW
// director user NAME PASSWORD-FILE [PERMISSION...] (of Icinga Web; without any: with all permissions)
// director unchecked HOST (without a check command: no master takes it)
// director register HOST (by somebody else)
// director answer CALL STATUS CONTENT-TYPE FILE (from now on; with FILE "-" the connection is cut)
// director heal
func cmdDirector(ts *testscript.TestScript, _ bool, args []string) {
	s := scriptOf(ts)
	switch args[0] {
	case "drop":
		s.Director.DropKey(args[1])
	case "delete":
		s.Director.DeleteHost(args[1])
	case "rename":
		s.Director.RenameHost(args[1], args[2])
	case "user":
		word := strings.TrimSpace(ts.ReadFile(args[2]))
		s.Director.SetUser(selfservicetest.User{Name: args[1], Password: word, Permissions: append([]string(nil), args[3:]...)})
		s.audit.secret(password, word)
	case "unchecked":
		s.Director.SetHost(selfservicetest.Host{Name: args[1]})
	case "register":
		s.Director.SetHost(selfservicetest.Host{Name: args[1], Template: "Linux agent", Key: strings.Repeat("e", 40)})
	case "answer":
		answer := answering(ts, args[2], args[3], args[4])
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.faults == nil {
			s.faults = map[string]http.HandlerFunc{}
		}
		s.faults[args[1]] = answer
	case "heal":
		s.mu.Lock()
		defer s.mu.Unlock()
		s.faults = nil
	default:
		ts.Fatalf("director: what is %q?", args[0])
	}
}

func answering(ts *testscript.TestScript, status, contentType, file string) http.HandlerFunc {
	code, err := strconv.Atoi(status)
	ts.Check(err)
	if file == "-" {
		return func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	}
	body := ts.ReadFile(file)
	return func(w http.ResponseWriter, _ *http.Request) {
		if code/100 == 3 {
			w.Header().Set("Location", strings.TrimSpace(body))
		}
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	}
}

// ca approve|remove|restore acts on the one request on the list.
func cmdCA(ts *testscript.TestScript, _ bool, args []string) {
	s := scriptOf(ts)
	list := s.CA.List()
	if len(list) != 1 {
		ts.Fatalf("the CA's list has %d requests, want 1: %v", len(list), list)
	}
	switch args[0] {
	case "approve":
		ts.Check(s.CA.Approve(list[0].Fingerprint))
	case "remove":
		ts.Check(s.CA.Remove(list[0].Fingerprint))
	case "restore":
		ts.Check(s.CA.Restore(list[0].Fingerprint))
	}
}

// awaitrequest waits until a request is on the CA's list.
func cmdAwaitRequest(ts *testscript.TestScript, _ bool, _ []string) {
	s := scriptOf(ts)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(30 * time.Second); len(s.CA.List()) == 0; {
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("no request on the CA's list after 30 s")
		}
	}
}

// signal TERM|HUP|ABRT sends it to what runs in the background.
func cmdSignal(ts *testscript.TestScript, _ bool, args []string) {
	signals := map[string]os.Signal{"TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "ABRT": syscall.SIGABRT}
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(signals[args[0]]))
	}
}

// await FILE REGEXP waits until a file that another process writes matches.
func cmdAwait(ts *testscript.TestScript, _ bool, args []string) {
	want, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(3 * time.Minute) // pauses between tries grow
	for {
		data, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && want.Match(data) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("%s doesn't match %s after 3 minutes: %s", args[0], args[1], data)
		}
	}
}

// calls CALL COUNT asserts how often the Director was asked so far; with CALL
// "all", altogether; with "connections", over how many connections.
func cmdCalls(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	got, connections := 0, map[string]bool{}
	for _, call := range scriptOf(ts).Director.Calls() {
		connections[call.Connection] = true
		if call.Name == args[0] || args[0] == "all" {
			got++
		}
	}
	if args[0] == "connections" {
		got = len(connections)
	}
	if got != want {
		ts.Fatalf("%s: %d calls, want %d", args[0], got, want)
	}
}

// noticket NAME closes the master and asserts that the ticket of NAME never
// reached it.
func cmdNoTicket(ts *testscript.TestScript, _ bool, args []string) {
	s := scriptOf(ts)
	s.Master.Close()
	if strings.Contains(string(s.Master.Received()), s.CA.Ticket(args[0])) {
		ts.Fatalf("the ticket of %s was sent", args[0])
	}
}

// install NAME AGE LEFT puts a pair in place that somebody else has brought:
// AGE old, with LEFT to go (Go durations).
func cmdInstallCert(ts *testscript.TestScript, _ bool, args []string) {
	s := scriptOf(ts)
	age, err := time.ParseDuration(args[1])
	ts.Check(err)
	left, err := time.ParseDuration(args[2])
	ts.Check(err)
	key, cert := newPair(ts, s.CA, args[0], age, left)
	certs := filepath.Join(s.dir, "certs")
	ts.Check(os.MkdirAll(certs, 0o750))
	for file, data := range map[string][]byte{args[0] + ".key": key, args[0] + ".crt": cert, "ca.crt": pemOf(s.CA.Certificate())} {
		ts.Check(os.WriteFile(filepath.Join(certs, file), data, 0o600))
	}
}

// filemode FILE MODE asserts the permissions of a file.
func cmdFileMode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[1] {
		ts.Fatalf("%s has mode %s, want %s", args[0], got, args[1])
	}
}

// ls DIR prints the names in a folder: not every system has such a program.
func cmdList(ts *testscript.TestScript, _ bool, args []string) {
	out := ts.Stdout() // or what was printed before stays
	entries, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	for _, entry := range entries {
		_, err := fmt.Fprintln(out, entry.Name())
		ts.Check(err)
	}
}

// edit FILE REGEXP TEXT replaces what matches by TEXT.
func cmdEdit(ts *testscript.TestScript, _ bool, args []string) {
	file := ts.MkAbs(args[0])
	data, err := os.ReadFile(file)
	ts.Check(err)
	edited := regexp.MustCompile(args[1]).ReplaceAll(data, []byte(args[2]))
	if string(edited) == string(data) {
		ts.Fatalf("%s doesn't match %s", args[0], args[1])
	}
	ts.Check(os.WriteFile(file, edited, 0o600))
}

// cmdCopied FILE makes the state in FILE one of another machine, where this one
// has a machine-id.
func cmdCopied(ts *testscript.TestScript, _ bool, args []string) {
	cmdEdit(ts, false, []string{args[0], `"kind": "\w+"`, `"kind": "container" `})
	cmdEdit(ts, false, []string{args[0], `"machine_id": "\w+"`, `"machine_id": "another"`})
}

// condition is what scripts ask of this machine besides testscript's own.
func condition(name string) (bool, error) {
	if name != "machine-id" {
		return false, fmt.Errorf("unknown condition %q", name)
	}
	return machine.Identify().MachineID != "", nil
}
