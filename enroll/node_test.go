package enroll_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"icinga-enroll/enroll"
	"icinga-enroll/enroll/secret"
	"icinga-enroll/pki"
	"icinga-enroll/pki/pkitest"
	"icinga-enroll/selfservice"
)

const (
	nodeName = "web1.example.com"
	hostKey  = "0123456789abcdef0123456789abcdef01234567"
)

// director is one that does as it is told and looks at the node's disk when it
// is asked.
type director struct {
	register   func(ctx context.Context) error
	parameters func() (selfservice.Parameters, error)
	ticket     func() error
	registered int
	tickets    int
}

func (d *director) Register(ctx context.Context, _ secret.Text, _ string, _ selfservice.HostProperties) (secret.Text, error) {
	d.registered++
	if d.register != nil {
		if err := d.register(ctx); err != nil {
			return secret.Text{}, err
		}
	}
	return secret.New(hostKey), nil
}

func (d *director) Parameters(context.Context, secret.Text) (selfservice.Parameters, error) {
	if d.parameters != nil {
		return d.parameters()
	}
	return selfservice.Parameters{
		FetchAgentFQDN: true, ParentZone: "master", CAServer: "master1",
		Parents: []selfservice.Parent{{Name: "master1", Host: "192.0.2.1", Port: "5665"}, {Name: "master2", Host: "192.0.2.2", Port: "5665"}},
	}, nil
}

func (d *director) Ticket(context.Context, secret.Text) (secret.Text, error) {
	d.tickets++
	if d.ticket != nil {
		if err := d.ticket(); err != nil {
			return secret.Text{}, err
		}
	}
	return secret.New("ticket"), nil
}

// authority signs with a CA of its own, in process.
type authority struct {
	ca      *pkitest.CA
	trust   pki.Trust // that it was made with last
	asked   []string  // addresses
	names   []string  // that the last peer might have
	probed  int
	request func(address string, req pki.Request) (pki.Issued, error)
}

func (a *authority) Probe(context.Context, pki.Endpoint) (pki.Peer, error) {
	a.probed++
	return pki.Peer{Name: "master1", CA: a.ca.Certificate()}, nil
}

func (a *authority) Request(_ context.Context, ep pki.Endpoint, req pki.Request) (pki.Issued, error) {
	a.asked = append(a.asked, ep.Address)
	a.names = ep.Names
	if a.request != nil {
		return a.request(ep.Address, req)
	}
	return a.sign(req.Certificate.PublicKey, req.Certificate.Subject.CommonName)
}

func (a *authority) sign(key crypto.PublicKey, name string) (pki.Issued, error) {
	cert, err := a.ca.Sign(key, name, time.Now().Add(-time.Minute), time.Now().Add(397*24*time.Hour))
	return pki.Issued{Certificate: cert, CA: []*x509.Certificate{a.ca.Certificate()}}, err
}

type node struct {
	*enroll.Enroller
	director  *director
	authority *authority
}

func newNode(t testing.TB) *node {
	t.Helper()
	ca, err := pkitest.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	n := &node{director: &director{}, authority: &authority{ca: ca}}
	dir := t.TempDir()
	n.Enroller = &enroll.Enroller{
		Settings: enroll.Settings{
			Name:        nodeName,
			TemplateKey: secret.New("template key"),
			Trust:       pki.Trust{Roots: []*x509.Certificate{ca.Certificate()}},
			StateDir:    filepath.Join(dir, "state"),
			CertsDir:    filepath.Join(dir, "certs"),
		},
		Director:  n.director,
		Authority: func(t pki.Trust) enroll.Authority { n.authority.trust = t; return n.authority },
		Machine: enroll.Machine{
			Hostname:  func() (string, error) { return "web1", nil },
			FQDN:      func(context.Context) (string, error) { return "Web1.Example.COM", nil },
			Addresses: func(context.Context) (v4, v6 netip.Addr, err error) { return netip.MustParseAddr("192.0.2.7"), v6, nil },
		},
		Now: time.Now,
	}
	return n
}

func (n *node) state(name string) string { return filepath.Join(n.StateDir, name) }

func (n *node) cert(ext string) string { return filepath.Join(n.CertsDir, nodeName+ext) }

func (n *node) mustEnsure(t *testing.T) enroll.Report {
	t.Helper()
	r, err := n.Ensure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r.State != enroll.Enrolled {
		t.Fatalf("state is %q, want %q", r.State, enroll.Enrolled)
	}
	return r
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func exists(file string) bool {
	_, err := os.Lstat(file)
	return err == nil
}
