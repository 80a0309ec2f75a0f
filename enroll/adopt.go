package enroll

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"icinga-enroll/pki"
)

const caFile = "ca.crt"

// pair is a certificate with its key, as the Icinga agent reads them.
type pair struct {
	key  crypto.Signer
	cert *x509.Certificate
}

func (n *node) certFile() string { return filepath.Join(n.CertsDir, n.name+".crt") }

// adopt keeps a certificate that is already there for this name, valid and of
// the pinned CA, whoever brought it. From then on the name sticks.
func (n *node) adopt(ctx context.Context) (outcome, error) {
	out, err := n.findPair(ctx)
	if err != nil || n.pair == nil {
		return out, err
	}
	if n.state.Name == "" {
		n.settleName()
		return out, n.save()
	}
	return out, nil
}

// findPair reads the pair in the certs folder. What is no use is as good as
// none: it stays where it is until a new pair has been received and verified.
func (n *node) findPair(context.Context) (outcome, error) {
	if n.certs == nil {
		return outcome{}, nil
	}
	p, ca, err := n.readPair()
	if errors.Is(err, fs.ErrNotExist) {
		return outcome{}, nil
	}
	if err != nil {
		return outcome{}, err
	}
	if reason := n.unusable(p, ca); reason != nil {
		return warns("%s is of no use and will be replaced: %s", n.certFile(), reason)
	}
	n.pair = p
	left := p.cert.NotAfter.Sub(n.Now()).Truncate(time.Hour)
	if !n.Now().Before(n.due()) {
		return says("%s is valid for %s more and due for renewal", n.certFile(), days(left))
	}
	return says("%s is valid until %s (%s)", n.certFile(), p.cert.NotAfter.UTC().Format(time.DateOnly), days(left))
}

// readPair reads what is on disk for this name: only a file that can't be read
// is an error, not what is in it.
func (n *node) readPair() (*pair, []*x509.Certificate, error) {
	crt, err := n.certs.ReadFile(n.name + ".crt")
	if err != nil {
		return nil, nil, err
	}
	key, err := n.certs.ReadFile(n.name + ".key")
	if err != nil {
		return nil, nil, err
	}
	ca, err := n.certs.ReadFile(caFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	p := &pair{}
	p.key, _ = pki.ParseKey(key)
	if chain, err := pki.ParseCertificates(crt); err == nil {
		p.cert = chain[0]
	}
	roots, _ := pki.ParseCertificates(ca)
	return p, roots, nil
}

// unusable says why p can't be this node's certificate, nil if it can.
func (n *node) unusable(p *pair, ca []*x509.Certificate) error {
	switch {
	case p.cert == nil:
		return errors.New("it holds no certificate")
	case p.key == nil:
		return errors.New("the file beside it holds no private key")
	}
	return n.trust().VerifyIssued(pki.Issued{Certificate: p.cert, CA: ca}, p.key.Public(), n.name, n.Now())
}

func days(d time.Duration) string {
	if d < 48*time.Hour {
		return fmt.Sprintf("%d hours", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
