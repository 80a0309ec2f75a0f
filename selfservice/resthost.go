package selfservice

import (
	"encoding/json"
	"errors"

	"icinga-enroll/enroll/secret"
)

// Host is a host of the Director, with what is set on itself. What is empty may
// be inherited from a template.
type Host struct {
	Name        string // as it is stored; asked for in any case
	Type        string // "object", or "template"
	Imports     []string
	DisplayName string
	Address     string
	Address6    string
	Zone        string
	Key         secret.Text // its self-service key; zero: it has none
	Disabled    bool        // deployments leave it out
	// Vars are its custom variables: texts, json.Number, bool, lists, maps.
	Vars map[string]any
}

// HostSpec says what a host is to be. What is empty is not sent.
type HostSpec struct {
	Name        string   // of a host that is created
	Imports     []string // the names of its templates
	DisplayName string
	Address     string
	Address6    string
	Zone        string
	Key         secret.Text // its self-service key: with it no registration is needed
	// Vars are its custom variables: texts, numbers, lists, maps. One that is
	// nil is removed from a host that exists.
	Vars map[string]any
}

// properties are what both a new host and one that exists are sent.
func (s HostSpec) properties() map[string]any {
	p := make(map[string]any)
	for name, value := range map[string]string{
		"display_name": s.DisplayName,
		"address":      s.Address,
		"address6":     s.Address6,
		"zone":         s.Zone,
		"api_key":      s.Key.Reveal(),
	} {
		if value != "" {
			p[name] = value
		}
	}
	if len(s.Imports) > 0 {
		p["imports"] = s.Imports
	}
	return p
}

func (s HostSpec) created() map[string]any {
	p := s.properties()
	p["object_name"] = s.Name
	p["object_type"] = "object"
	if len(s.Vars) > 0 {
		p["vars"] = s.Vars
	}
	return p
}

// changed names each variable by itself: "vars" as a whole would remove those
// that somebody else has set.
func (s HostSpec) changed() map[string]any {
	p := s.properties()
	for name, value := range s.Vars {
		p["vars."+name] = value
	}
	return p
}

// decodeHost reads a host object. What can't be read is not part of the error:
// it could be a key.
func decodeHost(answer []byte) (Host, error) {
	var h struct {
		Name        text      `json:"object_name"`
		Type        text      `json:"object_type"`
		Imports     list      `json:"imports"`
		DisplayName text      `json:"display_name"`
		Address     text      `json:"address"`
		Address6    text      `json:"address6"`
		Zone        text      `json:"zone"`
		Key         text      `json:"api_key"`
		Disabled    flag      `json:"disabled"`
		Vars        variables `json:"vars"`
	}
	if err := json.Unmarshal(answer, &h); err != nil || h.Name == "" || h.Type == "" {
		return Host{}, errors.New("the answer is not a host object")
	}
	return Host{
		Name:        string(h.Name),
		Type:        string(h.Type),
		Imports:     h.Imports,
		DisplayName: string(h.DisplayName),
		Address:     string(h.Address),
		Address6:    string(h.Address6),
		Zone:        string(h.Zone),
		Key:         secret.New(string(h.Key)),
		Disabled:    bool(h.Disabled),
		Vars:        h.Vars,
	}, nil
}
