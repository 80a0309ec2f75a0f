package enroll_test

import (
	"context"
	"errors"
	"runtime"
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
	w.director.register = func(context.Context) error { return away() }
	w.director.ticket = away
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
		Tick: func() bool { return false },
	}
	_ = loop.Run(ctx)
	w.lastSeen = until
}

// out is true in the first days of every period, after the first day of all.
func out(period, days time.Duration) func(age time.Duration) bool {
	return func(age time.Duration) bool { return age > day && age%period < days }
}

// Ten years in which the Director is away for 20 days of 60 and the CA rejects
// everything for 15 others.
func TestTenYears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.away = out(60*day, 20*day)
		rejects := out(60*day, 15*day)
		w.rejects = func(age time.Duration) bool { return rejects(age+30*day) && age > 30*day }
		w.live(t, 10*year)
		w.check(t)
		if w.issued < 9 || w.issued > 12 || w.rekeyed != w.issued {
			t.Errorf("%d certificates in ten years, %d for new keys; want about 10, all", w.issued, w.rekeyed)
		}
		if w.hooks != w.issued {
			t.Errorf("hooks ran %d times for %d certificates", w.hooks, w.issued)
		}
	})
}

func TestYearsUnderOtherConditions(t *testing.T) {
	tests := map[string]struct {
		away     func(time.Duration) bool
		hooks    bool
		sameKeys bool
	}{
		"all is well":                              {hooks: true},
		"nobody can be made to reload":             {sameKeys: true},
		"the Director is gone after the first day": {away: out(100*year, 100*year), hooks: true, sameKeys: true},
	}
	for what, tt := range tests {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				if tt.away != nil {
					w.away = tt.away
				}
				if !tt.hooks {
					w.Hooks.PostRenew = nil
				}
				w.live(t, 2*year)
				w.check(t)
				if w.issued != 2 && w.issued != 3 {
					t.Errorf("%d certificates in two years", w.issued)
				}
				if tt.sameKeys && w.rekeyed != 1 || !tt.sameKeys && w.rekeyed != w.issued {
					t.Errorf("%d of %d certificates were for new keys", w.rekeyed, w.issued)
				}
			})
		})
	}
}

func (w *world) check(t *testing.T) {
	t.Helper()
	if w.expired > 0 || time.Now().After(w.lastSeen) {
		t.Errorf("without a valid certificate for %s", w.expired)
	}
	if w.director.registered != 1 {
		t.Errorf("registered %d times, want once", w.director.registered)
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
		w.live(t, year)
		w.check(t)
		now := read(t, w.CertsDir+"/ca.crt")
		if now == old || !strings.Contains(now, strings.TrimSpace(old)) {
			t.Error("ca.crt doesn't hold both certificates of the CA")
		}
	})
}

// A daemon that lives for a year must not grow.
func TestAYearLeavesNothingInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.live(t, 10*day)
		before := heap()
		w.live(t, year)
		if grown := int64(heap()) - int64(before); grown > 1<<20 {
			t.Errorf("the heap has grown by %d bytes in a year", grown)
		}
	})
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
