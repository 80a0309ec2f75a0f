package campaign

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Patience is how long a run of the program may take before it counts as hung.
const Patience = 150 * time.Second

// Node is a machine: a folder with config.yml, where the configuration has the
// state in state and the certificates in certs.
type Node struct {
	Program string
	Dir     string
	Name    string
	Env     []string // besides PATH and HOME
}

// NewNode makes the folder.
func NewNode(t testing.TB, program, name string) *Node {
	return &Node{Program: program, Dir: t.TempDir(), Name: name}
}

// Configure writes config.yml.
func (n *Node) Configure(t testing.TB, config string) {
	t.Helper()
	if err := os.WriteFile(n.Path("config.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Path is a file of the node's folder.
func (n *Node) Path(elem ...string) string {
	return filepath.Join(append([]string{n.Dir}, elem...)...)
}

// Result is what a run of the program has come to.
type Result struct {
	Code           int            // its exit code; -1: a signal has ended it
	Signal         syscall.Signal // that one
	Stdout, Stderr string
	MaxRSS         int64 // the most memory it had, in KiB (Linux)
	Took           time.Duration
}

func (r Result) String() string {
	return fmt.Sprintf("exit %d after %v\n%s%s", r.Code, r.Took.Round(time.Millisecond), r.Stdout, r.Stderr)
}

// Command is "icinga-enroll --config config.yml ARGS…", not yet started.
func (n *Node) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, n.Program, append([]string{"--config", n.Path("config.yml")}, args...)...)
	cmd.Dir = n.Dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + n.Dir}, n.Env...)
	return cmd
}

// Run runs it to its end. A run that takes longer than [Patience] is a failure.
func (n *Node) Run(t testing.TB, args ...string) Result {
	t.Helper()
	return n.RunWhile(t, func(context.Context, *os.Process) {}, args...)
}

// RunWhile is Run with something that goes on meanwhile, and may end the process.
// Its context ends when the process has.
func (n *Node) RunWhile(t testing.TB, meanwhile func(context.Context, *os.Process), args ...string) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	cmd := n.Command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	err := cmd.Start()
	if err == nil {
		running, ended := context.WithCancel(ctx)
		var going sync.WaitGroup
		going.Go(func() { meanwhile(running, cmd.Process) })
		err = cmd.Wait()
		ended()
		going.Wait()
	}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("icinga-enroll %v: %v\n%s%s", args, errors.Join(err, ctx.Err()), &stdout, &stderr)
	}
	r := Result{Code: cmd.ProcessState.ExitCode(), Stdout: stdout.String(), Stderr: stderr.String(), Took: time.Since(start)}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		r.Signal = status.Signal()
	}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		r.MaxRSS = usage.Maxrss
	}
	return r
}

// Await returns when it is so, or with ctx.
func Await(ctx context.Context, so func() bool) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Pair is the certificate in force: an error says why it is none, such as that
// it is another key's, another name's or of none of the CAs in ca.crt.
func (n *Node) Pair() (*x509.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(n.Path("certs", n.Name+".crt"), n.Path("certs", n.Name+".key"))
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(n.Path("certs", "ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	if cn := pair.Leaf.Subject.CommonName; cn != n.Name {
		return nil, fmt.Errorf("the certificate is %q's, not %q's", cn, n.Name)
	}
	_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return pair.Leaf, err
}

// HostKey is the host API key in the state; "" where there is none.
func (n *Node) HostKey() string {
	var state struct {
		HostKey string `json:"host_api_key"`
	}
	data, err := os.ReadFile(n.Path("state", "state.json"))
	if err != nil || json.Unmarshal(data, &state) != nil {
		return ""
	}
	return state.HostKey
}
