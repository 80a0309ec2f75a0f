// Package fleet has many nodes in one process: the program's own code, each node
// a goroutine with its folders in memory. Its tests boot them at once, against
// the lab and against a Director of given capacity, and let years go by.
//
// The tests are small unless -full is given; with -results they write what they
// have found, as tables and plots. "make fleet" does both.
package fleet

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"icinga-enroll/enroll"
	"icinga-enroll/enroll/secret"
	"icinga-enroll/pki"
)

// memory is where the nodes have their folders: files are written and synced as
// on any disk, without its time.
const memory = "/dev/shm"

// node is one machine: its daemon, and the folder that is its disk.
type node struct {
	enroll.Enroller
	dir string
}

// newNode is a new machine, which trusts the CA by trust.
func newNode(name, templateKey string, trust pki.Trust) (*node, error) {
	dir, err := os.MkdirTemp(memory, "fleet-")
	if err != nil {
		return nil, err
	}
	n := &node{dir: dir}
	n.Settings = enroll.Settings{
		Name:        name,
		Send:        []string{},
		TemplateKey: secret.New(templateKey),
		Trust:       trust,
		StateDir:    filepath.Join(dir, "state"),
		CertsDir:    filepath.Join(dir, "certs"),
	}
	n.Machine = enroll.Machine{
		Hostname:  func() (string, error) { return name, nil },
		FQDN:      func(context.Context) (string, error) { return name, nil },
		Addresses: func(context.Context) (v4, v6 netip.Addr, err error) { return v4, v6, nil },
	}
	n.Now = time.Now
	n.Daemon = true
	return n, nil
}

// scrap takes the machine away.
func (n *node) scrap() { _ = os.RemoveAll(n.dir) }

// hostName is the name of the node with that number, in the domain of one run.
func hostName(run string, number int) string {
	return fmt.Sprintf("node%d.%s.example.com", number, run)
}
