package faults

import (
	"fmt"
	"slices"
)

// A phase is where a fault begins: with the n-th connection to one of the two
// servers, and then it lasts.
type phase struct {
	name     string
	atMaster bool // else at the Director
	from     int
	call     string // of the Director, as errors name it

	begin  beginning
	verb   []string // what is run; nil: once
	user   bool     // there is an Icinga Web user
	second bool     // there is another parent, without a fault

	registered bool // the host has its key by then
	requested  bool // the key of the request is on disk by then
	survives   bool // the run ends well all the same, with a warning
}

// A beginning is how the node stands before.
type beginning int

const (
	fresh    beginning = iota
	enrolled           // with a valid certificate
	due                // and that is to be renewed
)

var rekey = []string{"renew", "--rekey"}

var phases = []phase{
	{name: "trust", atMaster: true, from: 1},
	{name: "trust, two parents", atMaster: true, from: 1, second: true, survives: true},
	{name: "template's parameters", from: 1, call: "powershell-parameters", requested: true},
	{name: "registration", from: 2, call: "register-host", requested: true},
	{name: "host's parameters", from: 3, call: "powershell-parameters", requested: true, registered: true},
	{name: "ticket", from: 4, call: "ticket", requested: true, registered: true},
	{name: "certificate", atMaster: true, from: 2, requested: true, registered: true},
	{name: "renewal", atMaster: true, from: 1, begin: due, verb: []string{"renew"}, registered: true},
	{name: "renewal by once", atMaster: true, from: 1, begin: due, registered: true, survives: true},
	{name: "renewal, no Director", from: 1, call: "powershell-parameters", begin: due, verb: []string{"renew"}, registered: true, survives: true},
	{name: "new key, ticket", from: 2, call: "ticket", begin: enrolled, verb: rekey, registered: true, requested: true},
	{name: "new key, certificate", atMaster: true, from: 1, begin: enrolled, verb: rekey, registered: true, requested: true},
	{name: "REST, look", from: 2, call: "GET host", user: true, requested: true},
	{name: "REST, host", from: 6, call: "POST host", user: true, requested: true},
}

// faults are those that can happen there: before a request is sent there is
// nothing to answer.
func (p *phase) faults() []fault {
	switch {
	case p.from == 1 && p.atMaster && p.begin == fresh:
		return connFaults
	case p.atMaster:
		return slices.Concat(connFaults, rpcFaults)
	case p.call == "POST host": // of whose answer only the status is looked at
		return slices.Concat(connFaults, slices.DeleteFunc(slices.Clone(httpFaults), func(f fault) bool { return f.name == "a list" }))
	}
	return slices.Concat(connFaults, httpFaults)
}

// exit is what the run should end with.
func (c *cell) exit() int {
	switch v := c.verdict(); {
	case c.phase.survives || v.exit == works:
		return works
	case c.loses():
		return fails
	default:
		return v.exit
	}
}

func (c *cell) verdict() verdict {
	switch {
	case c.phase.atMaster:
		return c.fault.master
	case c.phase.user && c.fault.rest.says != "":
		return c.fault.rest
	}
	return c.fault.director
}

// loses reports whether the fault takes the answer to a registration.
func (c *cell) loses() bool { return c.fault.lost && c.phase.call == "register-host" }

const dropKey = `press "Drop Self Service API key"`

// says is what a person should read of the fault, and of what to do.
func (c *cell) says() string {
	if c.loses() {
		return "The Director may have registered the host all the same.*" + dropKey + ".*After that, or if the host is not there: icinga-enroll once"
	}
	return c.verdict().says
}

// blames is who should be blamed: the server, and at the Director the call.
func (c *cell) blames(n *site, g *gate) string {
	switch {
	case c.phase.atMaster:
		return g.addr
	case c.phase.user:
		return fmt.Sprintf("%s %q at %s failed: ", c.phase.call, n.Name, g.addr)
	}
	return fmt.Sprintf("%s at %s failed: ", c.phase.call, g.addr)
}

// replaced reports whether the node should have a new certificate after the run.
func (c *cell) replaced() bool {
	return c.verdict().exit == works || c.phase.survives && (!c.phase.atMaster || c.phase.begin != due)
}
