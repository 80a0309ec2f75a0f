package agent

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
)

// Setup is what an agent is to be.
type Setup struct {
	Name           string // of its endpoint and its zone
	ParentZone     string
	Parents        []Parent // the endpoints of ParentZone
	GlobalZones    []string
	AcceptConfig   bool
	AcceptCommands bool
	ListenHost     string
	ListenPort     string
}

// Parent is an endpoint to which the agent connects, or, without a host, which
// connects to the agent.
type Parent struct{ Name, Host, Port string }

// The templates of text/template would make the program 13 % larger: with it the
// linker can't leave out methods that nobody calls.
const written = "// Written by icinga-enroll. It leaves this file alone once somebody has changed it.\n"

// zones returns zones.conf.
func (s Setup) zones() (string, error) {
	global, err := s.globalZones()
	if err != nil {
		return "", err
	}
	parts := []string{written}
	for _, p := range s.Parents {
		parts = append(parts, object("Endpoint", p.Name, p.address()...))
	}
	parts = append(parts,
		object("Zone", s.ParentZone, "endpoints = "+quoteList(s.Parents)),
		object("Endpoint", s.Name),
		object("Zone", s.Name, "endpoints = [ "+Quote(s.Name)+" ]", "parent = "+Quote(s.ParentZone)))
	for _, zone := range global {
		parts = append(parts, object("Zone", zone, "global = true"))
	}
	return strings.Join(parts, "\n"), nil
}

// address is where the agent finds the parent; none: the parent connects.
func (p Parent) address() []string {
	if p.Host == "" {
		return nil
	}
	return []string{"host = " + Quote(p.Host), "port = " + Quote(p.Port)}
}

// object is an object of Icinga's configuration with these lines in it.
func object(kind, name string, lines ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "object %s %s {\n", kind, Quote(name))
	for _, line := range lines {
		b.WriteString("  " + line + "\n")
	}
	b.WriteString("}\n")
	return b.String()
}

// globalZones names each once: Icinga refuses a zone that is defined twice.
func (s Setup) globalZones() ([]string, error) {
	var once []string
	for _, zone := range s.GlobalZones {
		if zone == s.ParentZone || zone == s.Name {
			return nil, fmt.Errorf("%q is a global zone and also the name of %s: Icinga can't have both", zone, map[bool]string{true: "this node", false: "the parents' zone"}[zone == s.Name])
		}
		if !slices.Contains(once, zone) {
			once = append(once, zone)
		}
	}
	return once, nil
}

// api returns features-available/api.conf.
func (s Setup) api() string {
	return written + "\n" +
		object("ApiListener", "api",
			fmt.Sprintf("accept_config = %t", s.AcceptConfig),
			fmt.Sprintf("accept_commands = %t", s.AcceptCommands),
			"bind_host = "+Quote(s.ListenHost),
			"bind_port = "+s.ListenPort) +
		"\n// With this node's own certificate icinga-enroll asks the agent whether and since when it is connected.\n" +
		object("ApiUser", "icinga-enroll",
			"client_cn = "+Quote(s.Name),
			`permissions = [ "objects/query/Endpoint", "status/query" ]`)
}

// Listen is where the agent is to be reached on this machine.
func (s Setup) Listen() string { return net.JoinHostPort(s.ListenHost, s.ListenPort) }

// Quote writes s as a string of Icinga's configuration language. All but these
// may stand in one as they are; an escape by number takes every digit behind it
// for its own, and is refused then (observed on 2.13.6).
func Quote(s string) string { return `"` + escapes.Replace(s) + `"` }

var escapes = strings.NewReplacer(`"`, `\"`, `\`, `\\`, "\n", `\n`, "\r", `\r`)

func quoteList(parents []Parent) string {
	names := make([]string, len(parents))
	for i, p := range parents {
		names[i] = Quote(p.Name)
	}
	return "[ " + strings.Join(names, ", ") + " ]"
}

// A line of constants.conf that sets a constant, and the package's example of one.
type constant struct{ line, example *regexp.Regexp }

func constantNamed(name string) constant {
	set := `const[ \t]+` + name + `[ \t]*=[^\r\n]*`
	return constant{regexp.MustCompile(`(?m)^[ \t]*` + set), regexp.MustCompile(`(?m)^[ \t]*//[ \t]*` + set)}
}

var constants = map[string]constant{"NodeName": constantNamed("NodeName"), "ZoneName": constantNamed("ZoneName")}

// in finds the line that sets the constant, else the example of it; nil: neither
// is there. A line inside of a comment of several is neither.
func (c constant) in(text string) []int {
	others := comments.FindAllStringIndex(text, -1)
	for _, form := range []*regexp.Regexp{c.line, c.example} {
		for _, at := range form.FindAllStringIndex(text, -1) {
			if !slices.ContainsFunc(others, func(o []int) bool { return o[0] < at[0] && at[0] < o[1] }) {
				return at
			}
		}
	}
	return nil
}

// setConstants returns constants.conf with this node's names in it.
func setConstants(text, name string) string {
	for _, c := range []string{"NodeName", "ZoneName"} {
		line := fmt.Sprintf("const %s = %s", c, Quote(name))
		if at := constants[c].in(text); at != nil {
			text = text[:at[0]] + line + text[at[1]:]
		} else {
			text = strings.TrimRight(text, "\r\n") + "\n" + line + "\n"
		}
	}
	return text
}

var includesConfD = regexp.MustCompile(`(?m)^[ \t]*include_recursive[ \t]+"conf\.d"[^\r\n]*`)

// withoutConfD returns icinga2.conf without the folder of local objects, whose
// examples would be checked here besides what the parents send.
func withoutConfD(text string) string {
	return includesConfD.ReplaceAllString(text, `// An agent gets its objects from its parents (icinga-enroll).
// include_recursive "conf.d"`)
}
