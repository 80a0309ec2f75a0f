package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"icinga-enroll/enroll"
	"icinga-enroll/pki"
	"icinga-enroll/renew"
	"icinga-enroll/selfservice"
)

func logged(t *testing.T, format string, say func(*news)) string {
	t.Helper()
	c := &loaded{}
	c.Log.Format, c.Log.Level = format, "info"
	var out bytes.Buffer
	say(newNews(c.logger(&out)))
	return out.String()
}

// The journal takes a line's level from its beginning, and has the time already.
func TestJournalGetsLevels(t *testing.T) {
	t.Setenv("JOURNAL_STREAM", "8:1")
	out := logged(t, "text", func(n *news) {
		n.step(enroll.Step{Name: "register", Text: "registered", Changed: true})
		n.step(enroll.Step{Name: "trust", Text: "odd", Warning: true})
		n.failure(errors.New("wrong key"), false)
	})
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines: %s", len(lines), out)
	}
	for i, prefix := range []string{"<6>[INFO]", "<4>[WARN]", "<3>[ERROR]"} {
		if !strings.HasPrefix(lines[i], prefix) {
			t.Errorf("line %d is %q, want it to begin with %s", i, lines[i], prefix)
		}
	}
}

// One line a fact, and none in the quiet state.
func TestNewsIsNewsOnce(t *testing.T) {
	out := logged(t, "json", func(n *news) {
		for range 5 {
			n.step(enroll.Step{Name: "identity", Text: "web1, as enrolled"})
			n.step(enroll.Step{Name: "adopt", Text: "web1 is of no use", Warning: true})
			n.failure(errors.New("the Director is away\nfor long"), false)
		}
		n.failure(nil, false)
		n.failure(nil, false)
	})
	if n := strings.Count(out, "\n"); n != 3 {
		t.Errorf("%d lines, want the warning, the failure and its end:\n%s", n, out)
	}
	if strings.Contains(out, `away\n`) {
		t.Error("a server's line break gets into the log")
	}
}

type localError struct{ error }

func (localError) Local() bool { return true }

func TestJudge(t *testing.T) {
	busy := &selfservice.Error{Call: "ticket", Status: 503, RetryAfter: 90 * time.Second}
	tests := map[string]struct {
		err     error
		verdict renew.Verdict
		asked   time.Duration
	}{
		"asked to stay away": {fmt.Errorf("certificate: %w", busy), renew.Despair, 90 * time.Second},
		"pending":            {fmt.Errorf("certificate: %w", pki.ErrPending), renew.Wait, 0},
		"no name yet":        {localError{errors.New("no name")}, renew.Local, 0},
		"refused":            {&pki.RefusedError{Message: "declined"}, renew.Despair, 0},
	}
	for what, tt := range tests {
		t.Run(what, func(t *testing.T) {
			verdict, asked := judge(tt.err)
			if verdict != tt.verdict || asked != tt.asked {
				t.Errorf("judged %v, %s; want %v, %s", verdict, asked, tt.verdict, tt.asked)
			}
		})
	}
}
