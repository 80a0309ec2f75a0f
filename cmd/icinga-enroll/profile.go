package main

import (
	"os"
	"slices"

	"icinga-enroll/enroll"
	"icinga-enroll/platform"
)

// What a certificate may be for.
const (
	profileAgent  = "agent"
	profileClient = "api-client"
)

func (c *loaded) isClient() bool { return c.Profile == profileClient }

// readProfile refuses what would make a host or an agent of an API client.
func (c *loaded) readProfile(s *enroll.Settings) error {
	if !c.isClient() {
		return c.checkNoOwner()
	}
	s.APIClient = true
	s.HostState, s.HostCerts = platform.DefaultPaths().State, platform.DefaultPaths().Certs
	if err := c.checkClientTicket(); err != nil {
		return err
	}
	switch {
	case c.Host.Name == "":
		return usage("host.name is not set: an API client has a name of its own; this machine's is its Icinga agent's")
	case c.Agent.Manage != "never":
		return usage("%s: profile: api-client has no agent to manage: remove the setting", c.where("agent.manage"))
	case len(c.CA.Endpoints)+len(c.Agent.Parents) == 0 && !c.offline && !c.asksNoCA:
		return usage("ca.endpoints is not set: no Director says by whom an API client's certificate is signed; set it to name@host:port of the master or a satellite")
	case c.Director.User != "" && c.Director.URL == "":
		return usage("%s takes director.url, too: the Director is asked whether it has a host of this name", c.where("director.user"))
	}
	return c.readOwner(s)
}

// checkClientTicket refuses the tickets and keys that only hosts have.
func (c *loaded) checkClientTicket() error {
	switch {
	case slices.Contains(c.CA.Ticket, "self-service"):
		return usage("%s: self-service would register a host, which an API client is not: with profile: api-client set none (somebody approves), static or icinga-api", c.where("ca.ticket"))
	case slices.Contains(c.CA.Ticket, "director"):
		return usage("%s: the Director has tickets for hosts only, which an API client is not: with profile: api-client set none (somebody approves), static or icinga-api", c.where("ca.ticket"))
	}
	for _, key := range []string{"director.template_key", "director.template_key_file", "director.host_key", "director.host_key_file"} {
		if c.isSet(key) {
			return usage("%s: an API client is no host of the Director's and has no such key: remove it", c.where(key))
		}
	}
	return nil
}

func (c *loaded) checkNoOwner() error {
	for _, key := range []string{"key.owner", "key.group"} {
		if c.isSet(key) {
			return usage("%s is for profile: api-client: an agent's files get the owner of paths.certs", c.where(key))
		}
	}
	return nil
}

func (c *loaded) readOwner(s *enroll.Settings) (err error) {
	if c.Key.Owner == "" && c.Key.Group == "" {
		return nil
	}
	if s.Owner, err = platform.LookupOwner(c.Key.Owner, c.Key.Group); err != nil {
		return usage("key.owner, key.group: %w", err)
	}
	if os.Geteuid() > 0 && !c.onlyUses {
		return usage("key.owner, key.group: only root can give files to another account: run this as root, or remove them")
	}
	s.GroupReads = c.Key.Group != ""
	return nil
}
