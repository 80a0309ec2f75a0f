package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"icinga-enroll/platform"
	"icinga-enroll/platform/service"
)

// verbsOfSystem are those that only this operating system has: packages are made
// on Linux.
func verbsOfSystem() []*cobra.Command { return []*cobra.Command{newPackageFiles()} }

// newPackageFiles is for who makes packages: the files are made of the program's
// own lists, so they can't differ from it.
func newPackageFiles() *cobra.Command {
	return &cobra.Command{
		Use:     "package-files FOLDER",
		Short:   "Write the files that a package has besides the program",
		Example: "  icinga-enroll package-files /tmp/files",
		Hidden:  true,
		Args:    cobra.ExactArgs(1),
		RunE: verb(func(cmd *cobra.Command, args []string) error {
			files, err := packageFiles(cmd.Root())
			if err != nil {
				return err
			}
			if err := os.MkdirAll(args[0], 0o755); err != nil { //nolint:gosec // G301: there is no secret in these
				return err
			}
			for name, text := range files {
				if err := os.WriteFile(filepath.Join(args[0], name), []byte(text), 0o644); err != nil { //nolint:gosec // G306: the same
					return err
				}
			}
			return nil
		}),
	}
}

// packageFiles returns them by name.
func packageFiles(root *cobra.Command) (map[string]string, error) {
	paths := platform.DefaultPaths()
	files, err := service.Packaged(packagedService("/usr/bin/icinga-enroll", paths))
	if err != nil {
		return nil, err
	}
	const local = "/usr/local"
	elsewhere := paths
	elsewhere.Config = local + paths.Config
	for name, text := range service.Elsewhere(packagedService(local+"/bin/icinga-enroll", elsewhere)) {
		files[name] = text
	}
	known := defaults(paths)
	files["config.yml"] = exampleConfig(known)
	files["icinga-enroll.1"] = manOfVerbs(root)
	files["icinga-enroll.yml.5"] = manOfSettings(known)
	var schema strings.Builder
	if err := printSchema(&schema, known); err != nil {
		return nil, err
	}
	files["config.schema.json"] = schema.String()
	// Where the program is told otherwise by its system, no default is printed.
	delete(known, "paths.state")
	delete(known, "paths.certs")
	files["config.elsewhere.yml"] = exampleConfig(known)
	return files, completions(root, files)
}

// packagedService is what "service install" makes of a configuration that names
// no folders.
func packagedService(program string, paths platform.Paths) service.Config {
	c := loaded{file: paths.Config, instance: instance{service: "icinga-enroll"}}
	c.Paths.State, c.Paths.Certs = paths.State, paths.Certs
	made := c.service(paths.Config)
	made.Executable = program
	return made
}

func completions(root *cobra.Command, files map[string]string) error {
	for shell, generate := range map[string]func(*bytes.Buffer) error{
		"bash": func(b *bytes.Buffer) error { return root.GenBashCompletionV2(b, true) },
		"zsh":  func(b *bytes.Buffer) error { return root.GenZshCompletion(b) },
		"fish": func(b *bytes.Buffer) error { return root.GenFishCompletion(b, true) },
		"ps1":  func(b *bytes.Buffer) error { return root.GenPowerShellCompletionWithDesc(b) },
	} {
		var b bytes.Buffer
		if err := generate(&b); err != nil {
			return err
		}
		files["icinga-enroll."+shell] = b.String()
	}
	return nil
}
