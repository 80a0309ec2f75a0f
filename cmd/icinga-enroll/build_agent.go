package main

import (
	"net"
	"strconv"
	"strings"

	"icinga-enroll/enroll"
	"icinga-enroll/platform"
	"icinga-enroll/selfservice"
)

func (c *loaded) agentSettings() enroll.AgentSettings {
	a := c.Agent
	manage := enroll.Manage(a.Manage)
	if a.Manage == "never" {
		manage = enroll.ManageNever
	}
	return enroll.AgentSettings{
		Manage: manage, ConfigDir: a.ConfigDir, DataDir: a.DataDir, Listen: a.Listen,
		Validate: orNil(a.Validate), Reload: orNil(a.Reload), Run: platform.Run,
		AcceptCommands: a.AcceptCommands, Overwrite: a.Overwrite, Follow: a.Follow,
		Zone: a.Zone, GlobalZones: a.GlobalZones,
	}
}

func orNil(argv []string) []string {
	if len(argv) == 0 {
		return nil
	}
	return argv
}

// readAgent checks what would otherwise show only after a host was registered.
func (c *loaded) readAgent(s *enroll.Settings) error {
	a := c.Agent
	if a.Listen != "" {
		if host, port, err := net.SplitHostPort(a.Listen); err != nil || !isPort(port) || host != "" && net.ParseIP(host) == nil {
			return usage("%s: %q is not of the form address:port, such as [::]:5665", c.where("agent.listen"), a.Listen)
		}
	}
	if (a.Zone == "") != (len(a.Parents) == 0) || len(a.GlobalZones) > 0 && a.Zone == "" {
		return usage("agent.zone, agent.parents and agent.global_zones belong together: the first two, or none")
	}
	for _, text := range a.Parents {
		p, err := parseParent(text)
		if err != nil {
			return usage("%s: %w", c.where("agent.parents"), err)
		}
		s.Agent.Parents = append(s.Agent.Parents, p)
	}
	return c.checkZones()
}

func isPort(text string) bool {
	port, err := strconv.ParseUint(text, 10, 16)
	return err == nil && port > 0
}

// parseParent takes name@host:port, or a name alone: that parent connects to
// this node.
func parseParent(text string) (selfservice.Parent, error) {
	name, address, _ := strings.Cut(text, "@")
	if err := enroll.CheckName(name); err != nil {
		return selfservice.Parent{}, err
	}
	if address == "" {
		return selfservice.Parent{Name: name}, nil
	}
	address, err := withPort(address)
	if err != nil {
		return selfservice.Parent{}, usage("%q is not of the form name@host:port", text)
	}
	host, port, err := net.SplitHostPort(address)
	return selfservice.Parent{Name: name, Host: host, Port: port}, err
}

// checkZones refuses what Icinga can't have as a zone's name.
func (c *loaded) checkZones() error {
	for _, zone := range append([]string{c.Agent.Zone}, c.Agent.GlobalZones...) {
		if strings.ContainsFunc(zone, func(r rune) bool { return r < ' ' || r == 0x7f || r == '"' }) {
			return usage("agent.zone, agent.global_zones: %q can't be the name of a zone", zone)
		}
	}
	return nil
}
