package main

import (
	"crypto/x509"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"icinga-enroll/pki"
)

func newTrust() *cobra.Command {
	return &cobra.Command{
		Use:   "trust HOST:PORT",
		Short: "Show the certificates of an Icinga endpoint and the pins of its CA",
		Long: `Asks an Icinga endpoint for its certificate chain and prints it with the pins of
its CA, ready to paste. Nothing is verified: compare a pin with what the CA's own
machine says before you use it:

  openssl x509 -in /var/lib/icinga2/ca/ca.crt -noout -pubkey |
    openssl pkey -pubin -outform der | sha256sum

The spki: pin survives the CA's own renewal, which keeps the key and changes the
certificate; the other one doesn't.`,
		Example: "  icinga-enroll trust master1.example.com:5665",
		Args:    cobra.ExactArgs(1),
		RunE:    verb(trust),
	}
}

func trust(cmd *cobra.Command, args []string) error {
	address := args[0]
	if _, after, named := strings.Cut(address, "@"); named {
		address = after // as this verb prints it for ca.endpoints
	}
	address, err := withPort(address)
	if err != nil {
		return coded{err, exitUsage}
	}
	chain, err := new(pki.Client).Chain(cmd.Context(), address)
	if err != nil {
		return err
	}
	return printChain(cmd.OutOrStdout(), address, chain)
}

func printChain(w io.Writer, address string, chain []*x509.Certificate) error {
	for i, cert := range chain {
		_, err := fmt.Fprintf(w, "%d  subject  %q\n   issuer   %q\n   valid    %s to %s\n   sha256   %s\n",
			i, cert.Subject.CommonName, cert.Issuer.CommonName,
			cert.NotBefore.UTC().Format(time.DateTime), cert.NotAfter.UTC().Format(time.DateTime), pki.Fingerprint(cert))
		if err != nil {
			return err
		}
	}
	ca := chain[len(chain)-1]
	if !ca.IsCA {
		return fmt.Errorf("%s doesn't send its CA's certificate along: take it from the CA's machine (/var/lib/icinga2/ca/ca.crt) and set ca.file", address)
	}
	_, err := fmt.Fprintf(w, `
To trust this CA, once you have compared it with the CA's own machine:

ca:
  endpoints: [%q]
  fingerprint: "%s"
  # or, until the CA's certificate is renewed: "%s"
`, chain[0].Subject.CommonName+"@"+address, pki.PublicKeyPin(ca), pki.CertificatePin(ca))
	return err
}
