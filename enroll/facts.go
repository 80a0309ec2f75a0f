package enroll

import (
	"context"
	"net/netip"
	"regexp"
	"strings"
)

// facts are what the placeholders in the Director's host object may ask for.
type facts struct {
	name, host, fqdn string // the name to register, the short host name, the FQDN
	v4, v6           string // "" where there is none
}

func (n *node) facts(ctx context.Context) (f facts, err error) {
	f.name = n.name
	if f.host, err = n.shortName(); err != nil {
		return f, err
	}
	if f.fqdn, err = n.Machine.FQDN(ctx); err != nil {
		f.fqdn = n.name // the name is settled by now: a missing domain is no reason to fail
	}
	// Behind a proxy there may be no route to the Director's own address: then
	// there is no address to tell. Without a proxy the registration fails too.
	v4, v6, _ := n.Machine.Addresses(ctx)
	f.v4, f.v6 = text(v4), text(v6)
	return f, nil
}

func text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// Two dialects of placeholders are in use, from the two generations of Icinga's
// Windows tools: &fqdn.lowerCase& and $ifw.hostfqdn.tolower$.
var placeholder = regexp.MustCompile(`&[A-Za-z][\w.]*(?:\[\d+\])?&|\$ifw\.[\w.]+\$`)

// fill replaces the placeholders of a host object's value. One that isn't
// known, or has no answer here, becomes empty: it must not reach the Director
// as if it were an address. Nor must what the replaced ones have left together.
func (f facts) fill(template string) string {
	filled := placeholder.ReplaceAllStringFunc(template, f.value)
	for placeholder.MatchString(filled) {
		filled = placeholder.ReplaceAllString(filled, "")
	}
	return filled
}

func (f facts) value(placeholder string) string {
	name := strings.ToLower(strings.Trim(placeholder, "&$"))
	name = strings.TrimPrefix(name, "ifw.")
	if base, ok := cutAnySuffix(name, ".lowercase", ".tolower"); ok {
		return strings.ToLower(f.fact(base))
	}
	if base, ok := cutAnySuffix(name, ".uppercase", ".toupper"); ok {
		return strings.ToUpper(f.fact(base))
	}
	return f.fact(name)
}

func (f facts) fact(name string) string {
	switch name {
	case "hostname":
		return f.host
	case "fqdn", "hostfqdn":
		return f.fqdn
	case "hostname_placeholder":
		return f.name
	case "ipaddress", "ipaddress[0]":
		return f.v4
	case "ipaddressv6", "ipaddressv6[0]":
		return f.v6
	case "hostaddress":
		if f.v4 == "" {
			return f.v6
		}
		return f.v4
	default:
		return ""
	}
}

func cutAnySuffix(s string, suffixes ...string) (string, bool) {
	for _, suffix := range suffixes {
		if base, ok := strings.CutSuffix(s, suffix); ok {
			return base, true
		}
	}
	return s, false
}
