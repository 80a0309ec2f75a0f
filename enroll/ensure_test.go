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
	"time"

	"icinga-enroll/enroll"
	"icinga-enroll/pki"
	"icinga-enroll/pki/pkitest"
	"icinga-enroll/platform"
)

// What can't be had again is on disk before the next server is asked.
func TestOrderOfWhatMustNotBeLost(t *testing.T) {
	n := newNode(t)
	n.director.register = func(context.Context) error {
		if !exists(n.state("request.key")) || !exists(n.state("request.crt")) {
			t.Error("registering before the key is on disk")
		}
		return nil
	}
	n.director.ticket = func() error {
		if !strings.Contains(read(t, n.state("state.json")), hostKey) {
			t.Error("asking for a ticket before the host API key is on disk")
		}
		return nil
	}
	n.authority.request = func(_ string, req pki.Request) (pki.Issued, error) {
		if exists(n.cert(".key")) {
			t.Error("the new key is in place before its certificate is here")
		}
		return n.authority.sign(req.Certificate.PublicKey, nodeName)
	}
	n.mustEnsure(t)
	if key, err := pki.ParseKey([]byte(read(t, n.cert(".key")))); err != nil || key == nil {
		t.Errorf("the key in place is of no use: %v", err)
	}
}

func TestWhatTheCASendsIsVerifiedBeforeItIsUsed(t *testing.T) {
	otherKey, err := pki.GenerateKey(pki.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	otherCA, err := pkitest.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]func(a *authority, req pki.Request) (pki.Issued, error){
		"another name": func(a *authority, req pki.Request) (pki.Issued, error) {
			return a.sign(req.Certificate.PublicKey, "web2.example.com")
		},
		"another key": func(a *authority, _ pki.Request) (pki.Issued, error) {
			return a.sign(otherKey.Public(), nodeName)
		},
		"another CA": func(_ *authority, req pki.Request) (pki.Issued, error) {
			return (&authority{ca: otherCA}).sign(req.Certificate.PublicKey, nodeName)
		},
		"expired": func(a *authority, req pki.Request) (pki.Issued, error) {
			cert, err := a.ca.Sign(req.Certificate.PublicKey, nodeName, time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour))
			return pki.Issued{Certificate: cert, CA: []*x509.Certificate{a.ca.Certificate()}}, err
		},
	}
	for what, answer := range tests {
		t.Run(what, func(t *testing.T) {
			n := newNode(t)
			n.authority.request = func(_ string, req pki.Request) (pki.Issued, error) { return answer(n.authority, req) }
			if _, err := n.Ensure(t.Context()); err == nil || !strings.Contains(err.Error(), "isn't used") || !strings.Contains(err.Error(), "192.0.2.1:5665") {
				t.Errorf("error is %v, want 192.0.2.1:5665 in it", err)
			}
			if exists(n.cert(".crt")) || exists(n.cert(".key")) || exists(n.state("switch.pem")) {
				t.Error("something of it was put in place")
			}
			before := read(t, n.state("request.key"))
			n.authority.request = nil
			n.mustEnsure(t)
			if n.director.registered != 1 {
				t.Errorf("registered %d times, want once", n.director.registered)
			}
			if read(t, n.cert(".key")) != before {
				t.Error("the key was made anew: the same request should be presented again")
			}
		})
	}
}

// A crash between the writing of the journal and of the last file.
func TestSwitchThatWasCutShortIsCompleted(t *testing.T) {
	for _, there := range [][]string{nil, {"ca.crt"}, {"ca.crt", nodeName + ".key"}, {"ca.crt", nodeName + ".key", nodeName + ".crt"}} {
		t.Run(strings.Join(there, " "), func(t *testing.T) {
			n := newNode(t)
			n.mustEnsure(t)
			want := read(t, n.cert(".crt"))
			journal := read(t, n.cert(".key")) + want + read(t, filepath.Join(n.CertsDir, "ca.crt"))
			if err := os.WriteFile(n.state("switch.pem"), []byte(journal), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"ca.crt", nodeName + ".key", nodeName + ".crt"} {
				if strings.Contains(strings.Join(there, " "), name) {
					continue
				}
				if err := os.Remove(filepath.Join(n.CertsDir, name)); err != nil {
					t.Fatal(err)
				}
			}
			n.authority.request = func(string, pki.Request) (pki.Issued, error) { return pki.Issued{}, errors.New("asked") }
			n.mustEnsure(t)
			if read(t, n.cert(".crt")) != want || exists(n.state("switch.pem")) {
				t.Error("the switch was not completed")
			}
		})
	}
}

