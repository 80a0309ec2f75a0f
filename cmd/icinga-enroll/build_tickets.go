package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"

	"icinga-enroll/enroll"
	"icinga-enroll/pki"
	"icinga-enroll/platform"
)

// readTickets reads ca.ticket, and refuses a source that lacks what it needs.
func (c *loaded) readTickets(s *enroll.Settings) (err error) {
	if len(c.CA.Ticket) == 0 {
		return usage("%s: name a source, or none", c.where("ca.ticket"))
	}
	for i, name := range c.CA.Ticket {
		source := enroll.TicketSource(name)
		switch {
		case source == enroll.TicketNone && i != len(c.CA.Ticket)-1:
			return usage("%s: none is the last way: nothing can come after it", c.where("ca.ticket"))
		case source == enroll.TicketDirector && c.Director.User == "":
			return usage("%s: director takes director.user and director.password_file", c.where("ca.ticket"))
		case source == enroll.TicketAPI && c.API.User == "" && c.API.CertificateFile == "":
			return usage("%s: icinga-api takes api.user and api.password_file, or api.certificate_file and api.key_file", c.where("ca.ticket"))
		}
		s.Tickets = append(s.Tickets, source)
	}
	s.StaticTicket, err = c.readSecret("ca.static_ticket", c.CA.StaticTicket, c.CA.StaticTicketFile)
	if err != nil {
		return err
	}
	if err := c.checkAPIPassword(); err != nil {
		return err
	}
	if !c.needsNoTicket() && slices.Contains(s.Tickets, enroll.TicketStatic) && s.StaticTicket.IsZero() {
		err = c.lacks("ca.static_ticket", usage("%s: static takes ca.static_ticket_file", c.where("ca.ticket")))
	}
	if err != nil {
		return err
	}
	return c.readAPI(s)
}

// checkAPIPassword refuses an ApiUser without a password where one is to make a
// ticket: it would be found out only once a key and a host are made.
func (c *loaded) checkAPIPassword() error {
	if c.needsNoTicket() || c.API.User == "" || c.API.CertificateFile != "" || !slices.Contains(c.CA.Ticket, string(enroll.TicketAPI)) {
		return nil
	}
	password, err := c.readPassword("api.password", c.API.Password, c.API.PasswordFile)
	if err == nil && password.IsZero() {
		err = c.lacks("api.password", usage("%s has no password: set api.password_file, or api.certificate_file and api.key_file", c.where("api.user")))
	}
	return err
}

func (c *loaded) readAPI(s *enroll.Settings) error {
	if c.API.Address == "" {
		return nil
	}
	name, address, named := strings.Cut(c.API.Address, "@")
	if !named {
		return usage("%s: %q is not of the form name@host:port: the name has to be checked, since every node has a certificate of the same CA", c.where("api.address"), c.API.Address)
	}
	address, err := withPort(address)
	if err != nil || name == "" {
		return usage("%s: %q is not of the form name@host:port", c.where("api.address"), c.API.Address)
	}
	s.API = enroll.Endpoint{Name: name, Address: address}
	return nil
}

// api makes clients of Icinga 2's API that are the user that is set.
func (c *loaded) api() (func(pki.Endpoint, pki.Trust) *pki.API, error) {
	if c.API.CertificateFile != "" {
		return c.apiByCertificate()
	}
	password, err := c.readPassword("api.password", c.API.Password, c.API.PasswordFile)
	if err != nil {
		return nil, err
	}
	return func(ep pki.Endpoint, t pki.Trust) *pki.API {
		return &pki.API{Address: ep.Address, Names: ep.Names, Trust: t, User: c.API.User, Password: password}
	}, nil
}

func (c *loaded) apiByCertificate() (func(pki.Endpoint, pki.Trust) *pki.API, error) {
	for _, key := range []string{"api.user", "api.password", "api.password_file"} {
		if c.isSet(key) {
			return nil, usage("%s and %s are both set: keep one, a user's password or a certificate", c.where(key), c.where("api.certificate_file"))
		}
	}
	certificate, err := c.apiCertificate()
	if err != nil {
		return nil, err
	}
	return func(ep pki.Endpoint, t pki.Trust) *pki.API {
		return &pki.API{Address: ep.Address, Names: ep.Names, Trust: t, Certificate: certificate}
	}, nil
}

func (c *loaded) apiCertificate() (*tls.Certificate, error) {
	if c.API.KeyFile == "" {
		return nil, usage("api.key_file is not set: name the key's file, too, for %s", c.where("api.certificate_file"))
	}
	chain, err := readCertificates(c.API.CertificateFile)
	if err != nil {
		return nil, usage("%s: %w", c.where("api.certificate_file"), err)
	}
	text, err := platform.ReadFile(c.API.KeyFile)
	if err != nil {
		return nil, usage("%s: %w", c.where("api.key_file"), err)
	}
	auth, err := c.tpmAuth()
	if err != nil {
		return nil, err
	}
	key, err := pki.Keys{TPM: c.tpm(auth)}.Parse(text)
	if err == nil && pki.InTPM(key) && !c.inTPM() {
		err = errors.New("a key in a TPM takes profile: api-client with key.store: tpm, or the service may not use the chip")
	}
	if err == nil && !pki.Matches(chain[0], key.Public()) {
		err = fmt.Errorf("%s holds the key of another certificate than the one in %s", c.API.KeyFile, c.API.CertificateFile)
	}
	if err != nil {
		return nil, usage("%s: %w", c.where("api.key_file"), err)
	}
	certificate := &tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, cert := range chain {
		certificate.Certificate = append(certificate.Certificate, cert.Raw)
	}
	return certificate, nil
}
