package faults

import (
	"net"
	"testing"
)

// A fault is what goes wrong at a server, and what a node is to make of it.
// Exactly one of the four functions is set.
type fault struct {
	name string
	slow bool // the node waits until it gives up

	shut func(t *testing.T, addr string) (reopen func()) // nobody takes a connection
	conn func(c *net.TCPConn, p peer, serve func(*wire)) // TCP and TLS
	http func(x *exchange)                               // what the Director answers
	rpc  func(d *dialogue)                               // what Icinga answers

	director, master verdict // by the Director, by the master: what the node says
	rest             verdict // by the Director's REST API, where that is another
	lost             bool    // an answer to a registration would be
}

// A verdict is the exit code, and what is said of the fault and of what to do.
type verdict struct {
	exit int
	says string
}

const (
	works  = 0
	fails  = 1
	waits  = 3
	passes = 75
)

// What is said of several faults, and what is to be done.
const (
	unreached       = "Check that this machine reaches the host and port of director.url"
	broke           = "The server was reached, and then the connection broke: is its web server hanging or being restarted"
	logs            = "The logs of the Director's web server and PHP may say why"
	noDirector      = "Does director.url lead to an Icinga Director"
	icingaUnreached = "can't be reached: look at the address, the firewall, and whether Icinga runs there"
	icingaBroke     = "broke off the TLS handshake: the server is busy, restarting, or behind a firewall"
	icingaSilent    = "closed the connection without an answer. Known causes: .*its log says more, try again"
	noIcinga        = "does not answer as Icinga does: is it Icinga's port"
	notUsed         = "what lab-master at .* sent isn't used, and what is here stays as it was; Icinga's log there may say more: "
)

// meet has f meet a connection before TLS begins.
func (f *fault) meet(c *net.TCPConn, p peer, serve func(*wire)) {
	if f == nil || f.conn == nil {
		serve(whole(c))
		return
	}
	f.conn(c, p, serve)
}
