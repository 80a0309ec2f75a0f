// Package faults is the campaign of faults: the program, as users have it, meets
// every way in which a server or the network can fail it, in every phase of an
// enrolment, a renewal and a new key. The servers are the lab's real ones, behind
// gates that make the faults.
//
// What is wanted follows from the fault and the phase by rule (cell.exit,
// checkKept), with the exit code and the words of each fault in the tables.
package faults

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"icinga-enroll/testdata/campaign"
)

// busy bounds how many nodes keep the processors busy; those that only wait for
// a server that says nothing don't count.
var busy = make(chan struct{}, 6)

func openServers(t *testing.T) *servers {
	s := &servers{Lab: campaign.OpenLab(t), web: newAuthority("A web CA")}
	s.icinga = labAuthority(s.Values["LAB_DIR"])
	s.asMaster = s.icinga.server(s.Values["LAB_MASTER_NAME"], nil, day, day)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(must(os.ReadFile(s.Values["LAB_DIRECTOR_CA_FILE"])))
	s.upstream = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, MaxIdleConnsPerHost: 8}
	return s
}

// TestFaults runs every fault in every phase in which it can happen.
func TestFaults(t *testing.T) {
	s, program := openServers(t), campaign.Build(t)
	cells := allCells(testing.Short())
	t.Run("cell", func(t *testing.T) {
		for i, c := range cells {
			t.Run(c.phase.name+"/"+c.fault.name, func(t *testing.T) {
				t.Parallel()
				c.run(t, s, program, net.IPv4(127, 88, byte(i/250), byte(1+i%250)))
				c.passed.Store(!t.Failed())
			})
		}
	})
	fmt.Print(table(cells))
}

// allCells has the slow ones first: they wait while the others work. In short it
// is every third of them, so that each fault is met in some phases and each phase
// has some faults, without those that take two minutes.
func allCells(short bool) []*cell {
	var cells []*cell
	for p := range phases {
		for i, f := range phases[p].faults() {
			c := &cell{phase: &phases[p], fault: &f}
			if !short || (i+p)%3 == 0 && c.slowness() < 2 {
				cells = append(cells, c)
			}
		}
	}
	slices.SortStableFunc(cells, func(a, b *cell) int { return cmp.Compare(b.slowness(), a.slowness()) })
	return cells
}

func table(cells []*cell) string {
	var b strings.Builder
	line := func(phase string, faults, cells, passed any) {
		fmt.Fprintf(&b, "%-28s %8v %8v %8v\n", phase, faults, cells, passed)
	}
	line("phase", "faults", "cells", "passed")
	names, all, passed := map[string]bool{}, 0, 0
	for _, p := range phases {
		of, ok := 0, 0
		for _, c := range cells {
			if c.phase.name != p.name {
				continue
			}
			of, names[c.fault.name] = of+1, true
			if c.passed.Load() {
				ok++
			}
		}
		line(p.name, of, of, ok)
		all, passed = all+of, passed+ok
	}
	line("all", len(names), all, passed)
	return b.String()
}
