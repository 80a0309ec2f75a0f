package selfservice

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"icinga-enroll/enroll/secret"
)

// observed is what Director 1.10.2 sent for a host of a zone with three
// endpoints, with some of the forms that values have in other places.
const observed = `{
    "fetch_agent_name": false,
    "fetch_agent_fqdn": true,
    "transform_hostname": "2",
    "flush_api_directory": false,
    "resolve_parent_host": "1",
    "install_framework_service": "0",
    "director_host_object": "{\"address\":\"&ipaddress&\",\"display_name\":\"&hostname.upperCase&\"}",
    "agent_listen_port": 5665,
    "agent_add_firewall_rule": false,
    "global_zones": ["director-global"],
    "endpoints_config": [";5665","10.0.0.21;5665","2001:db8::22;5666"],
    "parent_zone": "satellites",
    "ca_server": "master",
    "parent_endpoints": ["sat 1","sat2","sat3"],
    "accept_config": true
}`

func TestDecodeParameters(t *testing.T) {
	p, err := decodeParameters([]byte(observed))
	if err != nil {
		t.Fatal(err)
	}
	want := Parameters{
		FetchAgentFQDN: true, Transform: Upper, ResolveParentHost: true,
		HostObject: map[string]string{"address": "&ipaddress&", "display_name": "&hostname.upperCase&"},
		ParentZone: "satellites", CAServer: "master",
		Parents:     []Parent{{"sat 1", "", "5665"}, {"sat2", "10.0.0.21", "5665"}, {"sat3", "2001:db8::22", "5666"}},
		GlobalZones: []string{"director-global"}, AcceptConfig: true, ListenPort: 5665,
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("got  %+v\nwant %+v", p, want)
	}
}

func TestDecodeParametersTolerates(t *testing.T) {
	parents := func(p ...Parent) Parameters { return Parameters{Parents: p} }
	tests := []struct {
		in   string
		want Parameters
	}{
		{`{}`, Parameters{}},
		{`{"unknown": {"a": [1]}, "fetch_agent_name": null, "global_zones": null, "parent_zone": null, "agent_listen_port": null}`, Parameters{}},
		{`{"accept_config":"y","flush_api_directory":"1","fetch_agent_name":1,"fetch_agent_fqdn":"n","resolve_parent_host":"0"}`,
			Parameters{AcceptConfig: true, FlushAPIDirectory: true, FetchAgentName: true}},
		{`{"transform_hostname":1}`, Parameters{Transform: Lower}},
		{`{"transform_hostname":"0"}`, Parameters{}},
		{`{"agent_listen_port":"5666"}`, Parameters{ListenPort: 5666}},
		{`{"global_zones":{"2":"c","0":"a","10":"d"}}`, Parameters{GlobalZones: []string{"a", "c", "d"}}},
		{`{"global_zones":"a"}`, Parameters{GlobalZones: []string{"a"}}},
		{`{"parent_endpoints":["a","b"]}`, parents(Parent{Name: "a"}, Parent{Name: "b"})},
		{`{"parent_endpoints":[],"endpoints_config":[]}`, Parameters{}},
		{`{"parent_endpoints":["a","b"],"endpoints_config":["h;1"]}`, parents(Parent{"a", "h", "1"}, Parent{Name: "b"})},
		{`{"parent_endpoints":["a"],"endpoints_config":["h"]}`, parents(Parent{Name: "a", Host: "h"})},
		{`{"parent_endpoints":["a"],"endpoints_config":[null]}`, parents(Parent{Name: "a"})},
		{`{"parent_endpoints":{"1":"b","0":"a"},"endpoints_config":{"1":"hb;2","0":"ha;1"}}`, parents(Parent{"a", "ha", "1"}, Parent{"b", "hb", "2"})},
		{`{"director_host_object":""}`, Parameters{}},
		{`{"director_host_object":"null"}`, Parameters{}},
		{`{"director_host_object":"{}"}`, Parameters{}},
		{`{"director_host_object":{"address":"x"}}`, Parameters{HostObject: map[string]string{"address": "x"}}},
		{`{"director_host_object":"{\"vars\":{\"a\":1},\"address\":\"x\"}"}`, Parameters{HostObject: map[string]string{"address": "x"}}},
	}
	for _, test := range tests {
		p, err := decodeParameters([]byte(test.in))
		if err != nil || !reflect.DeepEqual(p, test.want) {
			t.Errorf("%s: %v\ngot  %+v\nwant %+v", test.in, err, p, test.want)
		}
	}
}

