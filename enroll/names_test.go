package enroll_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"icinga-enroll/enroll"
	"icinga-enroll/enroll/secret"
	"icinga-enroll/selfservice"
)

func TestCheckName(t *testing.T) {
	good := []string{"web1", "web1.example.com", "WEB-1", "_sip.example.com", strings.Repeat("a", 64), "1"}
	bad := []string{
		"", "0", "ca", "CA", "localhost", "localhost.localdomain", "LocalHost4", ".", "..", ".hidden", "-rf",
		"web 1", "web1,DNS:evil.test", "wéb1", "日本", "a/b", `a\b`, `a"b`, "a'b", "a\nb", "a\x00b", "a}b", "a:b", "web1\r",
		strings.Repeat("a", 65), strings.Repeat("a", 300),
	}
	for _, name := range good {
		if err := enroll.CheckName(name); err != nil {
			t.Errorf("CheckName(%q): %v", name, err)
		}
	}
	for _, name := range bad {
		err := enroll.CheckName(name)
		if err == nil {
			t.Errorf("CheckName(%q) takes it", name)
		} else if strings.ContainsAny(err.Error(), "\n\x00\r") {
			t.Errorf("CheckName(%q): the error has control characters in it: %q", name, err)
		}
	}
}

// recorder keeps what a host was registered with.
type recorder struct {
	director
	naming selfservice.Parameters
	name   string
	sent   selfservice.HostProperties
}

func (r *recorder) Register(_ context.Context, _ secret.Text, name string, p selfservice.HostProperties) (secret.Text, error) {
	r.name, r.sent = name, p
	return secret.New(hostKey), nil
}

func (r *recorder) Parameters(ctx context.Context, key secret.Text) (selfservice.Parameters, error) {
	if key.Reveal() == hostKey {
		return r.director.Parameters(ctx, key)
	}
	return r.naming, nil
}

func TestNameAsTheDirectorAsks(t *testing.T) {
	tests := map[string]struct {
		naming selfservice.Parameters
		want   string
	}{
		"FQDN":             {selfservice.Parameters{FetchAgentFQDN: true}, "Web1.Example.COM"},
		"FQDN, lower":      {selfservice.Parameters{FetchAgentFQDN: true, Transform: selfservice.Lower}, "web1.example.com"},
		"host name, upper": {selfservice.Parameters{FetchAgentName: true, Transform: selfservice.Upper}, "WEB1"},
		"it doesn't say":   {selfservice.Parameters{}, "Web1.Example.COM"},
	}
	for what, tt := range tests {
		t.Run(what, func(t *testing.T) {
			n, r := newNode(t), &recorder{naming: tt.naming}
			n.Director, n.Name = r, ""
			n.mustEnsure(t)
			if r.name != tt.want {
				t.Errorf("registered as %q, want %q", r.name, tt.want)
			}
		})
	}
}

func TestAShortNameIsNoFQDN(t *testing.T) {
	n, r := newNode(t), &recorder{naming: selfservice.Parameters{FetchAgentFQDN: true}}
	n.Director, n.Name = r, ""
	n.Machine.FQDN = func(context.Context) (string, error) { return "", errDead{} }
	if _, err := n.Ensure(t.Context()); !enroll.IsTemporary(err) {
		t.Errorf("error is %v, want a temporary one: DNS may come up", err)
	}
	if r.name != "" {
		t.Error("registered all the same")
	}
}

// The name may come minutes after the boot: it is looked for often, so no server
// is asked meanwhile.
func TestAMachineWithoutAHostnameAsksNobody(t *testing.T) {
	n := newNode(t)
	director := &asksNaming{recorder: &recorder{}}
	n.Director, n.Name = director, ""
	n.Machine.Hostname = func() (string, error) { return "localhost", nil }
	if _, err := n.Ensure(t.Context()); !enroll.IsLocal(err) || !enroll.IsTemporary(err) {
		t.Errorf("error is %v, want a temporary one of this machine's", err)
	}
	if director.asked > 0 {
		t.Errorf("the Director was asked %d times", director.asked)
	}
}

// asksNaming counts the questions after a host's parameters.
type asksNaming struct {
	*recorder
	asked int
}

func (a *asksNaming) Parameters(ctx context.Context, key secret.Text) (selfservice.Parameters, error) {
	a.asked++
	return a.recorder.Parameters(ctx, key)
}

