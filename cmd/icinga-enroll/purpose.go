package main

import (
	"github.com/spf13/cobra"

	"icinga-enroll/enroll"
)

// newEnroller turns the configuration in force into an Enroller, and returns
// what is to be called when it isn't needed any more.
func newEnroller(cmd *cobra.Command, observe func(enroll.Step)) (*enroll.Enroller, func(), error) {
	return newEnrollerFor(cmd, observe, purpose{})
}

// newKeeper is newEnroller for a verb that looks after what is here: an API client
// needs neither an endpoint nor a pin for that.
func newKeeper(cmd *cobra.Command, observe func(enroll.Step)) (*enroll.Enroller, func(), error) {
	return newEnrollerFor(cmd, observe, purpose{asksNoCA: true})
}

// newOffline is newEnroller for a verb that enrols nobody: neither a Director nor
// the pin of a CA need be set.
func newOffline(cmd *cobra.Command, observe func(enroll.Step)) (*enroll.Enroller, func(), error) {
	return newEnrollerFor(cmd, observe, purpose{offline: true})
}

// purpose is what a verb does without.
type purpose struct {
	offline  bool // it enrols nobody: neither a Director nor a pin need be set
	asksNoCA bool // it needs no certificate: an API client's CA need not be known
	onlyUses bool // it asks for no ticket and gives no files away: whoever may read the key may run it
	installs bool // it installs a service, which may get more secrets than there are here

	writes string // the file that it writes, if the operator has named one
}

func (p purpose) needsNoTicket() bool { return p.offline || p.onlyUses }

func newEnrollerFor(cmd *cobra.Command, observe func(enroll.Step), p purpose) (*enroll.Enroller, func(), error) {
	c, err := load(cmd.Flags())
	if err != nil {
		return nil, nil, err
	}
	c.purpose = p
	if err := c.refuseOverwritten(p.writes); err != nil {
		return nil, nil, err
	}
	if p.onlyUses && (p.offline || c.isClient()) {
		c.dropSecrets()
	}
	return c.enroller(observe)
}
