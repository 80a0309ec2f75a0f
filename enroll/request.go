package enroll

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"icinga-enroll/pki"
	"icinga-enroll/platform"
)

// The key of the next certificate waits in the state folder, with the request
// certificate that Icinga signs and a PKCS#10 CSR for any other CA.
const (
	requestKey  = "request.key"
	requestCert = "request.crt"
	requestCSR  = "request.csr"
)

// request is what a CA is asked to sign. Its fingerprint identifies it there
// while it waits for approval: so the same one is presented until it is
// answered, or another row would be left on the CA's list at every try.
type request struct {
	key  crypto.Signer
	cert *x509.Certificate
}

// findTPM has a first enrolment wait for the TPM that its key is to be in, which a boot
// may find late, before any server is asked.
func (n *node) findTPM(context.Context) (outcome, error) {
	if n.pair != nil || n.state.Name != "" {
		return outcome{}, nil
	}
	err := n.Keys.Ready()
	if IsTemporary(err) {
		err = local{temporary{err}}
	}
	return outcome{}, err
}

// prepareKey has the key of a new certificate on disk before anything is
// registered. A certificate that is only to be renewed needs none.
func (n *node) prepareKey(context.Context) (outcome, error) {
	if err := n.checkRoom(); err != nil {
		return outcome{}, err
	}
	if n.pair != nil {
		return outcome{}, nil
	}
	isNew, err := n.takeRequest()
	if err != nil {
		return outcome{}, err
	}
	if !isNew {
		n.sayStore(n.request.key, "icinga-enroll discard-request, then once,")
		return says("as prepared before")
	}
	return changed("%s, new, in %s", n.Keys, filepath.Join(n.StateDir, requestKey))
}

// takeRequest has a request in n.request: the one that waits, or a new one. Nobody
// is asked to sign for a key that is lost, nor for one that can't be used now: that
// is awaited, unless a new one is asked for. Then it is to be as the settings want it.
func (n *node) takeRequest() (isNew bool, err error) {
	if n.request, err = n.readRequest(); err != nil {
		return false, err
	}
	if n.request == nil {
		return true, n.newRequest()
	}
	before, reason := n.request.cert, n.outdated(n.request.key)
	if reason == nil {
		reason = pki.CheckKey(n.request.key)
		given := n.Wish == Rekey && errors.Is(reason, pki.ErrTPM) && !errors.Is(reason, pki.ErrNoAuthValue)
		if !given && !errors.Is(reason, pki.ErrKeyLost) {
			return false, reason
		}
	}
	if err := n.newRequest(); err != nil {
		return false, err
	}
	n.note(Step{Name: "key", Warning: true, Text: fmt.Sprintf("the request %s is of no use any more, another takes its place and is to be signed instead: %s", pki.Fingerprint(before), reason)})
	return true, nil
}

// outdated says why key isn't what the settings want where nobody waits for an answer
// about it, or somebody asks for a new one.
func (n *node) outdated(key crypto.Signer) error {
	if n.state.Pending != nil && n.Wish != Rekey {
		return nil
	}
	return n.Keys.Mismatch(key)
}

// checkRoom tries, once, whether what is to come can be written: after
// registering it would be too late to find out.
func (n *node) checkRoom() error {
	if !n.probed {
		n.probed = true
		if n.room = n.dir.Probe(roomNeeded); n.room == nil {
			n.room = n.certs.Probe(roomNeeded)
		}
	}
	return n.room
}

// readRequest returns nil where there is no request for this name. A waiting
// request is used whatever its key's type is; a TPM isn't asked here.
func (n *node) readRequest() (*request, error) {
	keyPEM, err := n.dir.ReadFile(requestKey)
	if err == nil {
		var certPEM []byte
		if certPEM, err = n.dir.ReadFile(requestCert); err == nil {
			return n.parseRequest(keyPEM, certPEM), nil
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return nil, err
}

func (n *node) parseRequest(keyPEM, certPEM []byte) *request {
	key, err := n.Keys.Parse(keyPEM)
	if err != nil {
		return nil
	}
	certs, err := pki.ParseCertificates(certPEM)
	if err != nil || certs[0].Subject.CommonName != n.name || !pki.Matches(certs[0], key.Public()) {
		return nil
	}
	return &request{key, certs[0]}
}

// newRequest writes the certificate last: readRequest takes no key without it.
func (n *node) newRequest() error {
	key, err := n.Keys.Generate()
	if err != nil {
		return err
	}
	keyPEM, err := pki.EncodeKey(key)
	if err != nil {
		return err
	}
	csr, err := pki.CSR(key, n.name)
	if err != nil {
		return err
	}
	cert, err := pki.RequestCertificate(key, n.name, n.Now())
	if err != nil {
		return err
	}
	if err := n.dropRequest(); err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		data []byte
	}{{requestKey, keyPEM}, {requestCSR, csr}, {requestCert, pki.EncodeCertificates(cert)}} {
		if err := n.dir.WriteFile(f.name, f.data, 0o600, platform.Owner{}); err != nil {
			return fmt.Errorf("the key for the request can't be kept: %w", err)
		}
	}
	n.request = &request{key, cert}
	return nil
}

// isRequested reports whether p has the key of the request.
func (n *node) isRequested(p *pair) bool {
	r, err := n.readRequest()
	return err == nil && r != nil && pki.Matches(p.cert, r.key.Public())
}

// dropRequest removes the certificate first: what is left is no request.
func (n *node) dropRequest() error {
	for _, name := range []string{requestCert, requestCSR, requestKey} {
		if err := n.dir.Remove(name); err != nil {
			return err
		}
	}
	return nil
}

// discardRequest forgets the name as well where nothing outside bears it: it may
// have been the mistake.
func (n *node) discardRequest(ctx context.Context) (had bool, err error) {
	for _, prepare := range []func(context.Context) (outcome, error){n.load, n.stillSameMachine, n.completeSwitch} {
		if _, err := prepare(ctx); err != nil {
			return false, err
		}
	}
	if n.stuck {
		return false, n.setback
	}
	n.name = n.state.Name
	had = n.state.Pending != nil
	n.state.Pending, n.state.PendingRekey = nil, false
	_, err = n.findPair(ctx)
	switch {
	case errors.Is(err, pki.ErrTPM):
		n.setback = err // which is for the status: nothing here takes the TPM
	case err != nil:
		return false, err
	}
	if _, err := n.dir.ReadFile(requestCert); err == nil {
		had = true
	}
	if err := n.dropRequest(); err != nil {
		return false, err
	}
	if n.pair == nil && n.idle == nil && n.state.HostKey == "" {
		n.state.Name, n.state.Hostname = "", ""
	}
	return had, n.save()
}
