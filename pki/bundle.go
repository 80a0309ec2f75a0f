package pki

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	"icinga-enroll/enroll/secret"
)

// Limits of what is handed over by files. A fleet's bundle has three parts.
const (
	maxBundleFile   = 1 << 20 // bytes of one file
	maxBundleFiles  = 32
	maxCertificates = 64
	maxKeys         = 16
	maxKeyBytes     = 16 << 10 // DER of a private key; RSA 4096 has 2.4 kB
	maxRSABits      = 16384
)

// Bundle is a certificate that somebody hands over, with what belongs to it.
type Bundle struct {
	// Key is the certificate's; nil: none of the files has it.
	Key crypto.Signer
	// Certificate is that of the node or the user.
	Certificate *x509.Certificate
	// CA are the CA certificates: who signed Certificate, who signed that one and
	// so on, then those that have no part in it.
	CA []*x509.Certificate
}

// ParseBundle reads files in any order: PEM with any number of certificates and
// keys, a certificate in DER, PKCS#12 with one key. Its certificate is the one that is for
// key; with a nil key the one for a key in the files; if there is none either,
// the only one that is no CA's. Certificates of others are left out.
//
// The password is for PKCS#12 only; zero: none. An encrypted PEM key is an error,
// as is a file of more than 1 MiB, or more than 64 different certificates.
//
// Verified is that the certificate is for the key and that a CA certificate in
// the files signed it. Trust, names and dates are not: see [Trust.VerifyIssued].
// Every error is permanent.
func ParseBundle(key crypto.PublicKey, password secret.Text, files ...[]byte) (Bundle, error) {
	if len(files) > maxBundleFiles {
		return Bundle{}, permanent("%d files are too many for one certificate: at most %d", len(files), maxBundleFiles)
	}
	var p parts
	for i, file := range files {
		if err := p.add(file, password); err != nil {
			return Bundle{}, inFile(i, len(files), err)
		}
	}
	leaf, err := p.leaf(key)
	if err != nil {
		return Bundle{}, err
	}
	ca, err := p.chain(leaf)
	if err != nil {
		return Bundle{}, err
	}
	return Bundle{Key: p.keyOf(leaf), Certificate: leaf, CA: ca}, nil
}

func inFile(i, count int, err error) error {
	if count == 1 {
		return err
	}
	return &FileError{i, count, err}
}

// FileError is what is wrong with one of several files that were handed over.
type FileError struct {
	Index int // of the file, from 0
	count int
	err   error
}

func (e *FileError) Error() string {
	return fmt.Sprintf("file %d of %d: %v", e.Index+1, e.count, e.err)
}

// Unwrap returns what is wrong with the file.
func (e *FileError) Unwrap() error { return e.err }

// parts is what the files hold, each thing once.
type parts struct {
	keys         []crypto.Signer
	certificates []*x509.Certificate
	hasCSR       bool
}

func (p *parts) add(file []byte, password secret.Text) error {
	text := bytes.TrimPrefix(file, []byte("\ufeff")) // Windows' editors write it, PEM does not know it
	switch {
	case len(file) > maxBundleFile:
		return permanent("%d bytes are too many for a certificate or key: at most %d", len(file), maxBundleFile)
	case bytes.Contains(text, []byte("-----BEGIN ")):
		return p.addPEM(text)
	case isPKCS12(file):
		return p.addPKCS12(file, password)
	}
	certificates, err := x509.ParseCertificates(file)
	if err != nil || len(certificates) == 0 {
		return notABundle(file, err)
	}
	return p.addCertificates(certificates...)
}

// notABundle tells a file of another kind from a certificate that Go can't read.
func notABundle(file []byte, cause error) error {
	switch {
	case len(bytes.TrimSpace(file)) == 0:
		return permanent("the file is empty")
	case cause != nil && strings.Contains(cause.Error(), "SAN dNSName"):
		return unreadable(cause)
	}
	return permanent("the file is neither PEM nor a DER certificate nor PKCS#12: is it the right one?")
}

func (p *parts) addPEM(text []byte) error {
	found := false
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		found = true
		if err := p.addBlock(block); err != nil {
			return err
		}
	}
	if !found {
		return permanent("the file begins as PEM does, but no block in it is complete: it is cut off or was changed")
	}
	return nil
}

// addBlock skips what is neither certificate nor key, such as parameters.
func (p *parts) addBlock(block *pem.Block) error {
	switch {
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return p.addPEMKey(block)
	case block.Type == "CERTIFICATE" || block.Type == "X509 CERTIFICATE":
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return unreadable(err)
		}
		return p.addCertificates(c)
	case strings.HasSuffix(block.Type, "CERTIFICATE REQUEST"):
		p.hasCSR = true
	case block.Type == "TRUSTED CERTIFICATE" || block.Type == "PKCS7":
		return permanent("the file has a PEM block %q, which is not read here: make CERTIFICATE blocks of it (`openssl x509`, `openssl pkcs7 -print_certs`)", block.Type)
	}
	return nil
}

func (p *parts) addKey(key crypto.Signer) error {
	same := func(k crypto.Signer) bool { return equalKeys(k.Public(), key.Public()) }
	if slices.ContainsFunc(p.keys, same) {
		return nil
	}
	if len(p.keys) == maxKeys {
		return permanent("there are more than %d private keys: give the one that belongs to the certificate", maxKeys)
	}
	p.keys = append(p.keys, key)
	return nil
}

func equalKeys(a, b crypto.PublicKey) bool {
	comparable, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && comparable.Equal(b)
}

func (p *parts) addCertificates(certificates ...*x509.Certificate) error {
	for _, c := range certificates {
		if slices.ContainsFunc(p.certificates, c.Equal) {
			continue
		}
		if len(p.certificates) == maxCertificates {
			return permanent("there are more than %d certificates: give the node's and those of its CA", maxCertificates)
		}
		if key, ok := c.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxRSABits {
			return permanent("the certificate %q has an RSA key of %d bits: at most %d", c.Subject, key.N.BitLen(), maxRSABits)
		}
		p.certificates = append(p.certificates, c)
	}
	return nil
}

// keyOf returns the key of c, or nil.
func (p *parts) keyOf(c *x509.Certificate) crypto.Signer {
	for _, key := range p.keys {
		if Matches(c, key.Public()) {
			return key
		}
	}
	return nil
}
