package platform

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"testing"
)

func TestHostnameIsTheKernels(t *testing.T) {
	want, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Hostname(); got != want || err != nil {
		t.Errorf("got %q (%v), want %q", got, err, want)
	}
}

func TestFQDN(t *testing.T) {
	down := errors.New("the resolver is down")
	for _, test := range []struct {
		host, canonical string
		failed          error
		want            string
	}{
		{"web1.example.com", "", down, "web1.example.com"},
		{"web1.example.com.", "", down, "web1.example.com"},
		{"Web1", "Web1.Example.com.", nil, "Web1.Example.com"},
		{"web1", "", down, ""},
		{"web1", "web1.", nil, ""},
		{"web1", "localhost.", nil, ""},
		{"web1", "localhost.localdomain.", nil, ""},
		{"localhost", "localhost.", nil, ""},
		{"LocalHost.localdomain", "localhost4.localdomain4.", nil, ""},
		{"localhost.localdomain", "web1.example.com.", nil, "web1.example.com"},
	} {
		got, err := qualify(t.Context(), test.host, func(_ context.Context, host string) (string, error) {
			if host != test.host {
				t.Errorf("asked for %q", host)
			}
			return test.canonical, test.failed
		})
		if got != test.want {
			t.Errorf("%s: got %q, want %q", test.host, got, test.want)
		}
		if test.want == "" {
			wantTemporary(t, err)
			wantError(t, err, test.host, "give the name in the configuration")
		}
		if test.want == "" && test.failed != nil && !errors.Is(err, test.failed) {
			t.Errorf("got %v", err)
		}
	}
}

func wantTemporary(t *testing.T, err error) {
	t.Helper()
	var temporary interface{ Temporary() bool }
	if !errors.As(err, &temporary) || !temporary.Temporary() {
		t.Errorf("%v is not temporary", err)
	}
}

func TestAddressesOthersCantUse(t *testing.T) {
	for text, usable := range map[string]bool{
		"192.0.2.1":      true,
		"10.0.0.1":       true,
		"2001:db8::1":    true,
		"fd00::1":        true,
		"127.0.1.1":      false,
		"::1":            false,
		"0.0.0.0":        false,
		"::":             false,
		"169.254.1.1":    false,
		"fe80::1%eth0":   false,
		"::ffff:7f00:1":  false,
		"::ffff:c000:21": true,
	} {
		got := reachable(netip.MustParseAddr(text))
		if got.IsValid() != usable {
			t.Errorf("%s: got %v", text, got)
		}
		if got.Is4In6() {
			t.Errorf("%s: %v is IPv4 in disguise", text, got)
		}
	}
}

func TestLocalAddressesTowardsThisNodeItself(t *testing.T) {
	v4, v6, err := LocalAddresses(t.Context(), "127.0.0.1", "5665")
	if err != nil || v4.IsValid() || v6.IsValid() {
		t.Errorf("got %v, %v, %v", v4, v6, err)
	}
}

func TestLocalAddressesTowardsNowhere(t *testing.T) {
	_, _, err := LocalAddresses(t.Context(), "127.0.0.1", "no-such-port")
	wantTemporary(t, err)
	wantError(t, err, "127.0.0.1", "by IPv4", "by IPv6", "DNS and the routes")
}
