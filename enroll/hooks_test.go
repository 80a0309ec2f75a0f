package enroll_test

import (
	"context"
	"crypto/x509"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"icinga-enroll/enroll"
	"icinga-enroll/pki"
)

// A hook may take its time: who looks at the status meanwhile sees the new
// certificate.
func TestStatusIsThereBeforeTheHooksRun(t *testing.T) {
	n := newNode(t)
	hooks := 0
	n.Hooks = enroll.Hooks{
		PostRenew: [][]string{{"reload"}},
		Run: func(context.Context, []string, []string) (string, error) {
			hooks++
			s, err := enroll.ReadStatus(n.StateDir)
			if err != nil || s.State != enroll.Enrolled || s.Certificate == nil {
				t.Errorf("during the hook the status is %+v, error %v", s, err)
			}
			return "", errors.New("exit status 1")
		},
	}
	n.mustEnsure(t)
	first, err := enroll.ReadStatus(n.StateDir)
	if err != nil || first.LastError == nil {
		t.Fatalf("status %+v, error %v", first, err)
	}
	n.mustEnsure(t)
	again, err := enroll.ReadStatus(n.StateDir)
	if err != nil || again.LastError == nil || again.LastError.Attempts != 2 || !again.LastError.Since.Equal(first.LastError.Since) {
		t.Errorf("after the second failure the status is %+v, error %v", again, err)
	}
	if hooks != 2 {
		t.Errorf("%d hooks ran, want 2", hooks)
	}
}

func dead(string, pki.Request) (pki.Issued, error) { return pki.Issued{}, errDead{} }

// Nobody knows what a hook prints: every account can read the status.
func TestOutputOfAHookStaysInTheLog(t *testing.T) {
	n := newNode(t)
	var told []string
	n.Hooks = enroll.Hooks{
		PostRenew: [][]string{{"reload", "argument"}},
		OnFailure: [][]string{{"mail"}},
		Run: func(_ context.Context, argv, env []string) (string, error) {
			if argv[0] == "mail" {
				told = append(told, strings.Join(env, " "))
			}
			return "begin" + strings.Repeat("x", 4000) + "password=hush", errors.New("exit status 7")
		},
	}
	var log strings.Builder
	n.Observe = func(s enroll.Step) { log.WriteString(s.Text + "\n") }
	r := n.mustEnsure(t)
	status := read(t, n.state("status.json"))
	for what, text := range map[string]string{"status": status, "error": r.Setback.Error(), "environment": strings.Join(told, "")} {
		if strings.Contains(text, "hush") || strings.Contains(text, "argument") || !strings.Contains(text, "exit status 7") || !strings.Contains(text, "reload") {
			t.Errorf("%s: %s", what, text)
		}
	}
	if !strings.Contains(log.String(), "password=hush") || strings.Contains(log.String(), "begin") {
		t.Errorf("log: %s", log.String())
	}
}

// on_failure is told when trouble begins, once, though the status can't be written.
func TestBeginningOfTroubleIsToldOnce(t *testing.T) {
	n := newNode(t)
	n.mustEnsure(t)
	told := 0
	n.Hooks = enroll.Hooks{
		OnFailure: [][]string{{"mail"}},
		Run:       func(context.Context, []string, []string) (string, error) { told++; return "", nil },
	}
	obstruct(t, n.state("status.json"))
	n.Wish = enroll.Renewal
	n.authority.request = dead
	for range 3 {
		if r := n.mustEnsure(t); r.Setback == nil {
			t.Error("no setback")
		}
	}
	if told != 1 {
		t.Errorf("told %d times, want once", told)
	}
	if err := os.RemoveAll(n.state("status.json")); err != nil {
		t.Fatal(err)
	}
	n.authority.request = func(_ string, req pki.Request) (pki.Issued, error) {
		cert, err := n.authority.ca.Sign(req.Certificate.PublicKey, nodeName, time.Now().Add(-time.Minute), time.Now().Add(398*24*time.Hour))
		return pki.Issued{Certificate: cert, CA: []*x509.Certificate{n.authority.ca.Certificate()}}, err
	}
	n.mustEnsure(t)
	n.authority.request = dead
	n.mustEnsure(t)
	if told != 2 {
		t.Errorf("told %d times after a second beginning, want twice", told)
	}
}

// Others' words are in an error, of any length: monitoring and hooks must hear of it all
// the same.
func TestAnEndlessErrorIsToldShort(t *testing.T) {
	n := newNode(t)
	var reason string
	n.Hooks = enroll.Hooks{OnFailure: [][]string{{"mail"}}, Run: func(_ context.Context, _, env []string) (string, error) {
		reason = env[slices.IndexFunc(env, func(e string) bool { return strings.HasPrefix(e, "ICINGA_HOOK_REASON=") })]
		return "", nil
	}}
	n.authority.request = func(string, pki.Request) (pki.Issued, error) {
		return pki.Issued{}, errors.New("refused: " + strings.Repeat("ü\\", 500_000))
	}
	if _, err := n.Ensure(t.Context()); err == nil {
		t.Fatal("no error")
	}
	s, err := enroll.ReadStatus(n.StateDir)
	if err != nil || s.LastError == nil || !strings.Contains(s.LastError.Message, "refused: ü") || len(s.LastError.Message) > 5000 || !utf8.ValidString(s.LastError.Message) {
		t.Errorf("the status is %.200v, %v", s.LastError, err)
	}
	if !strings.Contains(reason, "refused: ü") || len(reason) > 5000 {
		t.Errorf("the hook's reason has %d bytes", len(reason))
	}
}
