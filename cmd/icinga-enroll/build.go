package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"icinga-enroll/enroll"
	"icinga-enroll/pki"
	"icinga-enroll/platform"
	"icinga-enroll/selfservice"
)

// enroller's errors are usage errors: nothing has been asked of anybody yet.
func (c *loaded) enroller(observe func(enroll.Step)) (*enroll.Enroller, func(), error) {
	settings, err := c.settings()
	if err != nil {
		return nil, nil, coded{err, exitUsage}
	}
	director, err := c.director()
	if err != nil {
		return nil, nil, coded{err, exitUsage}
	}
	api, err := c.api()
	if err != nil {
		return nil, nil, coded{err, exitUsage}
	}
	e := &enroll.Enroller{
		Settings:  settings,
		Authority: func(t pki.Trust) enroll.Authority { return &pki.Client{Trust: t} },
		Local: func(ep pki.Endpoint, t pki.Trust, own tls.Certificate) enroll.LocalAgent {
			return &pki.API{Address: ep.Address, Names: ep.Names, Trust: t, Certificate: &own}
		},
		IcingaAPI: func(ep pki.Endpoint, t pki.Trust) enroll.TicketAPIClient { return api(ep, t) },
		ParentAPI: func(ep pki.Endpoint, t pki.Trust, own tls.Certificate) enroll.ParentAPI {
			return &pki.API{Address: ep.Address, Names: ep.Names, Trust: t, Certificate: &own}
		},
		Machine:   c.machine(),
		Now:       time.Now,
		BuildDate: buildDate(),
		Observe:   observe,
	}
	if director == nil {
		return e, func() {}, nil
	}
	if !c.isClient() { // who is no host has nothing to ask there but whether it has become one
		e.Director = director
	}
	controller, err := c.controller()
	if err != nil {
		return nil, nil, coded{err, exitUsage}
	}
	if controller == nil {
		return e, director.Close, nil
	}
	e.Controller = controller
	return e, func() { director.Close(); controller.Close() }, nil
}

func (c *loaded) settings() (enroll.Settings, error) {
	s := enroll.Settings{
		Name: c.Host.Name,
		Properties: selfservice.HostProperties{
			DisplayName: c.Host.DisplayName, Address: c.Host.Address, Address6: c.Host.Address6,
		},
		Send:    c.Host.Send,
		Imports: c.Host.Imports,
		Deploy:  c.Director.Deploy,
		Hooks: enroll.Hooks{
			PostRenew: c.Hooks.PostRenew, OnFailure: c.Hooks.OnFailure, Run: platform.Run,
		},
		Agent:       c.agentSettings(),
		Reregister:  c.Director.Reregister,
		ClonePolicy: enroll.ClonePolicy(c.ClonePolicy),
		StateDir:    c.Paths.State,
		CertsDir:    c.Paths.Certs,
	}
	return s, errors.Join(
		c.checkInstance(),
		c.readProfile(&s),
		c.readKeys(&s),
		c.checkHost(),
		c.readVars(&s),
		c.checkDeploy(),
		c.checkChoices(),
		c.checkSplay(),
		c.readAgent(&s),
		c.readTickets(&s),
		c.absolute(),
		c.checkHooks(),
		c.readSecrets(&s),
		c.readEndpoints(&s),
		c.readTrust(&s),
	)
}

// addressChars are those of IPv4 and IPv6 addresses and of names.
var addressChars = regexp.MustCompile(`^[A-Za-z0-9._:-]+$`)

// looksLikeIPv4 is what no name is made of: a top-level domain has letters.
var looksLikeIPv4 = regexp.MustCompile(`^[0-9]+(\.[0-9]+)+$`)

func (c *loaded) checkHost() error {
	if c.Host.Name != "" {
		if err := enroll.CheckName(c.Host.Name); err != nil {
			return usage("%s: %w", c.where("host.name"), err)
		}
	}
	if a := c.Host.Address; a != "" && !addressChars.MatchString(a) {
		return usage("%s: %q is neither an address nor a name", c.where("host.address"), a)
	}
	if a := c.Host.Address; looksLikeIPv4.MatchString(a) && net.ParseIP(a) == nil {
		return usage("%s: %q looks like an IPv4 address and is none", c.where("host.address"), a)
	}
	if a := c.Host.Address6; a != "" {
		if ip, err := netip.ParseAddr(a); err != nil || !ip.Is6() {
			return usage("%s: %q is not an IPv6 address", c.where("host.address6"), a)
		}
	}
	return nil
}

