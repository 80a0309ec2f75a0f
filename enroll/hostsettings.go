package enroll

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"icinga-enroll/selfservice"
)

// HostSettings are what the configuration says of the host in the Director in
// so many words: nothing that was found on this machine. What is empty isn't
// said.
type HostSettings struct {
	DisplayName string         `json:"display_name,omitempty"`
	Address     string         `json:"address,omitempty"`
	Address6    string         `json:"address6,omitempty"`
	Imports     []string       `json:"imports,omitempty"`
	Vars        map[string]any `json:"vars,omitempty"`
	// Unsent: the Director was not told, since there was no Controller. Somebody
	// here was.
	Unsent bool `json:"unsent,omitempty"`
}

func (n *node) hostSettings() HostSettings {
	return HostSettings{
		DisplayName: n.maySend("display_name", n.Properties.DisplayName),
		Address:     n.maySend("address", n.Properties.Address),
		Address6:    n.maySend("address6", n.Properties.Address6),
		Imports:     n.Imports,
		Vars:        n.Vars,
	}
}

// maySend returns "" where host.send leaves the property out.
func (n *node) maySend(property, value string) string {
	if n.Send != nil && !slices.Contains(n.Send, property) {
		return ""
	}
	return value
}

// hostSettingsBefore are those with which the host was made, or last changed.
// The templates of a host that was there before are somebody else's choice.
func (n *node) hostSettingsBefore() HostSettings {
	before := n.state.HostSettings
	if before == nil || before.Unsent && n.Controller != nil {
		return HostSettings{Imports: n.Imports}
	}
	return *before
}

// since returns what s says otherwise than before. What it doesn't say any more
// stays as it is in the Director.
func (s HostSettings) since(before HostSettings) HostSettings {
	news := HostSettings{Vars: map[string]any{}}
	for _, p := range []struct {
		to       *string
		now, old string
	}{
		{&news.DisplayName, s.DisplayName, before.DisplayName},
		{&news.Address, s.Address, before.Address},
		{&news.Address6, s.Address6, before.Address6},
	} {
		if p.now != p.old {
			*p.to = p.now
		}
	}
	if !slices.Equal(s.Imports, before.Imports) {
		news.Imports = s.Imports
	}
	for name, value := range s.Vars {
		if was, had := before.Vars[name]; !had || !reflect.DeepEqual(was, value) {
			news.Vars[name] = value
		}
	}
	return news
}

func (s HostSettings) isEmpty() bool {
	return s.DisplayName+s.Address+s.Address6 == "" && len(s.Imports)+len(s.Vars) == 0
}

func (s HostSettings) spec() selfservice.HostSpec {
	return selfservice.HostSpec{DisplayName: s.DisplayName, Address: s.Address, Address6: s.Address6, Imports: s.Imports, Vars: s.Vars}
}

// host is one with s.
func (s HostSettings) host() selfservice.Host {
	return selfservice.Host{DisplayName: s.DisplayName, Address: s.Address, Address6: s.Address6, Imports: s.Imports, Vars: s.Vars}
}

// without returns s with those variables only that host has otherwise, each of the
// kind that it has there: the configuration knows texts, and to Icinga the text "false"
// is true. What is a list or a dictionary there, no text says: those are kept.
func (s HostSettings) without(host selfservice.Host) (news HostSettings, kept []string) {
	news, news.Vars = s, map[string]any{}
	for name, value := range s.Vars {
		is, there := host.Vars[name]
		switch value = alike(value, is); {
		case there && reflect.DeepEqual(value, is):
		case isCollection(is):
			kept = append(kept, name)
		default:
			news.Vars[name] = value
		}
	}
	slices.Sort(kept)
	return news, kept
}

// alike is value as a number or a truth value, if it says one and other is one.
func alike(value, other any) any {
	text, _ := value.(string)
	switch other.(type) {
	case bool:
		if text == "true" || text == "false" {
			return text == "true"
		}
	case json.Number:
		text = strings.TrimSpace(text)
		if text != "null" && json.Unmarshal([]byte(text), new(float64)) == nil {
			return json.Number(text)
		}
	}
	return value
}

func isCollection(value any) bool {
	switch value.(type) {
	case []any, map[string]any:
		return true
	}
	return false
}

// against says what s changes on host. The values of variables aren't shown:
// there may be anything in them.
func (s HostSettings) against(host selfservice.Host) string {
	var parts []string
	for _, p := range []struct{ name, to, was string }{
		{"host.display_name", s.DisplayName, host.DisplayName},
		{"host.address", s.Address, host.Address},
		{"host.address6", s.Address6, host.Address6},
		{"host.imports", strings.Join(s.Imports, ", "), strings.Join(host.Imports, ", ")},
	} {
		switch {
		case p.to == "" || p.to == p.was:
		case p.was == "":
			parts = append(parts, p.name+" "+p.to)
		default:
			parts = append(parts, fmt.Sprintf("%s %s, until now %s", p.name, p.to, p.was))
		}
	}
	if s, _ := s.without(host); len(s.Vars) > 0 {
		parts = append(parts, "host.vars "+strings.Join(slices.Sorted(maps.Keys(s.Vars)), ", "))
	}
	return strings.Join(parts, "; ")
}

// updateHost tells the Director what the configuration says of the host now and
// didn't before. What somebody has changed there since stays, as long as the
// configuration says what it said: so nobody is asked while it does.
func (n *node) updateHost(ctx context.Context) (outcome, error) {
	news := n.hostNews()
	if news.isEmpty() || n.hadSetback() {
		return outcome{}, nil
	}
	out, err := n.tellHost(ctx, news)
	if err != nil {
		return outcome{}, err
	}
	return out, n.keepHostSettings(n.hostSettings(), n.Controller == nil)
}

// hostNews are empty where this node is no host of the Director's.
func (n *node) hostNews() HostSettings {
	if n.APIClient || n.Director == nil || !n.registered() && !n.state.Elsewhere {
		return HostSettings{}
	}
	return n.hostSettings().since(n.hostSettingsBefore())
}

func (n *node) tellHost(ctx context.Context, news HostSettings) (outcome, error) {
	if n.Controller == nil {
		return warns("%s: the Director keeps what it has, since a node that is registered can change nothing there; change it there, or set director.user", news.against(n.hostSettingsBefore().host()))
	}
	host, err := n.findHost(ctx)
	if err != nil {
		return outcome{}, err
	}
	if host == nil {
		return outcome{}, fmt.Errorf("%s can't be changed: %w", n.name, n.adviseNoHost(ctx, selfservice.ErrNoHost))
	}
	news, kept := news.without(*host)
	if len(kept) > 0 {
		n.note(Step{Name: "host", Warning: true, Text: fmt.Sprintf("in the Director %s is a list or a dictionary, which host.vars can't say: it stays", strings.Join(kept, ", "))})
	}
	if news.isEmpty() {
		return says("the Director has it as the configuration says")
	}
	if err := n.checkImports(ctx, news.Imports); err != nil {
		return outcome{}, err
	}
	differs, err := n.Controller.UpdateHost(ctx, n.name, news.spec())
	if err != nil {
		return outcome{}, err
	}
	if !differs {
		return says("the Director has it as the configuration says")
	}
	n.state.DeployDue = n.state.DeployDue || n.Deploy
	return changed("changed in the Director: %s", news.against(*host))
}

func (n *node) keepHostSettings(s HostSettings, unsent bool) error {
	s.Unsent = unsent
	n.state.HostSettings = &s
	return n.save()
}