// The agent renews by itself too: a journal never replaces what is newer.
func TestJournalDoesNotReplaceANewerCertificate(t *testing.T) {
	n := newNode(t)
	n.mustEnsure(t)
	old := read(t, n.cert(".key")) + read(t, n.cert(".crt")) + read(t, filepath.Join(n.CertsDir, "ca.crt"))
	key, err := pki.ParseKey([]byte(read(t, n.cert(".key"))))
	if err != nil {
		t.Fatal(err)
	}
	newer, err := n.authority.ca.Sign(key.Public(), nodeName, time.Now().Add(-time.Second), time.Now().Add(400*24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for file, data := range map[string][]byte{n.cert(".crt"): pki.EncodeCertificates(newer), n.state("switch.pem"): []byte(old)} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n.mustEnsure(t)
	if read(t, n.cert(".crt")) != string(pki.EncodeCertificates(newer)) {
		t.Error("the newer certificate was replaced by the journal's")
	}
	if exists(n.state("switch.pem")) {
		t.Error("the journal is still there")
	}
}

func TestClockThatIsNotBelieved(t *testing.T) {
	n := newNode(t)
	n.BuildDate = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	n.Now = func() time.Time { return time.Unix(0, 0) }
	_, err := n.Ensure(t.Context())
	if err == nil || !enroll.IsTemporary(err) || !strings.Contains(err.Error(), "1970-01-01") {
		t.Errorf("error is %v, want a temporary one that says what the clock says", err)
	}
	if n.director.registered != 0 || exists(n.StateDir) {
		t.Error("something was done all the same")
	}
}

// Whoever asks the program to end may not lose the key that is on its way.
func TestAnswerToARegistrationIsAwaitedAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		ctx, end := context.WithCancel(t.Context())
		n.director.register = func(ctx context.Context) error {
			end()
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(29 * time.Second):
				return nil
			}
		}
		_, _ = n.Ensure(ctx)
		if !strings.Contains(read(t, n.state("state.json")), hostKey) {
			t.Error("the host API key of a late answer was lost")
		}

		n = newNode(t)
		ctx, end = context.WithCancel(t.Context())
		n.director.register = func(ctx context.Context) error { end(); <-ctx.Done(); return ctx.Err() }
		start := time.Now()
		if _, err := n.Ensure(ctx); err == nil {
			t.Error("no error")
		}
		if took := time.Since(start); took > 31*time.Second {
			t.Errorf("ended %s after it was asked to, want 30 s", took)
		}
	})
}

func TestASecondRunWaitsAndSaysWhoHoldsTheLock(t *testing.T) {
	n := newNode(t)
	dir, err := platform.MakeDir(n.StateDir, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dir.Close() })
	release, err := dir.Lock(t.Context(), "lock")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, err := n.Ensure(t.Context())
		var locked *platform.LockedError
		if !errors.As(err, &locked) || locked.PID != os.Getpid() || !enroll.IsTemporary(err) {
			t.Errorf("error is %v, want a temporary one with PID %d", err, os.Getpid())
		}
		if took := time.Since(start); took < 9*time.Second || took > 11*time.Second {
			t.Errorf("waited %s, want about 10 s", took)
		}
	})
	if err := release(); err != nil {
		t.Fatal(err)
	}
	n.mustEnsure(t)
}

