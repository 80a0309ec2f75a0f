package pki

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"

	"software.sslmate.com/src/go-pkcs12"

	"icinga-enroll/enroll/secret"
)

const (
	// pkcs12Iterations makes guessing a password as slow as Java's keytool does
	// (its default since Java 16); reading takes some milliseconds.
	pkcs12Iterations = 10_000
	// maxIterations keeps a made-up file from being computed at for hours.
	maxIterations = 2_000_000
)

// EncodePKCS12 returns key, certificate and CA as one file under a password,
// which may not be empty. It is encrypted with AES-256 (PBES2, PBKDF2 with
// HMAC-SHA-256), which is read by OpenSSL 1.1.1, Java 12, Windows Server 2019 and
// later ones. With legacy it is 3DES and SHA-1, for older importers: it holds off
// nobody who has the file, whatever the password.
func EncodePKCS12(b Bundle, password secret.Text, legacy bool) ([]byte, error) {
	switch {
	case b.Certificate == nil:
		return nil, permanent("a PKCS#12 file needs a certificate, and there is none")
	case b.Key == nil:
		return nil, permanent("a PKCS#12 file needs the private key, and there is none beside the certificate")
	case !Matches(b.Certificate, b.Key.Public()):
		return nil, wrongKey(b.Certificate)
	case password.IsZero():
		return nil, permanent("a PKCS#12 file needs a password: most programs refuse to import one without")
	}
	encoder := pkcs12.Modern2023.WithIterations(pkcs12Iterations)
	if legacy {
		encoder = pkcs12.LegacyDES
	}
	file, err := encoder.Encode(b.Key, b.Certificate, b.CA, password.Reveal())
	if err != nil { // it does not show the password: it names a character that UCS-2 lacks
		return nil, permanentCause(err, "the PKCS#12 file can't be made (choose a password of letters and digits)")
	}
	return file, nil
}

// addPKCS12 takes what is in a PKCS#12 file.
func (p *parts) addPKCS12(file []byte, password secret.Text) error {
	if iteratesTooOften(file, 0) {
		return permanent("the PKCS#12 file wants more than %d iterations for its password: that is no file for daily use", maxIterations)
	}
	key, first, rest, err := pkcs12.DecodeChain(file, password.Reveal())
	if err == nil {
		if err := p.addAnyKey(key); err != nil {
			return err
		}
		return p.addCertificates(append([]*x509.Certificate{first}, rest...)...)
	}
	if errors.Is(err, pkcs12.ErrIncorrectPassword) || errors.Is(err, pkcs12.ErrDecryption) {
		return wrongPassword(password)
	}
	return permanentCause(err, "the PKCS#12 file can't be read (it must hold one private key, and be DER); `openssl pkcs12 -in FILE -nodes` makes PEM of it")
}

func wrongPassword(given secret.Text) error {
	if given.IsZero() {
		return permanent("the PKCS#12 file has a password, and none was given: put it into a file, and give that by --password-file")
	}
	return permanent("the password is not that of the PKCS#12 file")
}

// isPKCS12 reports whether it begins as such a file does: a sequence, in it the
// version 3. The length may be that of BER, which can't be read.
func isPKCS12(file []byte) bool {
	if len(file) < 5 || file[0] != 0x30 {
		return false
	}
	header := 2
	if file[1] > 0x80 {
		header += int(file[1] & 0x7f)
	}
	return len(file) > header && bytes.HasPrefix(file[header:], []byte{0x02, 0x01, 0x03})
}

const maxNesting = 24

// iteratesTooOften looks for a number of iterations wherever one may stand: an
// INTEGER behind an OCTET STRING, which is the salt.
func iteratesTooOften(der []byte, depth int) bool {
	afterSalt := false
	for len(der) > 0 && depth < maxNesting {
		var value asn1.RawValue
		rest, err := asn1.Unmarshal(der, &value)
		if err != nil {
			return false
		}
		if value.Class == asn1.ClassUniversal && value.Tag == asn1.TagInteger {
			if afterSalt && isOver(value.FullBytes, maxIterations) {
				return true
			}
		} else if (value.IsCompound || holdsSequence(value)) && iteratesTooOften(value.Bytes, depth+1) {
			return true
		}
		afterSalt = value.Class == asn1.ClassUniversal && value.Tag == asn1.TagOctetString
		der = rest
	}
	return false
}

// holdsSequence reports whether it is an OCTET STRING with ASN.1 in it, as some of a
// PKCS#12 file are, which is one SEQUENCE. The others are random bytes, such as
// salts and what is encrypted: their beginning may look like anything.
func holdsSequence(value asn1.RawValue) bool {
	if value.Class != asn1.ClassUniversal || value.Tag != asn1.TagOctetString {
		return false
	}
	var held asn1.RawValue
	rest, err := asn1.Unmarshal(value.Bytes, &held)
	return err == nil && len(rest) == 0 && held.IsCompound && held.Tag == asn1.TagSequence
}

func isOver(der []byte, limit int64) bool {
	var n int64
	_, err := asn1.Unmarshal(der, &n)
	return err != nil || n > limit
}

func (p *parts) addAnyKey(key any) error {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return permanent("a key of type %T can't sign: use one of %s", key, joined(KeyTypes()))
	}
	return p.addKey(signer)
}

func (p *parts) addPEMKey(block *pem.Block) error {
	if len(block.Bytes) > maxKeyBytes {
		return permanent("a private key of %d bytes is none that Icinga uses: use one of %s", len(block.Bytes), joined(KeyTypes()))
	}
	key, err := parseKeyBlock(block)
	if err != nil {
		return err
	}
	return p.addKey(key)
}
