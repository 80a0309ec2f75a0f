package agent

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// What packages ship, without comments, a statement each (seen in Icinga's own
// sources' etc folder as Debian, RHEL, Alpine, FreeBSD and Windows package it).
var stockStatements = map[string][]string{
	"zones.conf": {
		`object Endpoint NodeName { host = NodeName }`,
		`object Endpoint NodeName { }`,
		`object Zone ZoneName { endpoints = [ NodeName ] }`,
		`object Zone "global-templates" { global = true }`,
		`object Zone "director-global" { global = true }`,
	},
	"api.conf": {
		`object ApiListener "api" { ticket_salt = TicketSalt }`,
		`object ApiListener "api" { }`,
	},
	"icinga2.conf": {
		`include "constants.conf"`,
		`include "zones.conf"`,
		`include "features-enabled/*.conf"`,
		`include_recursive "conf.d"`,
		`include_recursive "repository.d"`,
	},
}

var includesLibrary = regexp.MustCompile(`^include <[a-z-]+>$`)

// isStock reports whether nobody but the package has written the text of the
// file name. For constants.conf it reports whether nobody has named the node
// otherwise: the rest of it is kept in any case.
func isStock(name, text, node string) bool {
	base := path.Base(name)
	if base == "constants.conf" {
		return hasConstant(text, "NodeName", "", Quote(node)) && hasConstant(text, "ZoneName", "", "NodeName", Quote(node))
	}
	known := stockStatements[base]
	return !slices.ContainsFunc(statements(text), func(s string) bool {
		return !slices.Contains(known, s) && (base != "icinga2.conf" || !includesLibrary.MatchString(s))
	})
}

// hasConstant reports whether a constant has one of these values; "" stands for
// one that isn't set.
func hasConstant(text, name string, values ...string) bool {
	return slices.Contains(values, valueOf(text, name))
}

var setsConstant = regexp.MustCompile(`^const (\w+) ?= ?(.*)$`)

// valueOf returns what a constant is set to, as it is written; "" if it isn't.
func valueOf(text, name string) string {
	for _, s := range statements(text) {
		if set := setsConstant.FindStringSubmatch(s); set != nil && set[1] == name {
			return set[2]
		}
	}
	return ""
}

var (
	spaces   = regexp.MustCompile(`\s+`)
	comments = regexp.MustCompile(`(?s)"(?:\\.|[^"\\])*"|\{\{\{.*?\}\}\}|/\*.*?\*/|//[^\r\n]*|#[^\r\n]*`)
)

// withoutComments keeps what looks like one in a string.
func withoutComments(text string) string {
	return comments.ReplaceAllStringFunc(text, func(s string) string {
		if s[0] == '"' || s[0] == '{' {
			return s
		}
		return " "
	})
}

// statements returns what is configured, without comments, with single spaces.
func statements(text string) []string {
	text = withoutComments(text)
	var all []string
	depth, begin := 0, 0
	end := func(at int) {
		if s := strings.TrimSpace(spaces.ReplaceAllString(text[begin:at], " ")); s != "" {
			all = append(all, s)
		}
		begin = at
	}
	for i, c := range text {
		switch c {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 && c == '}' {
				end(i + 1)
			}
		case '\n', ';':
			if depth == 0 {
				end(i)
			}
		}
	}
	end(len(text))
	return all
}

// A zone may be defined anywhere, and written with spaces or without.
var (
	quoted      = `"(?:\\.|[^"\\])*"`
	zoneObject  = regexp.MustCompile(`\bobject Zone (` + quoted + `|[^\s{]+) ?\{((?:` + quoted + `|[^"{}])*)\}`)
	parentOf    = regexp.MustCompile(`\bparent ?= ?(` + quoted + `|[\w.]+)`)
	endpointsOf = regexp.MustCompile(`\bendpoints ?\+?= ?\[((?:` + quoted + `|[^"\]])*)\]`)
	words       = regexp.MustCompile(quoted + `|[\w.]+`)
	quotedName  = regexp.MustCompile(`^` + quoted + `$`)
)

// zone is an object Zone: its name and its attributes as they are written.
type zone struct{ name, attributes string }

func zonesOf(zonesConf string) (all []zone) {
	text := spaces.ReplaceAllString(withoutComments(zonesConf), " ")
	for _, match := range zoneObject.FindAllStringSubmatch(text, -1) {
		all = append(all, zone{match[1], match[2]})
	}
	return all
}

// hasChildren reports whether zones.conf has zones below the node's own: then
// it is a satellite's or a master's. own are the words that may stand for its
// own zone.
func hasChildren(zonesConf string, own ...string) bool {
	for _, z := range zonesOf(zonesConf) {
		if parent := parentOf.FindStringSubmatch(z.attributes); parent != nil && slices.Contains(own, parent[1]) {
			return true
		}
	}
	return false
}

// ownZones are the words for the zone of a node. names are those for the node
// itself, besides the constants.
func ownZones(zonesConf string, names ...string) []string {
	names = append([]string{"ZoneName", "NodeName"}, names...)
	own := slices.Clone(names)
	for _, z := range zonesOf(zonesConf) {
		endpoints := endpointsOf.FindStringSubmatch(z.attributes)
		if endpoints != nil && slices.ContainsFunc(words.FindAllString(endpoints[1], -1), func(w string) bool { return slices.Contains(names, w) }) {
			own = append(own, z.name)
		}
	}
	return own
}

// OtherName is the name by which the agent goes where that is another node's, as far
// as its files tell; else "". Icinga takes the certificate that NodeName names, and
// an endpoint of the certificate's name has to be there.
func (a Agent) OtherName(node string) string {
	constants, _ := a.readLinked(constantsName) // what can't be read tells nothing
	name := valueOf(constants, "NodeName")
	if !quotedName.MatchString(name) || name == Quote(node) || a.mentions(zonesName, node) {
		return ""
	}
	return strings.Trim(name, `"`)
}
