package main

import (
	"errors"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/pflag"

	"icinga-enroll/platform"
	"icinga-enroll/platform/service"
)

// instance is one of several identities that a machine may have.
type instance struct {
	name    string // "": the machine's first, or only, one
	paths   platform.Paths
	asked   bool   // somebody has named the instance or its file: that has to be there
	service string // its name with the service manager
}

// instanceOf is what --instance and --config say.
func instanceOf(flags *pflag.FlagSet) instance {
	in := instance{paths: platform.DefaultPaths(), asked: flags.Changed("config"), service: "icinga-enroll"}
	if f := flags.Lookup("instance"); f != nil && f.Changed {
		in.name, in.asked = f.Value.String(), true
		in.paths = in.paths.Instance(in.name)
	}
	usual := in.paths.Config
	if flags.Changed("config") {
		in.paths.Config, _ = flags.GetString("config")
	}
	if in.name != "" {
		in.service = service.InstanceName(in.service, in.name, in.paths.Config == usual && !isAgents(usual))
	}
	return in
}

// isTemplates reports whether its service is that of a package's template.
func (in instance) isTemplates() bool { return strings.Contains(in.service, "@") }

// isAgents reports whether a configuration is an agent's, which needs root. The
// service's name is asked for by accounts, too, that can't read it: to them it is
// an API client's, unless there is a unit that says otherwise.
func isAgents(file string) bool {
	l, err := fileLayer(file, true)
	return err == nil && l.values["profile"] != profileClient
}

// arguments begin the command line of a program that is this instance.
func (in instance) arguments(file string) []string {
	if in.name == "" {
		return []string{"--config", file}
	}
	return []string{"--instance", in.name, "--config", file}
}

// ownCommands are commands that a text tells somebody to run.
var ownCommands = regexp.MustCompile(`\bicinga-enroll (…|(?:once|run|renew|verify|status|check|agent|service|config|discard-request|csr|import|export|whoami|leave|accept-machine|seal)\b)`)

// own makes the commands in a text those of this instance.
func (in instance) own(text string) string {
	if in.name == "" {
		return text
	}
	return ownCommands.ReplaceAllString(text, "icinga-enroll --instance "+in.name+" $1")
}

// instanceName is a flag's value: a part of a file's and of a service's name.
type instanceName string

func (i *instanceName) Set(name string) error {
	const known = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	switch {
	case name == "" || strings.Trim(name, known) != "":
		return errors.New("want letters, digits, \"-\" and \"_\"")
	case strings.EqualFold(name, "config"):
		return errors.New("the file of that name is the configuration without --instance")
	case strings.EqualFold(name, "renew"):
		return errors.New("icinga-enroll-renew is what the package's timer starts")
	}
	*i = instanceName(name)
	return nil
}

func (i *instanceName) String() string { return string(*i) }

func (i *instanceName) Type() string { return "name" }

// checkInstance keeps the files of two instances apart.
func (c *loaded) checkInstance() error {
	first := platform.DefaultPaths()
	switch {
	case c.instance.name == "":
		return nil
	case filepath.Clean(c.Paths.State) == filepath.Clean(first.State):
		return usage("%s is that of the instance without a name: remove the setting, or set another folder", c.where("paths.state"))
	case c.origin["paths.certs"] == "default":
		return usage("--instance %s: an agent beside this machine's own has its certificate elsewhere: set agent.data_dir or paths.certs, or profile: api-client", c.instance.name)
	}
	return nil
}
