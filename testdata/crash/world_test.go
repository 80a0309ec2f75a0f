package crash_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"icinga-enroll/enroll/sandbox"
	"icinga-enroll/selfservice/selfservicetest"
	"icinga-enroll/testdata/campaign"
)

const (
	user     = "enroller" // of Icinga Web
	password = "the-password-of-the-enroller"

	nobody = 65534 // stands for the agent's account, whose certificates are its own
)

// world is the servers, and one machine that enrols with them and crashes.
type world struct {
	*sandbox.Sandbox
	*campaign.Node
	agent      *stub
	tree       string       // the agent's files as a run without a crash leaves them
	registered atomic.Int64 // when the Director has made the host, in Unix nanoseconds

	atRegistration func() // is called then

	snapshot string               // a copy of the machine as it is before what is killed
	host     selfservicetest.Host // the Director's at that time; without a name: none
}

func newWorld(t *testing.T, program string) *world {
	t.Helper()
	w := &world{Node: campaign.NewNode(t, program, "web1.example.com"), snapshot: filepath.Join(t.TempDir(), "before"), atRegistration: func() {}}
	var err error
	w.Sandbox, err = sandbox.Start(func(s *sandbox.Sandbox) {
		s.Director.Registered = func(string) {
			w.registered.Store(time.Now().UnixNano())
			w.atRegistration()
		}
		s.Director.SetUser(selfservicetest.User{Name: user, Password: password})
	})
	must(t, err)
	t.Cleanup(w.Sandbox.Close)
	_, err = w.WriteConfig(w.Dir, w.Name)
	must(t, err)
	must(t, os.Mkdir(w.Path("certs"), 0o750))
	if os.Geteuid() == 0 {
		must(t, os.Chown(w.Path("certs"), nobody, nobody))
	}
	return w
}

// addUser has the node know an Icinga Web user.
func (w *world) addUser(t *testing.T) {
	t.Helper()
	w.edit(t, "director:\n", fmt.Sprintf("director:\n  user: %s\n  password_file: %s\n", user, w.Path("password")))
	must(t, os.WriteFile(w.Path("password"), []byte(password), 0o600))
}

func (w *world) edit(t *testing.T, old, text string) {
	t.Helper()
	config, err := os.ReadFile(w.Path("config.yml"))
	must(t, err)
	w.Configure(t, strings.Replace(string(config), old, text, 1))
}

// save keeps how things are here and in the Director.
func (w *world) save(t *testing.T) {
	t.Helper()
	w.host, _ = w.Director.Host(w.Name)
	copyTree(t, w.Dir, w.snapshot)
}

// restore brings that back.
func (w *world) restore(t *testing.T) {
	t.Helper()
	copyTree(t, w.snapshot, w.Dir)
	if w.host.Name == "" {
		w.Director.DeleteHost(w.Name)
	} else {
		w.Director.SetHost(w.host)
	}
	w.Env = []string{"PATH=" + w.Dir + ":" + os.Getenv("PATH")} // there is the stub of icinga2
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	must(t, os.RemoveAll(to))
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
}

// mustRun is a run that ends well.
func (w *world) mustRun(t *testing.T, args ...string) campaign.Result {
	t.Helper()
	r := w.play(t, 0, args...)
	if r.Code != 0 {
		t.Fatalf("icinga-enroll %s: %s", strings.Join(args, " "), r)
	}
	return r
}

// play runs the program; kill is when it is killed, 0: never. A daemon is asked
// to end when it has nothing more to do, or has met an error.
func (w *world) play(t *testing.T, kill time.Duration, args ...string) campaign.Result {
	t.Helper()
	daemon := args[0] == "run"
	if daemon {
		_ = os.Remove(w.Path("metrics.prom"))
	}
	return w.RunWhile(t, func(ctx context.Context, p *os.Process) {
		if kill > 0 {
			defer time.AfterFunc(kill, func() { _ = p.Kill() }).Stop()
		}
		if daemon {
			w.awaitRound(ctx)
			_ = p.Signal(os.Interrupt)
		}
		<-ctx.Done()
	}, args...)
}

// playUntilEnrolled runs the daemon until there is a certificate.
func (w *world) playUntilEnrolled(t *testing.T) {
	t.Helper()
	w.RunWhile(t, func(ctx context.Context, p *os.Process) {
		campaign.Await(ctx, func() bool { _, err := w.Pair(); return err == nil })
		_ = p.Signal(os.Interrupt)
	}, "run")
}

// awaitRound waits for what a daemon writes last in each of its rounds.
func (w *world) awaitRound(ctx context.Context) {
	campaign.Await(ctx, func() bool { _, err := os.Stat(w.Path("metrics.prom")); return err == nil })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) knowsUser() bool {
	_, err := os.Stat(w.Path("password"))
	return err == nil
}
