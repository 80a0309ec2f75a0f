package pkitest

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"time"
)

// Status codes of an answer.
const (
	issued  = 0
	refused = 1
	pending = 2
)

// result is the answer to pki::RequestCertificate.
type result struct {
	Status      int    `json:"status_code"`
	Error       string `json:"error,omitempty"`
	Cert        string `json:"cert,omitempty"`
	CA          string `json:"ca,omitempty"`
	Fingerprint string `json:"fingerprint_request,omitempty"`
}

// answer decides about a request in the order in which Icinga does.
func (ca *CA) answer(c *x509.Certificate, ticket string) (result, error) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	cn := firstCommonName(c)
	if cn == "" {
		return result{}, fmt.Errorf("std::exception")
	}
	renewal := ca.isOwn(c)
	if renewal && c.NotAfter.Sub(ca.now()) >= renewWithin {
		return ca.refuse(c, "The certificate for CN '%s' is valid and uptodate. Skipping automated renewal.", cn), nil
	}
	known := ca.requests[fingerprint(c)]
	switch {
	case known != nil && known.removed:
		return ca.refuse(c, "Ticket for CN %s declined by administrator.", cn), nil
	case known != nil && known.signed != nil:
		return ca.grant(c, known.signed), nil
	case renewal:
		return ca.sign(c)
	case ticket == "" || ca.Salt == "":
		return ca.postpone(c, cn), nil
	case ticket != ca.Ticket(cn):
		return ca.refuse(c, "Invalid ticket for CN '%s'.", cn), nil
	}
	return ca.sign(c)
}

// isOwn reports whether c is a certificate of this CA that is valid now.
func (ca *CA) isOwn(c *x509.Certificate) bool {
	now := ca.now()
	return c.CheckSignatureFrom(ca.certificate) == nil && !now.Before(c.NotBefore) && !now.After(c.NotAfter)
}

func (ca *CA) sign(c *x509.Certificate) (result, error) {
	der, err := ca.issueFor(c)
	if err != nil {
		return result{}, err
	}
	return ca.grant(c, der), nil
}

func (ca *CA) issueFor(c *x509.Certificate) ([]byte, error) {
	now := ca.now()
	return ca.issue(c.RawSubject, firstCommonName(c), c.PublicKey, now.Truncate(time.Second), now.Add(leafLifetime))
}

func (ca *CA) postpone(c *x509.Certificate, cn string) result {
	if ca.requests[fingerprint(c)] == nil {
		ca.requests[fingerprint(c)] = &request{certificate: c}
	}
	return ca.pending(c, cn)
}

func (ca *CA) pending(c *x509.Certificate, cn string) result {
	text := fmt.Sprintf("Certificate request for CN '%s' is pending. Waiting for approval from the parent Icinga instance.", cn)
	return result{Status: pending, Error: text, CA: encode(ca.certificate.Raw), Fingerprint: fingerprint(c)}
}

func (ca *CA) refuse(c *x509.Certificate, format, cn string) result {
	return result{Status: refused, Error: fmt.Sprintf(format, cn), CA: encode(ca.certificate.Raw), Fingerprint: fingerprint(c)}
}

func (ca *CA) grant(c *x509.Certificate, der []byte) result {
	return result{Status: issued, Cert: encode(der), CA: encode(ca.certificate.Raw), Fingerprint: fingerprint(c)}
}

func encode(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// firstCommonName is the name that Icinga reads; Go's own is the last.
func firstCommonName(c *x509.Certificate) string {
	for _, attribute := range c.Subject.Names {
		if attribute.Type.Equal(asn1.ObjectIdentifier{2, 5, 4, 3}) {
			return fmt.Sprint(attribute.Value)
		}
	}
	return ""
}
