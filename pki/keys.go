package pki

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// KeyType names a kind of private key. Icinga 2 signs all of [KeyTypes]
// (observed on 2.13.6).
type KeyType string

// The kinds of keys, as they are written in a configuration.
const (
	ECDSAP256 KeyType = "ecdsa-p256"
	ECDSAP384 KeyType = "ecdsa-p384"
	Ed25519   KeyType = "ed25519"
	RSA3072   KeyType = "rsa-3072"
	RSA4096   KeyType = "rsa-4096"
)

// KeyTypes returns every type, the preferred one first.
func KeyTypes() []KeyType { return []KeyType{ECDSAP256, ECDSAP384, Ed25519, RSA3072, RSA4096} }

// Keys makes and reads private keys, in files or in a TPM. What a file holds of one
// in a TPM, a PEM block "TSS2 PRIVATE KEY", that chip alone can use.
type Keys struct {
	Type  KeyType // of new ones; zero: ECDSAP256
	InTPM bool    // new ones are made in TPM, and stay there; they are ECDSAP256
	TPM   *TPM    // nil: keys in one are refused, as the Icinga agent would
}

// Generate makes a new private key.
func (k Keys) Generate() (crypto.Signer, error) {
	if k.InTPM {
		return k.TPM.generate()
	}
	return GenerateKey(cmp.Or(k.Type, ECDSAP256))
}

// Ready finds out whether there is what makes new keys: its error is [ErrTPM], and
// temporary where the TPM may only not be there yet.
func (k Keys) Ready() error {
	if k.InTPM {
		return k.TPM.ready()
	}
	return nil
}

// Parse returns the first private key in PEM text. Of one in a TPM it is only found
// out when it is used whether the TPM is there and knows it: see [CheckKey].
func (k Keys) Parse(text []byte) (crypto.Signer, error) {
	if k.TPM != nil && IsOfTPM(text) {
		return k.TPM.parse(keyBlock(text).Bytes)
	}
	return ParseKey(text)
}

// ParseFile is Parse of a file that somebody has handed over: see [ParseKeyFile].
func (k Keys) ParseFile(data []byte) (crypto.Signer, error) {
	if IsOfTPM(data) {
		return k.Parse(data)
	}
	return ParseKeyFile(data)
}

// IsOfTPM reports whether the private key in text can be used by a TPM alone.
func IsOfTPM(text []byte) bool {
	block := keyBlock(text)
	return block != nil && block.Type == tss2Block
}

const inTheTPM = " in the TPM"

// String says of what kind new keys are.
func (k Keys) String() string {
	if k.InTPM {
		return string(ECDSAP256) + inTheTPM
	}
	return string(cmp.Or(k.Type, ECDSAP256))
}

// Mismatch says in what key is another one than Generate makes; nil: in nothing.
func (k Keys) Mismatch(key crypto.Signer) error {
	is := string(TypeOf(key.Public()))
	if InTPM(key) {
		is += inTheTPM
	}
	switch {
	case is != k.String():
		return fmt.Errorf("its key is %s, and a new one is to be %s", is, k)
	case k.InTPM && !k.TPM.Auth.IsZero() && !HasAuthValue(key):
		return errors.New("its key has no auth value, and a new one is to have it")
	}
	return nil
}

// TypeOf names the kind of a public key, in the same words also where it is none
// of [KeyTypes]; "" for one that Go has no type of.
func TypeOf(key crypto.PublicKey) KeyType {
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		return KeyType(fmt.Sprintf("ecdsa-p%d", key.Params().BitSize))
	case *rsa.PublicKey:
		return KeyType(fmt.Sprintf("rsa-%d", key.N.BitLen()))
	case ed25519.PublicKey:
		return Ed25519
	}
	return ""
}

// GenerateKey makes a new private key. RSA keys take a second or more on a
// small machine.
func GenerateKey(t KeyType) (crypto.Signer, error) {
	switch t {
	case ECDSAP256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ECDSAP384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case RSA3072:
		return rsa.GenerateKey(rand.Reader, 3072)
	case RSA4096:
		return rsa.GenerateKey(rand.Reader, 4096)
	}
	return nil, permanent("the key type %q is unknown: choose one of %s", t, joined(KeyTypes()))
}

// EncodeKey returns the key as PKCS#8 PEM ("PRIVATE KEY"), which Icinga 2 and
// OpenSSL read for every type; one in a TPM as what that can load.
func EncodeKey(key crypto.Signer) ([]byte, error) {
	if inTPM, is := key.(*tpmKey); is {
		return inTPM.encode()
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, permanentCause(err, "the private key can't be written as PKCS#8")
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// ParseKey returns the first private key in PEM text: PKCS#8, or the "RSA
// PRIVATE KEY" (which Icinga 2 itself writes) and "EC PRIVATE KEY" of OpenSSL.
// An encrypted key is an error, since Icinga's agent could not read it either.
func ParseKey(text []byte) (crypto.Signer, error) {
	if block := keyBlock(text); block != nil {
		return parseKeyBlock(block)
	}
	return nil, permanent("no PEM private key found: the file is empty, cut off, or not a key")
}

// keyBlock returns the first block that holds a private key; nil: there is none.
func keyBlock(text []byte) *pem.Block {
	block, rest := pem.Decode(text)
	for block != nil && !strings.HasSuffix(block.Type, "PRIVATE KEY") {
		block, rest = pem.Decode(rest)
	}
	return block
}

// ParseKeyFile is [ParseKey] of a file that somebody has handed over: it may be
// DER as well, which Icinga's agent doesn't read.
func ParseKeyFile(data []byte) (crypto.Signer, error) {
	for _, kind := range []string{"PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"} {
		block := &pem.Block{Type: kind, Bytes: data}
		if _, err := parseKeyDER(block); err == nil {
			return parseKeyBlock(block)
		}
	}
	return ParseKey(data)
}

func parseKeyBlock(block *pem.Block) (crypto.Signer, error) {
	if block.Type == tss2Block {
		return nil, permanent("the private key is in a TPM, which the Icinga agent can't use: that reads keys in files only")
	}
	if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
		return nil, permanent("the private key is encrypted: decrypt it with `openssl pkey`, Icinga's agent needs it without a password (--password-file is for PKCS#12)")
	}
	key, err := parseKeyDER(block)
	if err != nil {
		return nil, permanentCause(err, "the PEM block %q holds no readable key", block.Type)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, permanent("a key of type %T can't sign: use one of %s", key, joined(KeyTypes()))
	}
	return signer, nil
}

func parseKeyDER(block *pem.Block) (any, error) {
	switch block.Type {
	case "RSA PRIVATE KEY":
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(block.Bytes)
	case "PRIVATE KEY":
		return x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	return nil, fmt.Errorf("unknown kind of PEM block")
}

func joined[T ~string](list []T) string {
	text := make([]string, len(list))
	for i, s := range list {
		text[i] = string(s)
	}
	return strings.Join(text, ", ")
}