func TestWhatAHostIsRegisteredWith(t *testing.T) {
	asked := map[string]string{"address": "&ipaddress&", "display_name": "&hostname.lowerCase& ($ifw.hostfqdn.tolower$)"}
	tests := map[string]struct {
		object map[string]string
		set    selfservice.HostProperties
		send   []string
		want   selfservice.HostProperties
	}{
		"nobody asks: nothing is replaced": {want: selfservice.HostProperties{}},
		"the Director asks": {object: asked,
			want: selfservice.HostProperties{Address: "192.0.2.7", DisplayName: "web1 (web1.example.com)"}},
		"a setting wins": {object: asked, set: selfservice.HostProperties{Address: "192.0.2.99"},
			want: selfservice.HostProperties{Address: "192.0.2.99", DisplayName: "web1 (web1.example.com)"}},
		"a setting that the Director doesn't ask for": {set: selfservice.HostProperties{Address6: "2001:db8::9"},
			want: selfservice.HostProperties{Address6: "2001:db8::9"}},
		"send nothing": {object: asked, set: selfservice.HostProperties{Address: "192.0.2.99"}, send: []string{},
			want: selfservice.HostProperties{}},
		"send the address only": {object: asked, send: []string{"address"},
			want: selfservice.HostProperties{Address: "192.0.2.7"}},
		"send what nobody has set": {send: []string{"address", "address6", "display_name"},
			want: selfservice.HostProperties{Address: "192.0.2.7", DisplayName: nodeName}},
		"a placeholder without an answer": {object: map[string]string{"address6": "&ipaddressV6&", "address": "&ipaddress[3]&", "display_name": "$ifw.unknown$"},
			want: selfservice.HostProperties{}},
	}
	for what, tt := range tests {
		t.Run(what, func(t *testing.T) {
			n, r := newNode(t), &recorder{naming: selfservice.Parameters{HostObject: tt.object}}
			n.Director, n.Properties, n.Send = r, tt.set, tt.send
			n.mustEnsure(t)
			if r.sent != tt.want {
				t.Errorf("sent %+v, want %+v", r.sent, tt.want)
			}
		})
	}
}

func TestPlaceholders(t *testing.T) {
	v6 := netip.MustParseAddr("2001:db8::7")
	tests := []struct{ template, want string }{
		{"&hostname&", "Web1"}, {"&hostname.lowerCase&", "web1"}, {"&hostname.upperCase&", "WEB1"},
		{"&fqdn&", "Web1.Example.COM"}, {"&fqdn.lowerCase&", "web1.example.com"}, {"&fqdn.upperCase&", "WEB1.EXAMPLE.COM"},
		{"&hostname_placeholder&", nodeName}, {"&ipaddressV6&", "2001:db8::7"}, {"&ipaddress&", ""}, {"&ipaddress[0]&", ""},
		{"$ifw.hostname$", "Web1"}, {"$ifw.hostname.tolower$", "web1"}, {"$ifw.hostname.toupper$", "WEB1"},
		{"$ifw.hostfqdn$", "Web1.Example.COM"}, {"$ifw.hostfqdn.tolower$", "web1.example.com"},
		{"$ifw.hostaddress$", "2001:db8::7"}, // a node with only IPv6
		{"a & b", "a & b"}, {"R&D & sales", "R&D & sales"}, {"cost: $5", "cost: $5"}, {"", ""},
		{"on &hostname& at &ipaddressV6&", "on Web1 at 2001:db8::7"}, {"&&", "&&"},
	}
	for _, tt := range tests {
		t.Run(tt.template, func(t *testing.T) {
			n, r := newNode(t), &recorder{naming: selfservice.Parameters{HostObject: map[string]string{"display_name": tt.template}}}
			n.Director = r
			n.Machine.Hostname = func() (string, error) { return "Web1.Example.COM", nil }
			n.Machine.Addresses = func(context.Context) (v4, _ netip.Addr, err error) { return v4, v6, nil }
			n.mustEnsure(t)
			if r.sent.DisplayName != tt.want {
				t.Errorf("became %q, want %q", r.sent.DisplayName, tt.want)
			}
		})
	}
}

func TestAChangedHostnameIsReportedNotFollowed(t *testing.T) {
	n, r := newNode(t), &recorder{naming: selfservice.Parameters{FetchAgentFQDN: true, Transform: selfservice.Lower}}
	n.Director, n.Name = r, ""
	n.mustEnsure(t)
	n.Machine.FQDN = func(context.Context) (string, error) { return "renamed.example.com", nil }
	n.Machine.Hostname = func() (string, error) { return "renamed", nil }
	r.naming.Transform = selfservice.Upper
	if report := n.mustEnsure(t); report.Name != "web1.example.com" {
		t.Errorf("the name is now %q", report.Name)
	} else if s := report.Steps[0]; !s.Warning || !strings.Contains(s.Text, `"renamed"`) {
		t.Errorf("the change is not reported: %+v", s)
	}
}