func (c *loaded) checkDeploy() error {
	if c.Director.Deploy && c.Director.User == "" {
		return usage("%s takes director.user and director.password_file: who deploys is an Icinga Web user", c.where("director.deploy"))
	}
	return nil
}

// readVars takes name=value.
func (c *loaded) readVars(s *enroll.Settings) error {
	for _, text := range c.Host.Vars {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" || strings.ContainsAny(name, `"[]`) { // as JSON would be taken
			return usage("%s: %q is not of the form name=value", c.where("host.vars"), text)
		}
		if s.Vars == nil {
			s.Vars = map[string]any{}
		}
		if _, twice := s.Vars[name]; twice {
			return usage("%s: %s is there twice", c.where("host.vars"), name)
		}
		s.Vars[name] = value
	}
	return nil
}

// byHand reports whether this node's certificate was brought by hand, and nothing
// says where else it could come from.
func (c *loaded) byHand() bool {
	return c.Director.URL == "" && c.origin["ca.ticket"] == "default" && enroll.KnowsCA(c.Paths.State)
}

func (c *loaded) checkChoices() error {
	for _, s := range allSettings() {
		if err := c.checkChoice(s); err != nil {
			return err
		}
	}
	if c.byHand() {
		c.CA.Ticket = []string{string(enroll.TicketNone)} // what was imported is watched, and renewed where somebody can
	}
	if c.Director.URL == "" && !c.offline && !c.isClient() && (slices.Contains(c.CA.Ticket, "self-service") || slices.Contains(c.CA.Ticket, "director")) {
		return usage("director.url is not set (in %s%s, in ICINGA_ENROLL_DIRECTOR_URL or by --director-url)", c.file, c.missing())
	}
	return nil
}

// longestSplay is how long a machine may be without a certificate on purpose: whoever
// says more has mistaken the unit.
const longestSplay = 24 * time.Hour

func (c *loaded) checkSplay() error {
	d, err := time.ParseDuration(c.FirstRunSplay)
	switch {
	case err != nil || d < 0:
		return usage("%s: %q is no time such as 90s or 10m", c.where("first_run_splay"), c.FirstRunSplay)
	case d > longestSplay:
		return usage("%s: %q is longer than 24h, and a machine that waits isn't enrolled", c.where("first_run_splay"), c.FirstRunSplay)
	}
	return nil
}

func (c *loaded) checkChoice(s setting) error {
	if len(s.choices) == 0 {
		return nil
	}
	for _, value := range texts(c.values[s.key]) {
		if !slices.Contains(s.choices, value) {
			return usage("%s: %q is none of: %s", c.where(s.key), value, strings.Join(s.choices, ", "))
		}
	}
	return nil
}

// texts are the texts of a setting's value, one or several.
func texts(value any) []string {
	switch value := value.(type) {
	case string:
		return []string{value}
	case []string:
		return value
	default:
		return nil
	}
}

// missing says so where the configuration file isn't there.
func (c *loaded) missing() string {
	if _, err := os.Stat(c.file); errors.Is(err, fs.ErrNotExist) {
		return ", which doesn't exist"
	}
	return ""
}

// readEndpoints takes [name@]host[:port].
func (c *loaded) readEndpoints(s *enroll.Settings) error {
	for _, text := range c.CA.Endpoints {
		name, address, named := strings.Cut(text, "@")
		if !named {
			name, address = "", text
		}
		address, err := withPort(address)
		if err != nil || named && name == "" {
			return usage("%s: %q is not of the form name@host:port", c.where("ca.endpoints"), text)
		}
		s.Endpoints = append(s.Endpoints, enroll.Endpoint{Name: name, Address: address})
	}
	return nil
}

// withPort adds Icinga's port to an address that has none.
func withPort(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		host, port = strings.TrimSuffix(strings.TrimPrefix(address, "["), "]"), pki.DefaultPort
		if strings.HasPrefix(address, "[") != strings.HasSuffix(address, "]") {
			host = ""
		}
	}
	if _, err := netip.ParseAddr(host); err != nil && strings.Contains(host, ":") {
		host = ""
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if host == "" || err != nil || number == 0 || strings.ContainsAny(host, " /,[]@") {
		return "", fmt.Errorf("%q is not of the form host:port", address)
	}
	return net.JoinHostPort(host, port), nil
}

// readTrust insists on a pin: without one a ticket, which is a password, would
// go to the first server that answers.
func (c *loaded) readTrust(s *enroll.Settings) error {
	for _, text := range c.CA.Fingerprint {
		pin, err := pki.ParsePin(text)
		if err != nil {
			return usage("%s: %w", c.where("ca.fingerprint"), err)
		}
		s.Trust.Pins = append(s.Trust.Pins, pin)
	}
	if c.CA.File != "" {
		roots, err := readCertificates(c.CA.File)
		if err != nil {
			return usage("%s: %w", c.where("ca.file"), err)
		}
		if i := slices.IndexFunc(roots, func(cert *x509.Certificate) bool { return !cert.IsCA }); i >= 0 {
			return usage("%s: %q in %s is not a CA's certificate", c.where("ca.file"), roots[i].Subject, c.CA.File)
		}
		s.Trust.Roots = roots
	}
	pinned := len(s.Trust.Pins)+len(s.Trust.Roots) > 0
	switch {
	case pinned && c.CA.TrustOnFirstUse:
		return usage("%s contradicts ca.fingerprint and ca.file: set the one or the other", c.where("ca.trust_on_first_use"))
	case !pinned && !c.CA.TrustOnFirstUse && !c.offline && (!c.asksNoCA || !c.isClient()) && !enroll.KnowsCA(c.Paths.State):
		return usage("no CA is pinned: set ca.fingerprint (\"icinga-enroll trust HOST:5665\" prints it, compare it with the CA's machine) or ca.file")
	}
	s.Trust.FirstUse = c.CA.TrustOnFirstUse
	return nil
}

func readCertificates(file string) ([]*x509.Certificate, error) {
	data, err := platform.ReadFile(file)
	if err != nil {
		return nil, err
	}
	certs, err := pki.ParseCertificates(data)
	if err != nil {
		return nil, usage("%s: %w", file, err)
	}
	return certs, nil
}

// director is nil where the configuration has none.
func (c *loaded) director() (*selfservice.Client, error) {
	if c.Director.URL == "" {
		return nil, nil
	}
	o, err := c.directorOptions()
	if err != nil {
		return nil, err
	}
	client, err := selfservice.New(c.Director.URL, o)
	if err != nil {
		return nil, usage("%s: %w", c.where("director.url"), err)
	}
	return client, nil
}

// controller is nil where no Icinga Web user is set.
func (c *loaded) controller() (*selfservice.Controller, error) {
	password, err := c.readPassword("director.password", c.Director.Password, c.Director.PasswordFile)
	if err != nil || c.Director.User == "" && password.IsZero() {
		return nil, err
	}
	if c.installs && password.IsZero() {
		return nil, c.lacks("director.password", nil)
	}
	o, err := c.directorOptions()
	if err != nil {
		return nil, err
	}
	controller, err := selfservice.NewController(c.Director.URL, o, c.Director.User, password)
	if err != nil {
		return nil, usage("%s: %w", c.where("director.user"), err)
	}
	return controller, nil
}

func (c *loaded) directorOptions() (selfservice.Options, error) {
	o := selfservice.Options{AllowInsecureHTTP: c.Director.AllowInsecureHTTP, UserAgent: "icinga-enroll/" + version()}
	if c.Director.CAFile != "" {
		certs, err := readCertificates(c.Director.CAFile)
		if err != nil {
			return o, usage("%s: %w", c.where("director.ca_file"), err)
		}
		o.RootCAs = x509.NewCertPool()
		for _, cert := range certs {
			o.RootCAs.AddCert(cert)
		}
	}
	if c.Director.Proxy != "" {
		proxy, err := url.Parse(c.Director.Proxy)
		if err != nil || proxy.Host == "" {
			return o, usage("%s: want a URL such as http://proxy.example.com:3128", c.where("director.proxy"))
		}
		o.Proxy = proxy
	}
	return o, nil
}

// machine looks from this node towards the Director: the address of that route
// is the one by which the node is reached.
func (c *loaded) machine() enroll.Machine {
	return enroll.Machine{
		Hostname: platform.Hostname,
		FQDN:     platform.FQDN,
		Resolve:  platform.Resolve,
		Identify: c.identify,
		Addresses: func(ctx context.Context) (v4, v6 netip.Addr, err error) {
			u, err := url.Parse(c.Director.URL)
			if err != nil {
				return v4, v6, err
			}
			port := u.Port()
			if port == "" {
				port = "443"
			}
			return platform.LocalAddresses(ctx, u.Hostname(), port)
		},
	}
}
