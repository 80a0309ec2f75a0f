package pki

import (
	"crypto"
	"encoding/hex"
	"fmt"

	keyfile "github.com/foxboron/go-tpm-keyfiles"
	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"icinga-enroll/enroll/secret"
)

// TPM is a TPM 2.0. It is opened for each operation and closed after it: other
// programs need it, too. Nothing is stored in it: a key is made below the chip's
// storage key, which it derives from a seed that only TPM2_Clear replaces, and
// leaves it encrypted by that.
type TPM struct {
	Device string      // a device or a socket; "": the system's own
	Auth   secret.Text // the auth value of keys that are made; zero: they have none

	// Guard refuses a socket that another account could replace; nil: nobody does. A
	// device is the kernel's.
	Guard func(path string) error
}

// TPMDevice is Linux's own: the kernel shares it out to several programs.
const TPMDevice = "/dev/tpmrm0"

// MaxTPMAuth is how many bytes an auth value has at most.
const MaxTPMAuth = 32

// persistentKey is where a storage key is kept for everybody. Windows has one there,
// and a password for the owner's hierarchy that nobody knows.
const persistentKey tpm2.TPMHandle = 0x81000001

// primary is a key that the chip has derived from a seed.
type primary struct {
	tpm2.NamedHandle
	public tpm2.TPMTPublic
}

// derive has the chip derive a primary key for the time of do.
func derive(device transport.TPM, hierarchy tpm2.TPMHandle, template tpm2.TPMTPublic, do func(primary) error) error {
	made, err := tpm2.CreatePrimary{PrimaryHandle: hierarchy, InPublic: tpm2.New2B(template)}.Execute(device)
	if err != nil {
		return &commandError{"CreatePrimary", err}
	}
	defer flush(device, made.ObjectHandle)
	public, err := made.OutPublic.Contents()
	if err != nil {
		return err
	}
	return do(primary{tpm2.NamedHandle{Handle: made.ObjectHandle, Name: made.Name}, *public})
}

// flush frees what a command has loaded: without a resource manager there is room
// for three.
func flush(device transport.TPM, h tpm2.TPMHandle) {
	_, _ = tpm2.FlushContext{FlushHandle: h}.Execute(device) // a device that is gone has forgotten it
}

// readPersistent hands do the storage key that is kept in the chip.
func readPersistent(device transport.TPM, do func(primary) error) error {
	read, err := tpm2.ReadPublic{ObjectHandle: persistentKey}.Execute(device)
	if err != nil {
		return &commandError{"ReadPublic", err}
	}
	public, err := read.OutPublic.Contents()
	if err != nil {
		return err
	}
	return do(primary{tpm2.NamedHandle{Handle: persistentKey, Name: read.Name}, *public})
}

// withStorageKey opens the device and hands do the key that others are made below.
func (t *TPM) withStorageKey(parent tpm2.TPMHandle, do func(transport.TPM, primary) error) error {
	device, err := t.open()
	if err != nil {
		return err
	}
	defer func() { _ = device.Close() }()
	doThere := func(srk primary) error { return do(device, srk) }
	if parent == persistentKey {
		return readPersistent(device, doThere)
	}
	return derive(device, tpm2.TPMRHOwner, keyfile.ECCSRK_H2_Template, doThere)
}

// session authorizes a command by auth, without showing that on the chip's bus.
func (p primary) session(auth []byte) tpm2.Session {
	return tpm2.HMAC(tpm2.TPMAlgSHA256, 16, tpm2.Auth(auth), tpm2.Salted(p.Handle, p.public), tpm2.AESEncryption(128, tpm2.EncryptIn))
}

func (p primary) authorized() tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: p.Handle, Name: p.Name, Auth: p.session(nil)}
}