// The next endpoint is asked after one that doesn't answer, but not after one
// that has spoken for the CA.
func TestEndpointsAreAskedInOrder(t *testing.T) {
	refused := &pki.RefusedError{Message: "Invalid ticket for CN 'web1.example.com'."}
	tests := map[string]struct {
		first     error
		second    error
		asked     int
		temporary bool
		ok        bool
	}{
		"the first is dead":      {first: errDead{}, asked: 2, ok: true},
		"both are dead":          {first: errDead{}, second: errDead{}, asked: 2, temporary: true},
		"one is dead, one wrong": {first: errDead{}, second: pki.ErrUntrusted, asked: 2},
		"the first refuses":      {first: refused, asked: 1},
		"the first says pending": {first: pki.ErrPending, asked: 1},
	}
	for what, tt := range tests {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // a pending answer after a ticket is asked again for 10 s
				n := newNode(t)
				n.authority.request = func(address string, req pki.Request) (pki.Issued, error) {
					err := map[string]error{"192.0.2.1:5665": tt.first, "192.0.2.2:5665": tt.second}[address]
					if err != nil {
						return pki.Issued{}, err
					}
					return n.authority.sign(req.Certificate.PublicKey, nodeName)
				}
				_, err := n.Ensure(t.Context())
				if (err == nil) != tt.ok || enroll.IsTemporary(err) != tt.temporary {
					t.Errorf("error is %v; want ok %v, temporary %v", err, tt.ok, tt.temporary)
				}
				addresses := map[string]bool{}
				for _, a := range n.authority.asked {
					addresses[a] = true
				}
				if len(addresses) != tt.asked {
					t.Errorf("asked %v, want %d endpoints", n.authority.asked, tt.asked)
				}
			})
		})
	}
}

type errDead struct{}

func (errDead) Error() string   { return "connection refused" }
func (errDead) Temporary() bool { return true }

// A satellite answers "pending" at first; after a ticket it is asked again for
// ten seconds before that counts.
func TestPendingAfterATicketIsAskedAgainForTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		n.authority.request = func(string, pki.Request) (pki.Issued, error) { return pki.Issued{}, pki.ErrPending }
		start := time.Now()
		r, err := n.Ensure(t.Context())
		if !errors.Is(err, pki.ErrPending) || r.State != enroll.Pending || r.Pending == nil {
			t.Errorf("state %q, error %v", r.State, err)
		}
		if took := time.Since(start); took < 9*time.Second || took > 11*time.Second {
			t.Errorf("took %s, want about 10 s", took)
		}
		if len(n.authority.asked) < 5 || len(n.authority.asked) > 8 {
			t.Errorf("asked %d times", len(n.authority.asked))
		}
		n.Tickets = []enroll.TicketSource{enroll.TicketNone}
		n.authority.asked = nil
		if _, err := n.Ensure(t.Context()); !errors.Is(err, pki.ErrPending) || len(n.authority.asked) != 1 {
			t.Errorf("without a ticket asked %d times (%v), want once", len(n.authority.asked), err)
		}
	})
}

func TestNodeWithTheNameOfAParentGetsNoTicket(t *testing.T) {
	n := newNode(t)
	n.Name = "MASTER2"
	if _, err := n.Ensure(t.Context()); err == nil || !strings.Contains(err.Error(), "name of a parent") {
		t.Errorf("error is %v", err)
	}
	if n.director.tickets != 0 {
		t.Error("a ticket was asked for")
	}
}

func TestStateAndStatusHoldWhatTheyShould(t *testing.T) {
	n := newNode(t)
	n.director.ticket = func() error { return errDead{} }
	if _, err := n.Ensure(t.Context()); !enroll.IsTemporary(err) {
		t.Fatal(err)
	}
	s, err := enroll.ReadStatus(n.StateDir)
	if err != nil || s.State != enroll.Failed || s.LastError == nil || s.LastError.Kind != enroll.KindTemporary || !s.Registered {
		t.Errorf("status %+v, error %v", s, err)
	}
	n.director.ticket = nil
	n.mustEnsure(t)
	s, err = enroll.ReadStatus(n.StateDir)
	if err != nil || s.State != enroll.Enrolled || s.LastError != nil || s.Certificate == nil {
		t.Errorf("status %+v, error %v", s, err)
	}
	if status := read(t, n.state("status.json")); strings.Contains(status, hostKey) || strings.Contains(status, "PRIVATE") {
		t.Error("the status file holds a secret")
	}
}
