package selfservice

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// Transform says what becomes of a host's name before it is registered.
type Transform int

// The transformations that a Director knows.
const (
	None Transform = iota
	Lower
	Upper
)

// String returns "none", "lower" or "upper".
func (t Transform) String() string {
	switch t {
	case Lower:
		return "lower"
	case Upper:
		return "upper"
	}
	return "none"
}

// MarshalText returns what String does.
func (t Transform) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (t *Transform) UnmarshalText(text []byte) error {
	for _, known := range []Transform{None, Lower, Upper} {
		if known.String() == string(text) {
			*t = known
			return nil
		}
	}
	return fmt.Errorf("%q is no transformation", text)
}

// Parameters are the Director's wishes for a node. Its JSON form is for
// printing; it is not the Director's.
type Parameters struct {
	// FetchAgentName asks for the short host name, FetchAgentFQDN for the
	// full one; a Director sets one of them.
	FetchAgentName bool `json:"fetch_agent_name"`
	FetchAgentFQDN bool `json:"fetch_agent_fqdn"`
	// Transform is applied to the name.
	Transform Transform `json:"transform"`
	// HostObject names the properties to register with; its values hold
	// placeholders such as "&ipaddress&". nil means that none were sent.
	HostObject map[string]string `json:"host_object,omitempty"`
	// FlushAPIDirectory asks to empty the agent's api directory before it is
	// restarted.
	FlushAPIDirectory bool `json:"flush_api_directory"`
	// ResolveParentHost asks to look up the parents' addresses in the DNS.
	ResolveParentHost bool `json:"resolve_parent_host"`

	// What follows is sent for a host's own key only.

	// ParentZone is the zone that the agent connects to.
	ParentZone string `json:"parent_zone,omitempty"`
	// CAServer is the name of an endpoint, not an address.
	CAServer string `json:"ca_server,omitempty"`
	// Parents are the endpoints of ParentZone.
	Parents []Parent `json:"parents,omitempty"`
	// GlobalZones are to be known to the agent besides its own.
	GlobalZones []string `json:"global_zones,omitempty"`
	// AcceptConfig lets the parents send configuration to the agent.
	AcceptConfig bool `json:"accept_config"`
	// AddFirewallRule: the parents connect to the agent, so its port must be
	// open.
	AddFirewallRule bool `json:"add_firewall_rule"`
	// ListenPort is the agent's port; 0 means that the Director did not say:
	// it does so only when it is set up to install agents.
	ListenPort int `json:"listen_port,omitempty"`
}

// Parent is an endpoint of the parent zone.
type Parent struct {
	// Name is the endpoint's name, which its certificate must have.
	Name string `json:"name"`
	// Host is its address and Port a number in decimal. Both are empty where
	// the parents connect to the agent; Host also where none is set.
	Host string `json:"host,omitempty"`
	Port string `json:"port,omitempty"`
}

// wireParameters is what a Director sends, as far as it is of use here.
type wireParameters struct {
	FetchAgentName    flag            `json:"fetch_agent_name"`
	FetchAgentFQDN    flag            `json:"fetch_agent_fqdn"`
	TransformHostname text            `json:"transform_hostname"`
	HostObject        json.RawMessage `json:"director_host_object"`
	FlushAPIDirectory flag            `json:"flush_api_directory"`
	ResolveParentHost flag            `json:"resolve_parent_host"`
	ParentZone        text            `json:"parent_zone"`
	CAServer          text            `json:"ca_server"`
	ParentEndpoints   list            `json:"parent_endpoints"`
	EndpointsConfig   list            `json:"endpoints_config"`
	GlobalZones       list            `json:"global_zones"`
	AcceptConfig      flag            `json:"accept_config"`
	AddFirewallRule   flag            `json:"agent_add_firewall_rule"`
	ListenPort        text            `json:"agent_listen_port"`
}

// decodeParameters reads the Director's answer, and refuses what would end up
// as a wrong name or a broken agent configuration.
func decodeParameters(answer []byte) (Parameters, error) {
	var w wireParameters
	if !bytes.HasPrefix(bytes.TrimSpace(answer), []byte("{")) {
		return Parameters{}, errors.New("the parameters are not a JSON object")
	}
	if err := json.Unmarshal(answer, &w); err != nil {
		return Parameters{}, fmt.Errorf("the parameters cannot be read: %w", err)
	}
	p := Parameters{
		FetchAgentName:    bool(w.FetchAgentName),
		FetchAgentFQDN:    bool(w.FetchAgentFQDN),
		FlushAPIDirectory: bool(w.FlushAPIDirectory),
		ResolveParentHost: bool(w.ResolveParentHost),
		ParentZone:        string(w.ParentZone),
		CAServer:          string(w.CAServer),
		GlobalZones:       w.GlobalZones,
		AcceptConfig:      bool(w.AcceptConfig),
		AddFirewallRule:   bool(w.AddFirewallRule),
	}
	err := errors.Join(p.decodeNaming(w), p.decodeEndpoints(w), p.checkNames())
	if err != nil {
		return Parameters{}, fmt.Errorf("the parameters are unusable: %w", err)
	}
	return p, nil
}

