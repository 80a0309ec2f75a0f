package main

import (
	"crypto/x509/pkix"
	"fmt"

	"github.com/spf13/cobra"

	"icinga-enroll/enroll"
)

func newCSR() *cobra.Command {
	var subject pkix.Name
	cmd := &cobra.Command{
		Use:   "csr",
		Short: "Write a certificate request for a CA that works with files",
		Long: `Writes <CN>.key, if it isn't there, and <CN>.csr (PKCS#10) into the certs folder.
CN is host.name, else the name under which this machine is enrolled, else its fully
qualified domain name. No server is asked, and neither a Director nor the pin of a CA
need be set. The CA makes a certificate of the request; "icinga-enroll import" takes it.`,
		Example: "  icinga-enroll csr --organization 'Example Ltd'",
		Args:    cobra.NoArgs,
		RunE:    verb(func(cmd *cobra.Command, _ []string) error { return csr(cmd, subject) }),
	}
	cmd.Flags().StringArrayVar(&subject.Organization, "organization", nil, "`O` of the subject")
	cmd.Flags().StringArrayVar(&subject.OrganizationalUnit, "organizational-unit", nil, "`OU` of the subject")
	addSettings(cmd.Flags())
	return cmd
}

func csr(cmd *cobra.Command, subject pkix.Name) error {
	lines := newLines(cmd, false)
	defer lines.close()
	e, done, err := newRequester(cmd, lines.observe)
	if err != nil {
		return err
	}
	defer done()
	p, err := e.PrepareCSR(cmd.Context(), subject)
	lines.close()
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(cmd.OutOrStdout(), instanceOf(cmd.Flags()).own(fmt.Sprintf(`
The key stays here. Take the request to the CA; on the master of an Icinga CA:

  icinga2 pki sign-csr --csr %s.csr --cert %[1]s.crt

Bring back the certificate and the CA's (/var/lib/icinga2/certs/ca.crt there), then:

  icinga-enroll import %[1]s.crt --ca ca.crt
`, p.Name)))
	return err
}

// newRequester is newOffline for who asks nobody and believes nobody: files that
// only servers are asked with need not be there.
func newRequester(cmd *cobra.Command, observe func(enroll.Step)) (*enroll.Enroller, func(), error) {
	c, err := load(cmd.Flags())
	if err != nil {
		return nil, nil, err
	}
	c.offline = true
	c.dropSecrets()
	c.CA.File, c.Director.URL, c.Director.CAFile = "", "", ""
	return c.enroller(observe)
}
