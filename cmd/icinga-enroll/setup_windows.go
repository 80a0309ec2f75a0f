package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/platform"
	"icinga-enroll/platform/service"
)

// verbsOfSystem are those that only this operating system has.
func verbsOfSystem() []*cobra.Command { return []*cobra.Command{newSetup()} }

// properties are what the installer was given, as it was given.
type properties struct{ url, key, fingerprint, endpoints string }

// newSetup is what the installer (packaging/msi) runs as SYSTEM when the program
// is in its place. Nobody sees what it prints: the event log has it.
func newSetup() *cobra.Command {
	var p properties
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "What the installer does after it has put this program in its place",
		Long: `Makes and protects the folder of the configuration, writes a configuration from
the installer's properties if there is none, and installs and starts the service.
Without a configuration the service stays off, and the event log says why.`,
		Example: "  icinga-enroll setup",
		Hidden:  true,
		Args:    cobra.NoArgs,
		RunE: verb(func(cmd *cobra.Command, _ []string) error {
			cmd.SetOut(perhaps{cmd.OutOrStdout()})
			off, err := setUp(cmd, p)
			return inEventLog(cmd, off, err)
		}),
	}
	cmd.Flags().StringVar(&p.url, "url", "", "property DIRECTORURL")
	cmd.Flags().StringVar(&p.key, "key", "", "property TEMPLATEKEY")
	cmd.Flags().StringVar(&p.fingerprint, "fingerprint", "", "property CAFINGERPRINT, with commas")
	cmd.Flags().StringVar(&p.endpoints, "endpoints", "", "property ENDPOINTS, with commas")
	return cmd
}

// setUp returns why the service stays off, nil where it runs. The error is for an
// installation that is to be undone.
func setUp(cmd *cobra.Command, p properties) (off, err error) {
	in := instanceOf(cmd.Flags())
	dir, err := platform.GuardDir(filepath.Dir(in.paths.Config))
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }()
	switchedOff, err := isSwitchedOff(cmd.Context(), in.service)
	if err != nil {
		return nil, err
	}
	if switchedOff {
		return errors.New("somebody has switched it off, and it is left so"), nil
	}
	written, err := p.write(dir, filepath.Base(in.paths.Config))
	if err != nil {
		return nil, err
	}
	off, err = switchOn(cmd, in)
	if off == nil || len(written) == 0 {
		return off, err
	}
	for _, name := range written {
		err = errors.Join(err, dir.Remove(name))
	}
	return nil, errors.Join(usage("the installer's properties don't do: %w", off), err)
}

// switchOn installs and starts the service. It returns why the configuration
// doesn't do.
func switchOn(cmd *cobra.Command, in instance) (off, err error) {
	err = installService(cmd, nil)
	if exitCode(err) == exitUsage {
		return err, nil
	}
	if err != nil {
		return nil, err
	}
	return nil, service.Restart(cmd.Context(), in.service)
}

// isSwitchedOff reports whether the service is installed and somebody has seen to
// it that it isn't started at boot.
func isSwitchedOff(ctx context.Context, name string) (bool, error) {
	state, err := service.Status(ctx, name)
	if err != nil || state == service.NotInstalled {
		return false, err
	}
	enabled, err := service.Enabled(ctx, name)
	return !enabled, err
}

// inEventLog has the event log say what an administrator must do.
func inEventLog(cmd *cobra.Command, off, err error) error {
	if off == nil && err == nil {
		return nil
	}
	events, failed := service.EventsOf(instanceOf(cmd.Flags()).service)
	if failed != nil {
		return errors.Join(err, failed)
	}
	if err != nil {
		_, failed = fmt.Fprintf(events.Error, "The installation failed: %v", err)
		return errors.Join(err, failed)
	}
	text := fmt.Sprintf("The service is off: %v.\nTo switch it on once that is mended: icinga-enroll service install, then icinga-enroll service start.\n", off)
	_, _ = fmt.Fprint(cmd.OutOrStdout(), text)
	_, failed = fmt.Fprint(events.Warning, text)
	return failed
}

// perhaps is an output that may lead nowhere: the installer gives none.
type perhaps struct{ io.Writer }

func (p perhaps) Write(text []byte) (int, error) {
	_, _ = p.Writer.Write(text)
	return len(text), nil
}

const templateKeyFile = "template-key"

// write makes the configuration in dir, and the file of the key that it names.
// A configuration that is there is kept: then, and without properties, nothing is
// written. It returns the names of what was.
func (p properties) write(dir *platform.Dir, name string) ([]string, error) {
	_, err := os.Lstat(filepath.Join(dir.Path(), name))
	if p == (properties{}) || !errors.Is(err, fs.ErrNotExist) {
		return nil, ignoreAbsence(err)
	}
	text, err := p.configuration(dir.Path())
	if err != nil {
		return nil, err
	}
	var written []string
	if key := secret.New(p.key); !key.IsZero() {
		if err := dir.WriteFile(templateKeyFile, []byte(key.Reveal()+"\n"), 0o600, platform.Owner{}); err != nil {
			return nil, err
		}
		written = append(written, templateKeyFile)
	}
	// Every account may run check and status, which read it; the key isn't in it.
	return append(written, name), dir.WriteFile(name, text, 0o644, platform.Owner{})
}

func ignoreAbsence(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// configuration is the file that says what p says.
func (p properties) configuration(folder string) ([]byte, error) {
	var c struct {
		Director struct {
			URL     string `yaml:"url,omitempty"`
			KeyFile string `yaml:"template_key_file,omitempty"`
		} `yaml:"director"`
		CA struct {
			Fingerprint []string `yaml:"fingerprint,omitempty,flow"`
			Endpoints   []string `yaml:"endpoints,omitempty,flow"`
		} `yaml:"ca"`
	}
	c.Director.URL = strings.TrimSpace(p.url)
	if p.key != "" {
		c.Director.KeyFile = filepath.Join(folder, templateKeyFile)
	}
	c.CA.Fingerprint = listOf(p.fingerprint)
	c.CA.Endpoints = listOf(p.endpoints)
	text := bytes.NewBufferString("# Written by the installer, which won't touch it again.\n# icinga-enroll config shows all settings.\n")
	err := yaml.NewEncoder(text).Encode(c)
	return text.Bytes(), err
}

func listOf(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}
