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
	prefix := "const " + name + " = "
	for _, s := range statements(text) {
		if value, found := strings.CutPrefix(s, prefix); found {
			return slices.Contains(values, value)
		}
	}
	return slices.Contains(values, "")
}

var (
	spaces   = regexp.MustCompile(`\s+`)
	comments = regexp.MustCompile(`(?s)"(?:\\.|[^"\\])*"|\{\{\{.*?\}\}\}|/\*.*?\*/|//[^\r\n]*|#[^\r\n]*`)
)

// statements returns what is configured, without comments, with single spaces.
func statements(text string) []string {
	text = comments.ReplaceAllStringFunc(text, func(s string) string {
		if s[0] == '"' || s[0] == '{' {
			return s
		}
		return " "
	})
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

var zoneObject = regexp.MustCompile(`^object Zone (\S+) \{(.*)\}$`)
var parentOf = regexp.MustCompile(`\bparent = (\S+)`)

// hasChildren reports whether zones.conf has zones below the node's own: then
// it is a satellite's or a master's. own are the words that may stand for its
// own zone.
func hasChildren(zonesConf string, own ...string) bool {
	for _, s := range statements(zonesConf) {
		zone := zoneObject.FindStringSubmatch(s)
		if zone == nil {
			continue
		}
		if parent := parentOf.FindStringSubmatch(zone[2]); parent != nil && slices.Contains(own, parent[1]) {
			return true
		}
	}
	return false
}

// ownZones are the words for the zone that node is an endpoint of.
func ownZones(zonesConf, node string) []string {
	own := []string{"ZoneName", "NodeName", Quote(node)}
	for _, s := range statements(zonesConf) {
		zone := zoneObject.FindStringSubmatch(s)
		if zone != nil && regexp.MustCompile(`endpoints = \[[^\]]*(NodeName|`+regexp.QuoteMeta(Quote(node))+`)`).MatchString(zone[2]) {
			own = append(own, zone[1])
		}
	}
	return own
}