// decodeNaming reads how hosts are named. A transformation that is not known
// is an error: a host registered under a wrong name stays so.
func (p *Parameters) decodeNaming(w wireParameters) error {
	switch w.TransformHostname {
	case "", "0":
		p.Transform = None
	case "1":
		p.Transform = Lower
	case "2":
		p.Transform = Upper
	default:
		return fmt.Errorf("transform_hostname is %q, not 0, 1 or 2", w.TransformHostname)
	}
	var err error
	p.HostObject, err = decodeHostObject(w.HostObject)
	return err
}

// decodeHostObject reads an object of texts that comes as a JSON string with
// JSON in it. What isn't a plain value in there is not for us.
func decodeHostObject(raw json.RawMessage) (map[string]string, error) {
	var inner string
	if json.Unmarshal(raw, &inner) == nil {
		raw = json.RawMessage(inner)
	}
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil, nil
	}
	var values map[string]any
	if err := json.Unmarshal(raw, &values); err != nil {
		return nil, errors.New("director_host_object holds no JSON object")
	}
	var object map[string]string
	for key, value := range values {
		if s, ok := value.(string); ok {
			if object == nil {
				object = make(map[string]string)
			}
			object[key] = s
		}
	}
	return object, nil
}

func (p *Parameters) decodeEndpoints(w wireParameters) error {
	var err error
	if w.ListenPort != "" {
		if p.ListenPort, err = parsePort(string(w.ListenPort)); err != nil {
			return fmt.Errorf("agent_listen_port: %w", err)
		}
	}
	p.Parents, err = mergeParents(w.ParentEndpoints, w.EndpointsConfig)
	return err
}

const (
	// maxParents limits the endpoints of a parent's zone: each may be waited for, and
	// Icinga supports two.
	maxParents = 16
	maxHost    = 253 // RFC 1035, 2.3.4, in the usual notation
)

// mergeParents puts the two lists of a Director together, which have the same
// order. The addresses may be missing: they are not sent where the parents are
// to connect to the agent.
func mergeParents(names, addresses list) ([]Parent, error) {
	if len(addresses) > len(names) {
		return nil, fmt.Errorf("endpoints_config has %d addresses for %d names in parent_endpoints", len(addresses), len(names))
	}
	if len(names) > maxParents {
		return nil, fmt.Errorf("parent_endpoints has %d names, at most %d are taken", len(names), maxParents)
	}
	var parents []Parent
	for i, name := range names {
		parent := Parent{Name: name}
		if i < len(addresses) {
			var err error
			if parent.Host, parent.Port, err = splitAddress(addresses[i]); err != nil {
				return nil, fmt.Errorf("endpoints_config of %q: %w", name, err)
			}
		}
		parents = append(parents, parent)
	}
	return parents, nil
}

// splitAddress splits "host;port", where either may be empty. The host may be
// an IPv6 address.
func splitAddress(s string) (host, port string, err error) {
	host, port, _ = strings.Cut(s, ";")
	if len(host) > maxHost {
		return "", "", fmt.Errorf("a host has %d characters, and a name in the DNS at most %d", len(host), maxHost)
	}
	if strings.ContainsFunc(host, notInHost) {
		return "", "", fmt.Errorf("%q is no host", host)
	}
	if port == "" {
		return host, "", nil
	}
	_, err = parsePort(port)
	return host, port, err
}

func notInHost(r rune) bool {
	return unicode.IsSpace(r) || !unicode.IsPrint(r) || strings.ContainsRune(`/\;@"'`, r)
}

func parsePort(s string) (int, error) {
	port, err := strconv.ParseUint(s, 10, 16)
	if err != nil || port == 0 {
		return 0, fmt.Errorf("%q is no port", s)
	}
	return int(port), nil
}

// maxNames limits the names in an answer together, in bytes. They are kept, and
// a Director with thousands of zones would not tell one agent of all.
const maxNames = 64 << 10

// checkNames refuses names that would break the lines of a configuration file,
// or that a terminal would obey.
func (p *Parameters) checkNames() error {
	names := append([]string{p.ParentZone, p.CAServer}, p.GlobalZones...)
	for _, parent := range p.Parents {
		if parent.Name == "" {
			return errors.New("parent_endpoints has an empty name")
		}
		names = append(names, parent.Name)
	}
	all := 0
	for _, name := range names {
		if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
			return fmt.Errorf("a zone or endpoint is called %q", name)
		}
		all += len(name)
	}
	if all > maxNames {
		return fmt.Errorf("its zones and endpoints have names of %d bytes together, at most %d are taken", all, maxNames)
	}
	return nil
}
