//go:build !windows && !linux

package main

import "github.com/spf13/cobra"

// verbsOfSystem are those that only this operating system has.
func verbsOfSystem() []*cobra.Command { return nil }
