package agent

import (
	"slices"
	"testing"
)

func TestStatements(t *testing.T) {
	tests := map[string]struct {
		text string
		want []string
	}{
		"nothing":            {"", nil},
		"comments":           {"// a\n# b\n/* c\n d */ /** e **/\n", nil},
		"behind a statement": {"const a = 1 // b\nconst c = 2 # d\nconst e /* f */ = 3", []string{"const a = 1", "const c = 2", "const e = 3"}},
		"in strings":         {`include "a//b"` + "\n" + `const u = "http://x/#y /* z */"`, []string{`include "a//b"`, `const u = "http://x/#y /* z */"`}},
		"escaped quote":      {`const a = "\"// b" // c`, []string{`const a = "\"// b"`}},
		"in a heredoc":       {"const a = {{{ # b // c\n\" }}} // d", []string{"const a = {{{ # b // c \" }}}"}},
		"one line":           {"object A \"b\" { c = 1; d = [ 2, 3 ] }\nobject A \"e\" { }", []string{`object A "b" { c = 1; d = [ 2, 3 ] }`, `object A "e" { }`}},
		"many lines":         {"object A \"b\" {\n  c = [\n  1,\n 2 ]\n}\n", []string{`object A "b" { c = [ 1, 2 ] }`}},
		"CRLF":               {"const a = 1\r\n// b\r\nobject A B {\r\n\tc = 1\r\n}\r\n", []string{"const a = 1", "object A B { c = 1 }"}},
		"two objects a line": {`object A "b" {} object A "c" {}`, []string{`object A "b" {}`, `object A "c" {}`}},
		"semicolons":         {"const a = 1; const b = 2;", []string{"const a = 1", "; const b = 2", ";"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := statements(test.text); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

const wizards = `object Endpoint "master1" {
	host = "192.0.2.1"
	port = "5665"
}
object Zone "master" {
	endpoints = [ "master1" ]
}
object Endpoint "web1.example.com" {
}
object Zone "web1.example.com" {
	endpoints = [ "web1.example.com" ]
	parent = "master"
}
`

func TestWhatCountsAsThePackages(t *testing.T) {
	tests := map[string]struct {
		file, text string
		want       bool
	}{
		"empty":                     {zonesName, "", true},
		"comments only":             {zonesName, "# nothing\n", true},
		"one endpoint":              {zonesName, "object Endpoint NodeName { host = NodeName }\n", true},
		"CRLF":                      {zonesName, "object Zone ZoneName {\r\n\tendpoints = [ NodeName ]\r\n}\r\n", true},
		"a wizard's":                {zonesName, wizards, false},
		"one more global zone":      {zonesName, "object Zone \"global-templates\" { global = true }\nobject Zone \"mine\" { global = true }\n", false},
		"one more attribute":        {zonesName, "object Endpoint NodeName { host = NodeName; port = 5666 }\n", false},
		"a statement behind braces": {zonesName, "object Endpoint NodeName { }; log(1)\n", false},
		"an include":                {zonesName, `include "/srv/zones.conf"`, false},
		"brace in a string":         {zonesName, "object Endpoint NodeName { }\nobject Endpoint \"}{\" { }\n", false},
		"hidden in a heredoc":       {zonesName, "const a = {{{ /* }}}\nobject Endpoint \"x\" { }\n//*/", false},

		"api":           {apiName, "object ApiListener \"api\" {\n//accept_config = true\nticket_salt = TicketSalt\n}\n", true},
		"api that does": {apiName, "object ApiListener \"api\" {\naccept_config = true\nticket_salt = TicketSalt\n}\n", false},

		"main":              {mainName, "include <itl>\ninclude <windows-plugins>\ninclude_recursive \"conf.d\"\n", true},
		"main without it":   {mainName, "include <itl>\n//include_recursive \"conf.d\"\n", true},
		"main with another": {mainName, "include <itl>\ninclude_recursive \"site.d\"\n", false},
		"no angle brackets": {zonesName, "include <itl>\n", false},

		"nobody named":         {constantsName, "const ZoneName = NodeName\n//const NodeName = \"localhost\"\n", true},
		"named as we":          {constantsName, "const NodeName = \"web1.example.com\"\nconst ZoneName = \"web1.example.com\"\n", true},
		"named otherwise":      {constantsName, "const NodeName = \"web2.example.com\"\n", false},
		"without spaces":       {constantsName, "const NodeName=\"web2.example.com\"\n", false},
		"with tabs":            {constantsName, "const\tNodeName\t=\t\"web2.example.com\" // as it was\r\n", false},
		"zone named otherwise": {constantsName, "const ZoneName = \"master\"\n", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := isStock(test.file, test.text, testNode); got != test.want {
				t.Errorf("got %v of %q", got, statements(test.text))
			}
		})
	}
}

func TestSetConstants(t *testing.T) {
	const both = "const NodeName = \"web1.example.com\"\nconst ZoneName = \"web1.example.com\"\n"
	tests := map[string]struct{ old, want string }{
		"empty":         {"", "\n" + both},
		"an example":    {"//const NodeName = \"localhost\"\nconst ZoneName = NodeName\n", both},
		"the other one": {"//const NodeName = \"localhost\"\nconst NodeName = \"web2\" // mine\nconst ZoneName=NodeName\n", "//const NodeName = \"localhost\"\n" + both},
		"in a comment":  {"/* say\nconst NodeName = \"x\"\n*/\nconst ZoneName = NodeName", "/* say\nconst NodeName = \"x\"\n*/\nconst ZoneName = \"web1.example.com\"\nconst NodeName = \"web1.example.com\"\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := setConstants(test.old, testNode)
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if again := setConstants(got, testNode); again != got {
				t.Errorf("a second time it becomes %q", again)
			}
		})
	}
}

// A parent of others is never taken for an agent, however its zones.conf is
// written.
func TestParentsAreRecognised(t *testing.T) {
	const child = "object Zone \"child\" { endpoints = [ \"child\" ]; parent = "
	tests := map[string]struct {
		text string
		want bool
	}{
		"stock":                     {"object Zone ZoneName { endpoints = [ NodeName ] }\n", false},
		"a wizard's agent":          {wizards, false},
		"our own":                   {wizards + "object Zone \"global-templates\" { global = true }\n", false},
		"below NodeName":            {child + "NodeName }", true},
		"below ZoneName":            {child + "ZoneName }", true},
		"below its name":            {child + `"web1.example.com" }`, true},
		"by endpoints, constant":    {"object Zone \"sat\" { endpoints = [ NodeName ] }\n" + child + `"sat" }`, true},
		"by endpoints, name":        {"object Zone \"sat\" {\n endpoints = [ \"other\", \"web1.example.com\" ]\n parent = \"master\"\n}\n" + child + `"sat" }`, true},
		"by endpoints, CRLF":        {"object Zone \"sat\" {\r\n endpoints = [\r\n\"web1.example.com\" ]\r\n}\r\nobject Zone \"child\" {\r\n\tparent = \"sat\"\r\n}\r\n", true},
		"no spaces":                 {"object Zone \"sat\"{endpoints=[NodeName]}\nobject Zone \"child\"{parent=\"sat\"}", true},
		"semicolon behind":          {"object Zone \"child\" { parent = ZoneName; endpoints = [ \"child\" ]; }", true},
		"spaces in names":           {"object Zone \"the sat\" { endpoints = [ NodeName ] }\n" + child + `"the sat" }`, true},
		"braces in names":           {"object Zone \"}sat{\" { endpoints = [ NodeName ] }\n" + child + `"}sat{" }`, true},
		"in a condition":            {"if (true) {\n object Zone \"child\" { parent = ZoneName }\n}\n", true},
		"in a comment":              {"/*\n" + child + "ZoneName }\n*/\n", false},
		"a child of somebody":       {"object Zone \"sat\" { endpoints = [ NodeName ] }\n" + child + `"other" }`, false},
		"an endpoint of this name+": {"object Zone \"sat\" { endpoints = [ \"web1.example.com.other\" ] }\n" + child + `"sat" }`, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := hasChildren(test.text, ownZones(test.text, Quote(testNode))...); got != test.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
