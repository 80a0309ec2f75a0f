package main

import (
	"crypto/tls"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"icinga-enroll/enroll/sandbox"
	"icinga-enroll/pki/pkitest"
	"icinga-enroll/selfservice/selfservicetest"
)

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
