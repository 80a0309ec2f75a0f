//go:build !linux

package main

import "github.com/spf13/cobra"

// newPackageFiles is no verb here: packages are made on Linux.
func newPackageFiles() *cobra.Command { return &cobra.Command{Use: "package-files", Hidden: true} }
