package enroll

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"icinga-enroll/pki"
	"icinga-enroll/platform"
)

// switchFile holds a verified key, certificate and CA while they are put in
// place. To the agent a pair is two files, and no file system replaces two at
// once: so the pair is first made durable here, in one file, and a switch that
// was cut short is completed by the next run. It is never undone.
const switchFile = "switch.pem"

// chainBlock marks the CAs in it that belong behind the certificate, and not to
// those that are believed.
const chainBlock = "ICINGA-ENROLL CHAIN"

func (n *node) switchTo(p *pair, ca []*x509.Certificate) error {
	keyPEM, err := pki.EncodeKey(p.key)
	if err != nil {
		return err
	}
	journal := append(keyPEM, pki.EncodeCertificates(append([]*x509.Certificate{p.cert}, ca...)...)...)
	for _, c := range p.chain {
		journal = append(journal, pem.EncodeToMemory(&pem.Block{Type: chainBlock, Bytes: c.Raw})...)
	}
	if err := n.dir.WriteFile(switchFile, journal, 0o600, platform.Owner{}); err != nil {
		return fmt.Errorf("the new certificate can't be kept: %w", err)
	}
	inForce, err := n.finishSwitch(p, ca)
	if inForce != nil {
		n.pair = inForce
	}
	n.stuck = err != nil
	return err
}

// completeSwitch puts the journalled pair of a run that was cut short in place.
func (n *node) completeSwitch(context.Context) (outcome, error) {
	journal, err := n.dir.ReadFile(switchFile)
	if errors.Is(err, fs.ErrNotExist) {
		return outcome{}, nil
	}
	if err != nil {
		return outcome{}, err
	}
	p, ca, err := n.parseJournal(journal)
	if err != nil {
		return outcome{}, fmt.Errorf("%s is damaged, remove it: %w", filepath.Join(n.StateDir, switchFile), err)
	}
	n.name = p.cert.Subject.CommonName
	if _, err := n.finishSwitch(p, ca); err != nil {
		n.stuck, n.setback = true, fmt.Errorf("switch: %w", err) // adopt finds out whether that can wait
		return warns("one that was cut short can't be completed: %s", err)
	}
	return changed("completed one that was cut short: %s", n.certFile())
}

// finishSwitch puts p in place, forgets the journal, and returns the pair in
// force: the agent may have renewed its certificate by itself in the meantime,
// and a newer one is never replaced by an older. With an error the journal
// stays, and the pair is nil where p is not in place.
func (n *node) finishSwitch(p *pair, ca []*x509.Certificate) (*pair, error) {
	if there, roots, err := n.readPair(); err == nil && n.verify(there, roots) == nil && there.cert.NotBefore.After(p.cert.NotBefore) {
		return there, n.settleSwitch(there)
	}
	if err := n.install(p, ca); err != nil {
		return nil, err
	}
	return p, n.settleSwitch(p)
}

// install writes CA, key and certificate, each as a whole.
func (n *node) install(p *pair, ca []*x509.Certificate) error {
	keyPEM, err := pki.EncodeKey(p.key)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		data []byte
		perm fs.FileMode
	}{
		{caFile, pki.EncodeCertificates(ca...), 0o644},
		{n.name + ".key", keyPEM, n.keyMode()},
		{n.name + ".crt", pki.EncodeCertificates(append([]*x509.Certificate{p.cert}, p.chain...)...), 0o644},
	} {
		if old, err := n.certs.ReadFile(f.name); err == nil && bytes.Equal(old, f.data) {
			continue
		}
		owner, err := n.owner(f.name)
		if err != nil {
			return err
		}
		if err := n.certs.WriteFile(f.name, f.data, f.perm, owner); err != nil {
			return fmt.Errorf("the new certificate can't be put in place (the next run tries again): %w", err)
		}
	}
	return nil
}

// settleSwitch writes down that p is in force and forgets its request. One for
// yet another key goes on waiting.
func (n *node) settleSwitch(p *pair) error {
	n.settleName()
	n.rememberCerts()
	n.state.Agent.ReloadDue = n.Agent.Manage != ManageNever
	answered := !n.state.PendingRekey || n.isRequested(p)
	if answered {
		n.state.Pending, n.state.PendingRekey = nil, false
	}
	n.state.RefusedTickets = nil
	if len(n.Hooks.PostRenew) > 0 {
		n.state.HooksDue, n.state.HooksTold = cmp.Or(n.reason, reasonRenewed), nil
	}
	if err := n.save(); err != nil {
		return err
	}
	if answered {
		if err := n.dropRequest(); err != nil {
			return err
		}
	}
	return n.dir.Remove(switchFile)
}

func (n *node) parseJournal(journal []byte) (*pair, []*x509.Certificate, error) {
	block, rest := pem.Decode(journal)
	if block == nil {
		return nil, nil, errors.New("it holds no key")
	}
	key, err := n.Keys.Parse(pem.EncodeToMemory(block))
	if err != nil {
		return nil, nil, err
	}
	certs, err := pki.ParseCertificates(rest)
	if err != nil {
		return nil, nil, err
	}
	if !pki.Matches(certs[0], key.Public()) {
		return nil, nil, errors.New("certificate and key don't match")
	}
	p := &pair{key: key, cert: certs[0]}
	for block, rest = pem.Decode(rest); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != chainBlock {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, nil, err
		}
		p.chain = append(p.chain, c)
	}
	return p, certs[1:], nil
}