func TestDecodeParametersRefuses(t *testing.T) {
	tests := map[string]string{
		`null`:                           "not a JSON object",
		`[]`:                             "not a JSON object",
		`"text"`:                         "not a JSON object",
		`{"accept_config":"perhaps"}`:    "neither yes nor no",
		`{"parent_zone":["a"]}`:          "no text",
		`{"parent_zone":true}`:           "no text",
		`{"transform_hostname":"3"}`:     "transform_hostname",
		`{"director_host_object":"[1]"}`: "director_host_object",
		`{"director_host_object":"{"}`:   "director_host_object",
		`{"agent_listen_port":"70000"}`:  "agent_listen_port",
		`{"agent_listen_port":0}`:        "agent_listen_port",
		`{"endpoints_config":["h;1"]}`:   "1 addresses for 0 names",
		`{"parent_endpoints":[""]}`:      "empty name",
		`{"parent_endpoints":["a\nb"]}`:  "called",
		`{"parent_zone":"a\u0000"}`:      "called",
		`{"global_zones":["a\r"]}`:       "called",
		`{"parent_endpoints":["a"],"endpoints_config":["` + strings.Repeat("h", 254) + `;1"]}`: "a host has 254 characters",
		`{"parent_endpoints":["a"` + strings.Repeat(`,"a"`, 16) + `]}`:                         "17 names, at most 16",
		`{"parent_endpoints":["a"],"endpoints_config":["h;x"]}`:                                "no port",
		`{"parent_endpoints":["a"],"endpoints_config":["h;1;2"]}`:                              "no port",
		`{"parent_endpoints":["a"],"endpoints_config":["h b;1"]}`:                              "no host",
		`{"parent_endpoints":["a"],"endpoints_config":["u@h;1"]}`:                              "no host",
		`{"parent_endpoints":["a"],"endpoints_config":["h\" + x + ;1"]}`:                       "no host",
	}
	for in, want := range tests {
		if p, err := decodeParameters([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %+v; want an error with %q", in, err, p, want)
		}
	}
}

func TestParametersArePrintedInSnakeCase(t *testing.T) {
	p := Parameters{FetchAgentFQDN: true, Transform: Lower, ParentZone: "z", Parents: []Parent{{Name: "a", Host: "h", Port: "1"}}}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"fetch_agent_name":false,"fetch_agent_fqdn":true,"transform":"lower","flush_api_directory":false,` +
		`"resolve_parent_host":false,"parent_zone":"z","parents":[{"name":"a","host":"h","port":"1"}],` +
		`"accept_config":false,"add_firewall_rule":false}`
	if string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}

func TestDecodeTicket(t *testing.T) {
	for in, want := range map[string]string{
		`"0123abc"`: "0123abc", `"~!"`: "~!", `"` + strings.Repeat("x", 1024) + `"`: strings.Repeat("x", 1024),
		`""`: "", `"a b"`: "", `"a\n"`: "", `"ü"`: "", `null`: "", `12`: "", `"` + strings.Repeat("x", 1025) + `"`: "",
	} {
		ticket, err := decodeTicket([]byte(in))
		if ticket.Reveal() != want || (err == nil) != (want != "") {
			t.Errorf("%.20s: %q, %v", in, ticket.Reveal(), err)
		}
	}
}

func TestClean(t *testing.T) {
	tests := []struct{ in, key, want string }{
		{"plain — ü", "", "plain — ü"},
		{"a\nb\x1b[31mc\u202e\u0085.", "", `a\nb\x1b[31mc\u202e\u0085.`},
		{"broken \xff", "", `broken \xff`},
		{`key "s3cret" twice s3cret`, "s3cret", `key "[redacted]" twice [redacted]`},
		{"a key\ninside", "key\nin", `a [redacted]side`},
		{strings.Repeat("A1", 25), "", "[redacted]"},
	}
	for _, test := range tests {
		if got := clean(test.in, test.key); got != test.want {
			t.Errorf("clean(%q) = %q, want %q", test.in, got, test.want)
		}
	}
	for n := range 5 {
		got := clean(strings.Repeat("x", 297+n)+"ü"+strings.Repeat("y", 1<<20), "")
		if len(got) > maxMessage+len("…") || !utf8.ValidString(got) {
			t.Errorf("a long text became %q", got)
		}
	}
}

// TestTimeLimits: a Director that never answers is given up on.
func TestTimeLimits(t *testing.T) {
	tests := []struct {
		limit time.Duration
		lost  bool
		call  func(context.Context, *Client) error
	}{
		{2 * time.Minute, true, func(ctx context.Context, c *Client) error {
			_, err := c.Register(ctx, secret.New("key"), "web1", HostProperties{})
			return err
		}},
		{30 * time.Second, false, func(ctx context.Context, c *Client) error { _, err := c.Ticket(ctx, secret.New("key")); return err }},
		{30 * time.Second, false, func(ctx context.Context, c *Client) error { _, err := c.Parameters(ctx, secret.New("key")); return err }},
	}
	for _, test := range tests {
		synctest.Test(t, func(t *testing.T) {
			c, err := New("http://director.example.com", Options{AllowInsecureHTTP: true})
			if err != nil {
				t.Fatal(err)
			}
			c.transport.Proxy = nil
			c.transport.DialContext = dialDeaf
			start := time.Now()
			err = test.call(t.Context(), c)
			var e *Error
			if !errors.As(err, &e) || e.Temporary() == test.lost || errors.Is(err, ErrAnswerLost) != test.lost {
				t.Errorf("error: %v", err)
			}
			if waited := time.Since(start); waited != test.limit {
				t.Errorf("gave up after %s, want %s", waited, test.limit)
			}
		})
	}
}

// dialDeaf connects to a server that reads and never writes.
func dialDeaf(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	go func() { _, _ = io.Copy(io.Discard, server) }()
	return client, nil
}
