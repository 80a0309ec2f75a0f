package main

import (
	"fmt"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"icinga-enroll/selfservice/selfservicetest"
)

// host show HOST prints what the Director has of it.
// host address HOST ADDRESS is an admin who sets it there.
// host template NAME makes a template that is no agent's; with -agent before NAME, an agent's;
// with -silent, one that doesn't say.
func cmdHost(ts *testscript.TestScript, _ bool, args []string) {
	s := scriptOf(ts)
	if args[0] == "template" {
		name := args[len(args)-1]
		s.Director.SetTemplate(selfservicetest.Template{Name: name, NoAgent: args[1] != "-agent", Silent: args[1] == "-silent"})
		return
	}
	h, known := s.Director.Host(args[1])
	if !known {
		ts.Fatalf("there is no host %s", args[1])
	}
	if args[0] == "address" {
		h.Address = args[2]
		s.Director.SetHost(h)
		return
	}
	out := ts.Stdout()
	_, err := fmt.Fprintf(out, "address %s\nvars %v\nimports %s\n", h.Address, h.Vars, strings.TrimSpace(h.Template))
	ts.Check(err)
}
