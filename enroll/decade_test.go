package enroll_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"icinga-enroll/enroll"
	"icinga-enroll/pki"
	"icinga-enroll/renew"
)

const (
	day  = 24 * time.Hour
	year = 365 * day
)

// world is a node with its servers, in a bubble whose clock runs through years.
type world struct {
	*node
	start    time.Time
	away     func(age time.Duration) bool // is the Director?
	rejects  func(age time.Duration) bool // does the CA reject everything?
	hooks    int
	issued   int // certificates
	rekeyed  int
	expired  time.Duration // how long there was no valid certificate
	lastSeen time.Time
}

func newWorld(t *testing.T) *world {
	w := &world{node: newNode(t), start: time.Now()}
	never := func(time.Duration) bool { return false }
	w.away, w.rejects = never, never
	away := func() error {
		if w.away(time.Since(w.start)) {
			return errDead{}
		}
		return nil
	}
	parameters := w.director.Parameters
	w.director.register = func(context.Context) error { return away() }
	w.director.ticket = away
	w.director.parameters = nil
	_ = parameters
	w.authority.request = func(_ string, req pki.Request) (pki.Issued, error) {
		renewal := req.Certificate.CheckSignatureFrom(w.authority.ca.Certificate()) == nil
		switch {
		case w.rejects(time.Since(w.start)):
			return pki.Issued{}, &pki.RefusedError{Message: "the CA is out of sorts"}
		case renewal && time.Until(req.Certificate.NotAfter) > 30*day:
			return pki.Issued{}, &pki.RefusedError{Message: "The certificate is valid and uptodate. Skipping automated renewal."}
		case !renewal && req.Ticket.IsZero():
			return pki.Issued{}, pki.ErrPending
		}
		w.issued++
		if !renewal {
			w.rekeyed++
		}
		return w.authority.sign(req.Certificate.PublicKey, nodeName)
	}
	w.Hooks = enroll.Hooks{
		PostRenew: [][]string{{"reload"}},
		Run:       func(context.Context, []string, []string) (string, error) { w.hooks++; return "", nil },
	}
	return w
}

// live runs the daemon's loop for a time, and looks every six hours whether
// there is a valid certificate.
func (w *world) live(t *testing.T, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var until time.Time
	loop := renew.Loop{
		Ensure: func(ctx context.Context) (time.Time, error) {
			if now := time.Now(); !until.IsZero() && now.After(until) {
				w.expired += now.Sub(until)
			}
			report, err := w.Ensure(ctx)
			if report.Certificate != nil {
				until = report.Certificate.NotAfter
			}
			if err == nil {
				err = report.Setback
			}
			return report.Next, err
		},
		Judge: func(err error) (renew.Verdict, time.Duration) {
			switch {
			case errors.Is(err, pki.ErrPending):
				return renew.Wait, 0
			case enroll.IsTemporary(err):
				return renew.Retry, 0
			default:
				return renew.Despair, 0
			}
		},
		Log:  hclog.NewNullLogger(),
		Now:  time.Now,
		Tick: func() {},
	}
	_ = loop.Run(ctx)
	w.lastSeen = until
}

func TestTenYears(t *testing.T) {
	every := func(period, out time.Duration) func(time.Duration) bool {
		return func(age time.Duration) bool { return age > day && age%period < out }
	}
	tests := map[string]struct {
		away, rejects func(time.Duration) bool
		hooks         bool
		rekeyed       bool // new keys, or the same for ten years?
	}{
		"all is well": {hooks: true, rekeyed: true},
		"nobody can be made to reload: the same key": {},
		"the Director is away 20 days of 50":         {away: every(50*day, 20*day), hooks: true, rekeyed: true},
		"the Director is gone after the first day":   {away: every(100*year, 100*year), hooks: true},
		"the CA rejects for 20 days of 50":           {rejects: every(50*day, 20*day), hooks: true, rekeyed: true},
	}
	for what, tt := range tests {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				if tt.away != nil {
					w.away = tt.away
				}
				if tt.rejects != nil {
					w.rejects = tt.rejects
				}
				if !tt.hooks {
					w.Hooks.PostRenew = nil
				}
				w.live(t, 10*year)
				if w.expired > 0 || time.Now().After(w.lastSeen) {
					t.Errorf("without a valid certificate for %s", w.expired)
				}
				if w.director.registered != 1 {
					t.Errorf("registered %d times, want once", w.director.registered)
				}
				if w.issued < 9 || w.issued > 12 {
					t.Errorf("%d certificates in ten years, want about 10", w.issued)
				}
				if tt.rekeyed && w.rekeyed != w.issued || !tt.rekeyed && w.rekeyed != 1 {
					t.Errorf("%d of %d certificates were for new keys", w.rekeyed, w.issued)
				}
				if tt.hooks && w.hooks != w.issued {
					t.Errorf("hooks ran %d times for %d certificates", w.hooks, w.issued)
				}
			})
		})
	}
}

func TestTheCARollsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		pinned := pki.CertificatePin(w.authority.ca.Certificate())
		w.Trust = pki.Trust{Pins: []pki.Pin{pinned}} // the pin that names the old certificate
		w.live(t, year)
		old := read(t, w.CertsDir+"/ca.crt")
		if err := w.authority.ca.Renew(); err != nil {
			t.Fatal(err)
		}
		w.live(t, 3*year)
		if w.expired > 0 {
			t.Errorf("without a valid certificate for %s", w.expired)
		}
		now := read(t, w.CertsDir+"/ca.crt")
		if now == old || !strings.Contains(now, strings.TrimSpace(old)) {
			t.Error("ca.crt doesn't hold both certificates of the CA")
		}
	})
}
