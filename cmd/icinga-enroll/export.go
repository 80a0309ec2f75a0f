package main

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/spf13/cobra"

	"icinga-enroll/enroll"
	"icinga-enroll/platform"
)

func newExport() *cobra.Command {
	var x enroll.Export
	var format, password string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Hand the certificate over to another program",
		Long: `Writes the certificate in force into a new file, which only its owner can read:

  pem      private key, certificate and CA, one after the other
  pkcs12   the same under a password, encrypted with AES-256; with --legacy as
           programs before 2019 read it, which holds off nobody who has the file
  curl     a file for "curl --config", which names the files in the certs folder and
           a parent's API

A key in a TPM is handed to nobody: of that there is only the file for curl, which
uses it by OpenSSL's provider tpm2.

A file that is there is not overwritten, unless --replace says so, and none is
written into paths.certs or paths.state. After a renewal, export again: a hook
(hooks.post_renew) with --replace does that. A file for curl holds paths only, and
stays true. No server is asked.`,
		Example: "  icinga-enroll export --format pkcs12 --out client.p12 --password-file ./password",
		Args:    cobra.NoArgs,
		RunE: verb(func(cmd *cobra.Command, _ []string) (err error) {
			x.Format = enroll.ExportFormat(format)
			if err := checkExport(x, password); err != nil {
				return err
			}
			if x.Password, err = readPasswordFile("--password-file", password); err != nil {
				return err
			}
			return export(cmd, x)
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&format, "format", "", "pem, pkcs12 or curl")
	completeChoices(cmd, "format", []string{"pem", "pkcs12", "curl"})
	flags.StringVar(&x.File, "out", "", "`file` to write, outside of paths.certs and paths.state, which must not be there without --replace")
	flags.BoolVar(&x.Replace, "replace", false, "replace the file, if it is a regular one; it is its owner's alone again")
	flags.StringVar(&password, "password-file", "", "`file` that holds the password for pkcs12")
	flags.BoolVar(&x.Legacy, "legacy", false, "pkcs12 for old programs")
	addSettings(flags)
	return cmd
}

func checkExport(x enroll.Export, passwordFile string) error {
	isPKCS12 := x.Format == enroll.ExportPKCS12
	switch {
	case !slices.Contains(enroll.ExportFormats(), x.Format):
		return usage("--format: %q is none of: pem, pkcs12, curl", x.Format)
	case x.File == "", x.File == "-":
		return usage("--out: say into which file: what is in it is for nobody's eyes, so it isn't printed")
	case platform.IsSameFile(x.File, passwordFile):
		return usage("--out: %s is the file of --password-file, choose another one", x.File)
	case !isPKCS12 && (passwordFile != "" || x.Legacy):
		return usage("--password-file and --legacy are for --format pkcs12")
	}
	return nil
}

func export(cmd *cobra.Command, x enroll.Export) error {
	e, done, err := newEnrollerFor(cmd, nil, purpose{offline: true, onlyUses: true, writes: x.File})
	if err != nil {
		return err
	}
	defer done()
	err = e.Export(cmd.Context(), x)
	if errors.Is(err, fs.ErrExist) || errors.Is(err, enroll.ErrOwnFolder) || errors.Is(err, enroll.ErrNoPassword) {
		return coded{err, exitUsage}
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: written, readable for its owner only\n", x.File)
	return err
}
