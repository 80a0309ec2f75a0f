package pki

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/google/go-tpm/tpm2"
)

var (
	// ErrTPM is a TPM that can't be used, or doesn't do what it should. Temporary
	// where that may pass.
	ErrTPM = errors.New("the TPM can't be used")
	// ErrKeyLost is a key that the TPM will never load again: it was cleared, or the
	// key was made in another. Permanent.
	ErrKeyLost = errors.New("the key is lost")
)

// Why no TPM 2.0 is to be had: what the systems' ways to one have in common. No TPM
// is fs.ErrNotExist, and one that this account may not use fs.ErrPermission.
var (
	errOldTPM   = errors.New("it is a TPM 1.2")
	errBusyTPM  = errors.New("another program has it for itself")
	errNoDevice = errors.New("it is no TPM's device")
	errNoWay    = errors.New("not supported")
	errOthers   = errors.New("it isn't believed")

	errNoStorageKey = errors.New("none is kept") // though the owner lets nobody derive one
)

// badTag is how a TPM 1.2 answers a command of TPM 2.0.
const badTag tpm2.TPMRC = 0x1e

// commandError is the answer to one command: what a code means depends on that.
type commandError struct {
	command string
	cause   error
}

func (e *commandError) Error() string { return e.command + ": " + e.cause.Error() }
func (e *commandError) Unwrap() error { return e.cause }

// explain says what to do about err, and whether it may pass.
func (t *TPM) explain(err error, what string) *failure {
	if isLost(err) {
		return &failure{text: "the TPM doesn't know the key: it was cleared since, or the key was made in another", kind: ErrKeyLost, cause: err}
	}
	advice, temporary := t.advise(err)
	return &failure{text: what + ": " + advice, kind: ErrTPM, cause: err, temporary: temporary}
}

func (t *TPM) advise(err error) (advice string, temporary bool) {
	code, answered := errors.AsType[tpm2.TPMRC](err)
	switch {
	case errors.Is(err, errOldTPM), errors.Is(err, badTag):
		return "it is a TPM 1.2, and this takes a TPM 2.0: set key.store: file", false
	case errors.Is(err, errOthers):
		return "another account could be what answers at key.tpm_device", false
	case errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("this account may not use %s: run this as root, or add the account to the device's group (tss in most distributions)", t.name()), false
	case errors.Is(err, fs.ErrNotExist) && t.Device != "":
		return fmt.Sprintf("key.tpm_device names %s, which isn't there: correct it, or start the emulator; a service sees a device only with PrivateDevices=no", t.Device), true
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("%s isn't there: is the TPM switched on in the firmware, or given to the virtual machine? A service sees it only with PrivateDevices=no", t.name()), true
	case errors.Is(err, errNoWay):
		return "keys in a TPM are for Linux and Windows: set key.store: file", false
	case errors.Is(err, errNoDevice):
		return "key.tpm_device names none", false
	case errors.Is(err, errBusyTPM):
		return fmt.Sprintf("another program has %s for itself: %s is the device for several", t.name(), TPMDevice), true
	case !answered:
		return fmt.Sprintf("%s doesn't answer, or not to the end", t.name()), true
	}
	return adviseCode(err, code)
}

// adviseCode is for what the TPM itself has answered.
func adviseCode(err error, code tpm2.TPMRC) (advice string, temporary bool) {
	switch {
	case isRefusal(err, "Sign"):
		return "the auth value is not the one that the key was made with: set key.tpm_auth_file to that, or icinga-enroll renew --rekey makes a new key", false
	case isOwnersRefusal(err) && !errors.Is(err, errNoStorageKey):
		return "its owner hierarchy has got a password: take it off (tpm2_changeauth -c owner), or icinga-enroll renew --rekey makes a key below the one at 0x81000001", false
	case isOwnersRefusal(err):
		return "its owner hierarchy has a password, and no storage key is kept in it (at 0x81000001): take the password off (tpm2_changeauth -c owner), or have its owner put one there", false
	case errors.Is(code, tpm2.TPMRCLockout):
		return "the TPM is locked, after too many wrong auth values: wait for its lockout time, or run tpm2_dictionarylockout --clear-lockout", true
	case isFull(code):
		return fmt.Sprintf("programs have filled it: use %s, or flush the handles (tpm2_getcap handles-transient, tpm2_flushcontext HANDLE)", TPMDevice), true
	case errors.Is(code, tpm2.TPMRCHierarchy):
		return "its owner hierarchy is switched off: switch it on in the firmware", false
	case errors.Is(code, tpm2.TPMRCInitialize):
		return "it was not started: whoever has made the device does that (tpm2_startup -c)", true
	case errors.Is(code, tpm2.TPMRCFailure):
		return "it has failed, and does nothing until it is reset: reboot", false
	case isDamaged(err, code):
		return "its file is damaged: bring it back as it was, or icinga-enroll renew --rekey makes a new key", false
	}
	return "the TPM has refused a command", code.IsWarning()
}

// isLost recognises a key below another storage key than the chip's, or below one
// that isn't kept there any more.
func isLost(err error) bool {
	return isAnswer(err, "Load", tpm2.TPMRCIntegrity) || isAnswer(err, "ReadPublic", tpm2.TPMRCHandle)
}

// isDamaged recognises a key that the chip can't even read. One of which it finds the
// contents to be changed is lost to it.
func isDamaged(err error, code tpm2.TPMRC) bool {
	c, is := errors.AsType[*commandError](err)
	about, _ := errors.AsType[tpm2.TPMFmt1Error](code)
	aboutKey, _ := about.Parameter()
	return is && c.command == "Load" && aboutKey
}

// isOwnersRefusal reports whether it takes a password to derive the storage key.
func isOwnersRefusal(err error) bool { return isRefusal(err, "CreatePrimary") }

// isFull reports whether there is no room for what others have left: a device
// without a resource manager keeps that, also of programs that were killed.
func isFull(code tpm2.TPMRC) bool {
	return slices.Contains([]tpm2.TPMRC{tpm2.TPMRCObjectMemory, tpm2.TPMRCSessionMemory, tpm2.TPMRCObjectHandles, tpm2.TPMRCSessionHandles}, code)
}

func isRefusal(err error, command string) bool {
	return isAnswer(err, command, tpm2.TPMRCAuthFail) || isAnswer(err, command, tpm2.TPMRCBadAuth)
}

func isAnswer(err error, command string, code tpm2.TPMRC) bool {
	c, is := errors.AsType[*commandError](err)
	return is && c.command == command && errors.Is(c.cause, code)
}
