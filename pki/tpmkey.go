package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/pem"
	"errors"
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
	if !is || ec.Params().BitSize != 256 || !contents.ObjectAttributes.SignEncrypt {
		return nil, errors.New("it is another")
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
	err = k.tpm.withStorageKey(k.blob.Parent, func(device transport.TPM, srk primary) (err error) {
		signature, err = k.sign(device, srk, auth, digest[:sha256.Size])
		return err
	})
	if err != nil {
		return nil, k.tpm.explain(err, "the key in the TPM can't be used")
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
		return nil, &failure{text: "the key in the TPM can't be used: it has an auth value, and none is configured here: set key.tpm_auth_file", kind: ErrTPM}
	}
	return []byte(k.tpm.Auth.Reveal()), nil
}

// sign is done within the time that the storage key is there.
func (k *tpmKey) sign(device transport.TPM, srk primary, auth, digest []byte) (*tpm2.TPMSSignatureECC, error) {
	loaded, err := tpm2.Load{ParentHandle: srk.authorized(), InPrivate: k.blob.Privkey, InPublic: k.blob.Pubkey}.Execute(device)
	if err != nil {
		return nil, &commandError{"Load", err}
	}
	defer flush(device, loaded.ObjectHandle)
	signed, err := tpm2.Sign{
		KeyHandle: tpm2.AuthHandle{Handle: loaded.ObjectHandle, Name: loaded.Name, Auth: srk.session(auth)},
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
