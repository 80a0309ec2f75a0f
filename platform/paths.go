// Package platform holds what differs from one operating system to the next:
// where files belong, how they are replaced so that nobody ever sees half a
// file, and what this node is called.
//
// The program runs as root and writes into folders of other accounts, the
// Icinga agent's above all. Every file is therefore reached through a [Dir],
// which is the folder itself and not a path to it: whoever can write to a
// folder can't make root read or write anywhere else.
package platform

import "path/filepath"

// Paths are the places where the users of this operating system expect things.
// All are absolute.
type Paths struct {
	Config string // the configuration file
	State  string // the folder for what must not be lost
	Certs  string // the folder in which the Icinga agent looks for certificates
	Agent  string // the folder of the Icinga agent's configuration
}

// Instance returns the places of one of several identities of this machine: a
// configuration beside the first one's, and a state of its own.
func (p Paths) Instance(name string) Paths {
	p.Config = filepath.Join(filepath.Dir(p.Config), name+".yml")
	p.State = filepath.Join(p.State, "instances", name)
	return p
}