// keyTemplate is a key for signatures alone. One without an auth value takes no
// part in the chip's protection against guessing, or somebody else's wrong guesses
// would lock it.
func keyTemplate(hasAuth bool) tpm2.TPMTPublic {
	return tpm2.TPMTPublic{
		Type:    tpm2.TPMAlgECC,
		NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{
			FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, SignEncrypt: true, NoDA: !hasAuth,
		},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
			CurveID: tpm2.TPMECCNistP256,
			Scheme:  tpm2.TPMTECCScheme{Scheme: tpm2.TPMAlgNull},
		}),
	}
}

// belowStorageKey tells do what new keys are made below: the storage key that the chip
// derives or, where the owner keeps that to himself, the one that is kept there.
func belowStorageKey(do func(parent tpm2.TPMHandle) error) error {
	err := do(tpm2.TPMRHOwner)
	if !isOwnersRefusal(err) {
		return err
	}
	kept := do(persistentKey)
	if isLost(kept) {
		return fmt.Errorf("%w: %w", errNoStorageKey, err)
	}
	return kept
}

// generate has the chip make a key of type [ECDSAP256].
func (t *TPM) generate() (crypto.Signer, error) {
	var blob *keyfile.TPMKey
	err := belowStorageKey(func(parent tpm2.TPMHandle) (err error) {
		blob, err = t.create(parent)
		return err
	})
	if err != nil {
		return nil, t.explain(err, noKey)
	}
	return t.key(blob)
}

const noKey = "no key can be made in the TPM"

// ready goes as far as generate can without making a key: nothing is written.
func (t *TPM) ready() error {
	err := belowStorageKey(func(parent tpm2.TPMHandle) error {
		return t.withStorageKey(parent, func(device transport.TPM, _ primary) error { return t.refuseLocked(device) })
	})
	if err != nil {
		return t.explain(err, noKey)
	}
	return nil
}

// inLockout is a bit of TPMA_PERMANENT (TPM 2.0 Library, part 2, 8.6).
const inLockout = 1 << 9

// refuseLocked is for keys with an auth value: a chip that is locked makes one, and
// doesn't use it.
func (t *TPM) refuseLocked(device transport.TPM) error {
	if t.Auth.IsZero() {
		return nil
	}
	got, err := tpm2.GetCapability{Capability: tpm2.TPMCapTPMProperties, Property: uint32(tpm2.TPMPTPermanent), PropertyCount: 1}.Execute(device)
	if err != nil {
		return &commandError{"GetCapability", err}
	}
	properties, err := got.CapabilityData.Data.TPMProperties()
	if err != nil {
		return err
	}
	for _, p := range properties.TPMProperty {
		if p.Property == tpm2.TPMPTPermanent && p.Value&inLockout != 0 {
			return tpm2.TPMRCLockout
		}
	}
	return nil
}

func (t *TPM) create(parent tpm2.TPMHandle) (blob *keyfile.TPMKey, err error) {
	auth := []byte(t.Auth.Reveal())
	err = t.withStorageKey(parent, func(device transport.TPM, srk primary) error {
		made, err := tpm2.Create{
			ParentHandle: srk.authorized(),
			InSensitive:  tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{UserAuth: tpm2.TPM2BAuth{Buffer: auth}}},
			InPublic:     tpm2.New2B(keyTemplate(len(auth) > 0)),
		}.Execute(device)
		if err != nil {
			return &commandError{"Create", err}
		}
		blob = keyfile.NewTPMKey(keyfile.OIDLoadableKey, made.OutPublic, made.OutPrivate, keyfile.WithParent(parent), keyfile.WithUserAuth(auth))
		return nil
	})
	return blob, err
}

// ID names the chip, whatever is in it: TPM2_Clear doesn't change it. It is the
// name of its endorsement key, for which its maker vouches.
func (t *TPM) ID() (string, error) {
	device, err := t.open()
	if err != nil {
		return "", err
	}
	defer func() { _ = device.Close() }()
	var id string
	err = derive(device, tpm2.TPMRHEndorsement, tpm2.ECCEKTemplate, func(ek primary) error {
		id = hex.EncodeToString(ek.Name.Buffer)
		return nil
	})
	return id, err
}
