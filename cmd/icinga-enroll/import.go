package main

import (
	"github.com/spf13/cobra"

	"icinga-enroll/enroll"
	"icinga-enroll/platform"
)

func newImport() *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "import FILE...",
		Short: "Put a certificate in place that somebody has handed over",
		Long: `Takes a certificate that a CA has signed for this machine, from files in any order:
PEM with any number of certificates, DER, PKCS#12. The key is in them, in --key, or
here already, from "icinga-enroll csr". Name, key, dates and the chain to the CA are
checked; then all is put in place as "once" does it. What is refused changes nothing.

The CA is the one that is configured. Where none is, the one in --ca, else in the files,
is believed from then on. No server is asked; with director.user the Director is, whether
the name is that of an endpoint, or, for profile: api-client, of a host.`,
		Example: "  icinga-enroll import web1.example.com.crt --ca ca.crt",
		Args:    cobra.MinimumNArgs(1),
		RunE:    verb(func(cmd *cobra.Command, args []string) error { return importFiles(cmd, args, o) }),
	}
	flags := cmd.Flags()
	flags.StringVar(&o.ca, "ca", "", "`file` of the CA's certificate, PEM or DER")
	flags.StringVar(&o.key, "key", "", "`file` of the private key, PEM or DER")
	flags.StringVar(&o.password, "password-file", "", "`file` that holds the password of a PKCS#12 file")
	addSettings(flags)
	return cmd
}

type importOptions struct{ ca, key, password string }

func importFiles(cmd *cobra.Command, args []string, o importOptions) error {
	files, err := o.read(args)
	if err != nil {
		return err
	}
	lines := newLines(cmd, false)
	defer lines.close()
	e, done, err := newOffline(cmd, lines.observe)
	if err != nil {
		return err
	}
	defer done()
	report, err := e.Import(cmd.Context(), files)
	if err == nil {
		err = report.Missed()
	}
	return err
}

func (o importOptions) read(args []string) (f enroll.Files, err error) {
	for _, name := range args {
		data, err := platform.ReadFile(name)
		if err != nil {
			return f, usage("%w", err)
		}
		f.Certificate = append(f.Certificate, data)
	}
	f.Names, f.CAName, f.KeyName = args, o.ca, o.key
	if f.CA, err = readOptional("--ca", o.ca); err != nil {
		return f, err
	}
	if f.Key, err = readOptional("--key", o.key); err != nil {
		return f, err
	}
	f.Password, err = readPasswordFile("--password-file", o.password)
	return f, err
}

// readOptional returns nil where no file is given.
func readOptional(flag, name string) ([]byte, error) {
	if name == "" {
		return nil, nil
	}
	data, err := platform.ReadFile(name)
	if err != nil {
		return nil, usage("%s: %w", flag, err)
	}
	return append([]byte{}, data...), nil // not nil where it is empty
}
