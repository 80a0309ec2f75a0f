package main

import (
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"icinga-enroll/platform"
)

// completeFlags has the shells complete the values of flags that know theirs.
func completeFlags(root *cobra.Command) {
	_ = root.RegisterFlagCompletionFunc("instance", completeInstance) // an error is a flag that isn't there
	all := allSettings()
	for _, cmd := range root.Commands() {
		for _, s := range all {
			if s.choices != nil && cmd.Flags().Lookup(s.flag) != nil {
				completeChoices(cmd, s.flag, s.choices)
			}
		}
	}
}

func completeChoices(cmd *cobra.Command, flag string, choices []string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(choices, cobra.ShellCompDirectiveNoFileComp))
}

// completeInstance lists those that have a configuration.
func completeInstance(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	files, _ := filepath.Glob(filepath.Join(filepath.Dir(platform.DefaultPaths().Config), "*.yml"))
	var names []cobra.Completion
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yml")
		if new(instanceName).Set(name) == nil {
			names = append(names, name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
