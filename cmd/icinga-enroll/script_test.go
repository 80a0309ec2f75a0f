package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"icinga-enroll/enroll/sandbox"
	"icinga-enroll/platform/machine"
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
					env.Setenv("GORACE", "atexit_sleep_ms=0") // under the race detector each program would wait a second at its end
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
