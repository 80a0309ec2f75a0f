package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"
)

// released is set by the release build: -ldflags "-X main.released=1.2.3".
var released = ""

func version() string {
	if released != "" {
		return released
	}
	return "devel"
}

// firstCommit is before any build of this program.
var firstCommit = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

// buildDate is the time of the commit that the program was built from. Go
// records it where it builds in a git checkout.
func buildDate() time.Time {
	if t, err := time.Parse(time.RFC3339, buildSetting("vcs.time")); err == nil {
		return t
	}
	return firstCommit
}

func buildSetting(key string) string {
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  icinga-enroll version",
		Args:    cobra.NoArgs,
		RunE: verb(func(cmd *cobra.Command, _ []string) error {
			text := "icinga-enroll " + version()
			if commit := buildSetting("vcs.revision"); commit != "" {
				text += fmt.Sprintf(" (commit %.12s, %s)", commit, buildDate().UTC().Format(time.DateOnly))
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s, %s, %s/%s\n", text, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		}),
	}
}
