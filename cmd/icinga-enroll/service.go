package main

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"icinga-enroll/platform"
	"icinga-enroll/platform/service"
)

// Exit codes of "service status", those of the Linux Standard Base.
const (
	exitNotRunning   = 3
	exitNotInstalled = 4
)

func newService() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "service",
		Short: "Install, start and ask after the system service",
		Long: `Hands "icinga-enroll run" to this machine's service manager (systemd, OpenRC,
System V init, launchd, FreeBSD's rc, Windows), which starts it at every boot
and again whenever it dies.`,
		Example: "  icinga-enroll service install && icinga-enroll service start",
		Args:    cobra.NoArgs,
		RunE:    verb(sayWhat("say what to do with the service: install, uninstall, start, stop, restart or status")),
	}
	cmd.AddCommand(
		newServiceInstall(),
		newServiceVerb("uninstall", "Stop the service and remove it; configuration and state stay", "uninstalled", service.Uninstall),
		newServiceVerb("start", "Start the service", "started", service.Start),
		newServiceVerb("stop", "Stop the service until the next start or boot", "stopped", service.Stop),
		newServiceVerb("restart", "Stop the service and start it again", "restarted", service.Restart),
		newServiceStatus(),
	)
	return cmd
}

// sayWhat is a command that does nothing but by the commands below it: cobra's help
// would be exit code 0 to a script that has mistyped one.
func sayWhat(text string) func(*cobra.Command, []string) error {
	return func(*cobra.Command, []string) error { return usage("%s", text) }
}

func newServiceInstall() *cobra.Command {
	return &cobra.Command{
		Use:   "install",
		Short: "Install the service and have it started at every boot",
		Long: `Checks the configuration, then installs the service for this program and this
configuration file and has it started at every boot; "icinga-enroll service
start" starts it now. Installing again is no error: what differs is rewritten,
and a running service uses it after "icinga-enroll service restart".

Under systemd the service may write to /var/lib, paths.state, paths.certs, the
folder of metrics.textfile, the Icinga agent's folders and, where that is to be
forgotten, the template key's file: install again after a change of these, and
where one was made a symbolic link. A secret may be missing that a drop-in of its
unit brings (LoadCredential=).`,
		Example: "  icinga-enroll --config /etc/icinga-enroll/config.yml service install",
		Args:    cobra.NoArgs,
		RunE:    verb(installService),
	}
}

func installService(cmd *cobra.Command, _ []string) error {
	c, err := load(cmd.Flags())
	if err != nil {
		return err
	}
	if err := cmp.Or(c.fromFile(), c.needsNoRoot()); err != nil {
		return err
	}
	c.purpose = purpose{installs: service.TakesCredentials()}
	_, done, err := c.enroller(nil)
	if err != nil {
		return err
	}
	done()
	if err := c.hasFile(); err != nil {
		return err
	}
	if err := c.install(cmd); err != nil {
		return err
	}
	_, err = fmt.Fprint(cmd.OutOrStdout(), c.takesDropIn())
	return err
}

// takesDropIn says what the unit needs to be told that only its owner knows.
func (c *loaded) takesDropIn() (text string) {
	for _, credential := range c.awaited {
		text += fmt.Sprintf("! %s is in no file that the configuration names: its unit has to have it, systemctl edit %s, with the lines [Service] and LoadCredential=%[1]s:FILE\n", credential, c.instance.service)
	}
	if !c.instance.isTemplates() {
		return text
	}
	for _, path := range c.writePaths() {
		if own := c.instance.paths.State; path != own && !strings.HasPrefix(path, own+"/") {
			text += fmt.Sprintf("! it may write below %s alone: for %s, which has to be there, systemctl edit %s, with the lines [Service] and ReadWritePaths=%[2]s\n", own, path, c.instance.service)
		}
	}
	return text
}

func (c *loaded) install(cmd *cobra.Command) error {
	file, err := filepath.Abs(c.file)
	if err != nil {
		return usage("--config: %w", err)
	}
	if err := service.Install(cmd.Context(), c.service(file)); err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "service %s: installed, with %s\n", c.instance.service, file)
	return err
}

