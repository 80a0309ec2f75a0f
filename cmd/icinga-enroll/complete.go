package main

import (
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"icinga-enroll/platform"
)

// completeShells makes cobra's command for the scripts refuse other shells.
func completeShells(root *cobra.Command) {
	root.CompletionOptions.HiddenDefaultCmd = true
	root.InitDefaultCompletionCmd()
	if cmd, _, err := root.Find([]string{"completion"}); err == nil {
		cmd.Example = "  icinga-enroll completion fish > ~/.config/fish/completions/icinga-enroll.fish"
		cmd.RunE = verb(sayWhat("say for which shell: bash, zsh, fish or powershell"))
	}
}

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
