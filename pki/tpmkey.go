package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"

	keyfile "github.com/foxboron/go-tpm-keyfiles"
	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// tss2Block is the kind of PEM block that OpenSSL's provider tpm2 and others read.
const tss2Block = "TSS2 PRIVATE KEY"

// tpmKey is a key that its TPM alone can use. It is known without asking that.
type tpmKey struct {
	tpm    *TPM
	blob   *keyfile.TPMKey
	public *ecdsa.PublicKey
}

// InTPM reports whether key is in a TPM: nobody can read it.
func InTPM(key crypto.Signer) bool {
	_, is := key.(*tpmKey)
	return is
}

// HasAuthValue reports whether key is in a TPM and has one: to the chip every
// use with a wrong one is a guess, and after some it refuses the right one, too.
func HasAuthValue(key crypto.Signer) bool {
	k, is := key.(*tpmKey)
	return is && k.blob.HasAuth()
}

// CheckLoads is [CheckKey] without the use of key: where its auth value may be another
// one than is configured by now, that would be a guess.
func CheckLoads(key crypto.Signer) error {
	k, is := key.(*tpmKey)
	if !is {
		return nil
	}
	return k.withLoaded(func(transport.TPM, primary, tpm2.NamedHandle) error { return nil })
}

// CheckKey has the TPM sign something where key is in one. Its error is [ErrKeyLost]
// or [ErrTPM]; nil where key can be used now.
func CheckKey(key crypto.Signer) error {
	k, is := key.(*tpmKey)
	if !is {
		return nil
	}
	digest := sha256.Sum256([]byte("icinga-enroll"))
	_, err := k.Sign(nil, digest[:], crypto.SHA256)
	return err
}

// parse reads a TSS2 key: one that was made here, or by another program as this
// one makes them.
func (t *TPM) parse(der []byte) (crypto.Signer, error) {
	blob, err := keyfile.Parse(der)
	if err != nil {
		return nil, permanentCause(err, "the PEM block %q holds no readable key", tss2Block)
	}
	if !blob.Keytype.Equal(keyfile.OIDLoadableKey) || blob.Parent != tpm2.TPMRHOwner && blob.Parent != persistentKey || len(blob.Policy)+len(blob.AuthPolicy) > 0 {
		return nil, permanent("the key in the TPM is of a kind that isn't supported: want a loadable one below the owner's storage key, without a policy")
	}
	return t.key(blob)
}

func (t *TPM) key(blob *keyfile.TPMKey) (crypto.Signer, error) {
	public, err := publicKey(blob)
	if err != nil {
		return nil, permanentCause(err, "the key in the TPM is of a kind that isn't supported: want one for signatures on the curve P-256")
	}
	return &tpmKey{tpm: t, blob: blob, public: public}, nil
}

func publicKey(blob *keyfile.TPMKey) (*ecdsa.PublicKey, error) {
	contents, err := blob.Pubkey.Contents()
	if err != nil {
		return nil, err
	}
	public, err := tpm2.Pub(*contents)
	if err != nil {
		return nil, err
	}
	ec, is := public.(*ecdsa.PublicKey)
	switch {
	case !is || ec.Params().BitSize != 256:
		return nil, fmt.Errorf("it is %s", TypeOf(public))
	case !contents.ObjectAttributes.SignEncrypt:
		return nil, errors.New("it is not for signatures")
	}
	return ec, nil
}

// hasAuth is emptyAuth, which is [0], with the value false. The format lets that be
// left out, as keyfile does, but tpm2-openssl 1.1 then tries no auth value.
var hasAuth = asn1.RawValue{FullBytes: []byte{0xa0, 3, asn1.TagBoolean, 1, 0}}

func (k *tpmKey) encode() ([]byte, error) {
	var parts []asn1.RawValue
	if _, err := asn1.Unmarshal(keyfile.Marshal(k.blob), &parts); err != nil {
		return nil, err
	}
	if k.blob.HasAuth() {
		parts = slices.Insert(parts, 1, hasAuth) // behind its kind
	}
	der, err := asn1.Marshal(parts)
	return pem.EncodeToMemory(&pem.Block{Type: tss2Block, Bytes: der}), err
}

// Public is what certificates are made for.
func (k *tpmKey) Public() crypto.PublicKey { return k.public }

// Sign has the chip sign. Of a longer digest ECDSA uses no more than the curve has
// bits, so that every chip can do it, whichever hashes it knows.
func (k *tpmKey) Sign(_ io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	if len(digest) < sha256.Size {
		return nil, permanent("a key in a TPM signs nothing that is hashed by less than SHA-256")
	}
	auth, err := k.auth()
	if err != nil {
		return nil, err
	}
	var signature *tpm2.TPMSSignatureECC
	err = k.withLoaded(func(device transport.TPM, srk primary, loaded tpm2.NamedHandle) (err error) {
		signature, err = sign(device, tpm2.AuthHandle{Handle: loaded.Handle, Name: loaded.Name, Auth: srk.session(auth)}, digest[:sha256.Size])
		return err
	})
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(struct{ R, S *big.Int }{
		new(big.Int).SetBytes(signature.SignatureR.Buffer), new(big.Int).SetBytes(signature.SignatureS.Buffer),
	})
}

// auth doesn't try a key that has an auth value with none: the chip counts that as
// a wrong guess, and locks it after some.
func (k *tpmKey) auth() ([]byte, error) {
	switch {
	case !k.blob.HasAuth():
		return nil, nil
	case k.tpm.Auth.IsZero():
		return nil, &failure{text: unusable + ": it has an auth value, and none is configured here: set key.tpm_auth_file, or by hand, where a service gets it as a credential, give --key-tpm-auth-file FILE", kind: ErrNoAuthValue}
	}
	return []byte(k.tpm.Auth.Reveal()), nil
}

const unusable = "the key in the TPM can't be used"

// withLoaded has the chip load the key for the time of do.
func (k *tpmKey) withLoaded(do func(device transport.TPM, srk primary, loaded tpm2.NamedHandle) error) error {
	err := k.tpm.withStorageKey(k.blob.Parent, func(device transport.TPM, srk primary) error {
		loaded, err := tpm2.Load{ParentHandle: srk.authorized(), InPrivate: k.blob.Privkey, InPublic: k.blob.Pubkey}.Execute(device)
		if err != nil {
			return &commandError{"Load", err}
		}
		defer flush(device, loaded.ObjectHandle)
		return do(device, srk, tpm2.NamedHandle{Handle: loaded.ObjectHandle, Name: loaded.Name})
	})
	if err != nil {
		return k.tpm.explain(err, unusable)
	}
	return nil
}

func sign(device transport.TPM, key tpm2.AuthHandle, digest []byte) (*tpm2.TPMSSignatureECC, error) {
	signed, err := tpm2.Sign{
		KeyHandle: key,
		Digest:    tpm2.TPM2BDigest{Buffer: digest},
		InScheme: tpm2.TPMTSigScheme{
			Scheme:  tpm2.TPMAlgECDSA,
			Details: tpm2.NewTPMUSigScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSchemeHash{HashAlg: tpm2.TPMAlgSHA256}),
		},
		Validation: tpm2.TPMTTKHashCheck{Tag: tpm2.TPMSTHashCheck},
	}.Execute(device)
	if err != nil {
		return nil, &commandError{"Sign", err}
	}
	return signed.Signature.Signature.ECDSA()
}
