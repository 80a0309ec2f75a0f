package main

import (
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func newConfig() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print the configuration in force and where each value came from",
		Long: `Prints every setting, its value and where the value came from: the file with its
line, an environment variable, a flag or the default. Secrets are not printed.
The settings are then checked as "once" would; exit code 2 if they won't do.`,
		Example: "  icinga-enroll --config ./config.yml config",
		Args:    cobra.NoArgs,
		RunE:    verb(printConfig),
	}
	addSettings(cmd.Flags())
	cmd.AddCommand(newConfigSchema())
	return cmd
}

func printConfig(cmd *cobra.Command, _ []string) error {
	c, err := load(cmd.Flags())
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, s := range allSettings() {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", s.key, s.show(c.values[s.key]), orUnset(c.origin[s.key])+c.remark(s.key))
	}
	if folder := os.Getenv("CREDENTIALS_DIRECTORY"); folder != "" {
		_, _ = fmt.Fprintf(table, "CREDENTIALS_DIRECTORY\t%s\t(systemd)\n", folder)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	e, done, err := newEnroller(cmd, nil)
	if err != nil {
		return err
	}
	defer done()
	lacks := lacksKey(e)
	if lacks == nil {
		return nil
	}
	if begun, err := e.Begun(cmd.Context()); begun || err != nil { // which asks nobody, without a key
		return nil // what this account can't see is for the run to say
	}
	return lacks
}

// remark is what else there is to say of a setting.
func (c *loaded) remark(key string) string {
	switch {
	case key != "director.template_key_file":
	case c.keyForgotten():
		return "; the key was forgotten (director.forget_template_key)"
	case c.keyMissing() && c.needsNoKey():
		return "; it isn't there, or empty, and this node can do without it"
	}
	return ""
}

func (s setting) show(value any) string {
	switch {
	case value == nil || value == "":
		return "-"
	case s.holdsSecret(value):
		return "[redacted]"
	default:
		return fmt.Sprint(value)
	}
}

func orUnset(origin string) string {
	if origin == "" {
		return "(not set)"
	}
	return origin
}