// service is the service of this configuration, which is in file.
func (c *loaded) service(file string) service.Config {
	return service.Config{
		Name:        c.instance.service,
		Description: "Icinga enrolment and certificate renewal",
		Arguments:   append(c.instance.arguments(file), "run"),
		WritePaths:  c.writePaths(),
		OtherPaths:  c.otherPaths(),
		Devices:     c.devices(),
	}
}

// writePaths are the folders in which "run" makes files.
func (c *loaded) writePaths() []string {
	paths := []string{c.Paths.State, c.Paths.Certs}
	if c.Metrics.Textfile != "" {
		paths = append(paths, filepath.Dir(c.Metrics.Textfile))
	}
	return paths
}

// otherPaths are the Icinga agent's folders in which "run" writes, and the file
// that it empties.
func (c *loaded) otherPaths() (paths []string) {
	if c.Agent.Manage != "never" {
		paths = []string{c.agentConfig(), cmp.Or(c.Agent.DataDir, filepath.Dir(c.Paths.Certs))}
	}
	if c.Director.ForgetTemplateKey {
		paths = append(paths, c.Director.TemplateKeyFile)
	}
	return paths
}

func (c *loaded) agentConfig() string {
	return cmp.Or(c.Agent.ConfigDir, platform.DefaultPaths().Agent)
}

// hasFile refuses a service without a configuration file: it is named to it, and
// what somebody names has to be there. A node that is enrolled can do without.
func (c *loaded) hasFile() error {
	if c.missing() == "" {
		return nil
	}
	return usage("the service reads %s, which doesn't exist: write it; empty it may do, since this node can do without", c.file)
}

// fromFile refuses settings of the environment: a service has another one.
func (c *loaded) fromFile() error {
	var found []string
	for _, origin := range c.origin {
		if strings.HasPrefix(origin, envPrefix) {
			found = append(found, origin)
		}
	}
	if len(found) == 0 {
		return nil
	}
	slices.Sort(found)
	return usage("the service won't see what is set in this environment: write it into %s and unset %s", c.file, strings.Join(found, ", "))
}

// needsNoRoot refuses what a package's instance can't do: it runs as an account
// of its own, and would end and be started again for ever.
func (c *loaded) needsNoRoot() error {
	switch {
	case !c.instance.isTemplates():
		return nil
	case !c.isClient():
		return usage("the service %s is an API client's, and the configuration an agent's by now: icinga-enroll service uninstall first", c.instance.service)
	case c.Key.Owner+c.Key.Group == "":
		return nil
	}
	return usage("key.owner, key.group: the service %s doesn't run as root and can't give files away: remove them, and have it run as the account that reads the key: systemctl edit %[1]s, with the lines [Service] and User=", c.instance.service)
}

func newServiceVerb(name, short, outcome string, do func(ctx context.Context, name string) error) *cobra.Command {
	return &cobra.Command{
		Use:     name,
		Short:   short,
		Example: "  icinga-enroll service " + name,
		Args:    cobra.NoArgs,
		RunE: verb(func(cmd *cobra.Command, _ []string) error {
			name := instanceOf(cmd.Flags()).service
			if err := do(cmd.Context(), name); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "service %s: %s\n", name, outcome)
			return err
		}),
	}
}

func newServiceStatus() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Say whether the service is installed and runs",
		Long: `Says whether the service is installed, runs, and is started at boot.
Exit code: 0 running, 3 stopped or failed, 4 not installed.`,
		Example: "  icinga-enroll service status || icinga-enroll service start",
		Args:    cobra.NoArgs,
		RunE:    verb(serviceStatus),
	}
}

func serviceStatus(cmd *cobra.Command, _ []string) error {
	name := instanceOf(cmd.Flags()).service
	state, err := service.Status(cmd.Context(), name)
	if err != nil {
		return err
	}
	enabled, err := service.Enabled(cmd.Context(), name)
	if err != nil {
		return err
	}
	boot := map[bool]string{true: ", started at boot", false: ", not started at boot"}[enabled]
	if state == service.NotInstalled {
		boot = ""
	}
	if _, err := fmt.Fprintf(cmd.OutOrStdout(), "service %s: %s%s\n", name, state, boot); err != nil {
		return err
	}
	switch state {
	case service.Running:
		return nil
	case service.NotInstalled:
		return coded{errSaid, exitNotInstalled}
	default:
		return coded{errSaid, exitNotRunning}
	}
}
