package pki

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/google/go-tpm/tpm2"
)

var (
	// ErrTPM is a TPM that can't be used, or doesn't do what it should. Temporary
	// where that may pass.
	ErrTPM = errors.New("the TPM can't be used")
	// ErrTPMGone is an [ErrTPM] where nothing answers: it may come back, or be gone for
	// good. Temporary.
	ErrTPMGone = fmt.Errorf("%w: nothing answers", ErrTPM)
	// ErrNoAuthValue is an [ErrTPM] where the key has an auth value, and [TPM] none: the
	// chip isn't asked. Permanent.
	ErrNoAuthValue = fmt.Errorf("%w: no auth value", ErrTPM)
	// ErrKeyLost is a key that the TPM will never load again: it was cleared, or the
	// key was made in another. Permanent.
	ErrKeyLost = errors.New("the key is lost")
)

// Why no TPM 2.0 is to be had: what the systems' ways to one have in common. No TPM
// is fs.ErrNotExist, and one that this account may not use fs.ErrPermission.
var (
	errOldTPM  = errors.New("it is a TPM 1.2")
	errBusyTPM = errors.New("another program has it for itself")
	errNoWay   = errors.New("not supported")
	errOthers  = errors.New("it isn't believed")

	errNoStorageKey = errors.New("none is kept") // though the owner lets nobody derive one
)

// noDevice says why key.tpm_device can't be a TPM.
type noDevice string

func (e noDevice) Error() string { return string(e) }

// foreignSocket is one that this account may not connect to.
type foreignSocket struct {
	owner string
	cause error
}

func (e *foreignSocket) Error() string { return e.cause.Error() }
func (e *foreignSocket) Unwrap() error { return e.cause }

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
	kind := ErrTPM
	advice, temporary := t.advise(err)
	if temporary && isGone(err) {
		kind = ErrTPMGone
	}
	return &failure{text: what + ": " + advice, kind: kind, cause: err, temporary: temporary}
}

func (t *TPM) advise(err error) (advice string, temporary bool) {
	code, answered := errors.AsType[tpm2.TPMRC](err)
	socket, denied := errors.AsType[*foreignSocket](err)
	_, named := errors.AsType[noDevice](err)
	switch {
	case errors.Is(err, errOldTPM), isOld(code):
		return "it is a TPM 1.2, and this takes a TPM 2.0: set key.store: file", false
	case errors.Is(err, errOthers):
		return "another account could be what answers at key.tpm_device", false
	case denied:
		return fmt.Sprintf("this account may not use %s, which is the socket of %s: run this as that account", t.name(), socket.owner), false
	case errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("this account may not use %s: run this as root, or add the account to the device's group (tss in most distributions)", t.name()), false
	case errors.Is(err, fs.ErrNotExist) && t.Device != "":
		return fmt.Sprintf("key.tpm_device names %s, which isn't there: correct it, or start the emulator; a service sees a device only with PrivateDevices=no", t.Device), true
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("%s isn't there: is the TPM switched on in the firmware, or given to the virtual machine? A service sees it only with PrivateDevices=no", t.name()), true
	case errors.Is(err, errNoWay):
		return "keys in a TPM are for Linux and Windows: set key.store: file", false
	case named:
		return "correct key.tpm_device", false
	case errors.Is(err, errBusyTPM):
		return fmt.Sprintf("another program has %s for itself: %s is the device for several", t.name(), TPMDevice), true
	case !answered && t.isSocket():
		return fmt.Sprintf("%s doesn't answer, or not to the end: is the emulator running, and is this its data channel?", t.name()), true
	case !answered:
		return fmt.Sprintf("%s doesn't answer, or not to the end", t.name()), true
	}
	return t.adviseCode(err, code)
}

// isSocket reports whether it is an emulator's.
func (t *TPM) isSocket() bool {
	info, err := os.Stat(t.Device)
	return err == nil && info.Mode()&fs.ModeSocket != 0
}

// isGone reports whether nothing has answered, for a reason that may pass.
func isGone(err error) bool {
	_, answered := errors.AsType[tpm2.TPMRC](err)
	return !answered && !errors.Is(err, errBusyTPM)
}

// isOld recognises a code of a TPM 1.2, which knows no command of TPM 2.0: bits 7 and
// 8 are clear in those, and in none of a TPM 2.0's (TPM 2.0 Library, part 2, 6.6).
func isOld(code tpm2.TPMRC) bool { return code != 0 && code <= maxCode && code&0x180 == 0 }

// maxCode is the greatest code of a chip. The kernel's own have 16 bits more for who
// says it (TSS 2.0 Overview and Common Structures, 3.2).
const (
	maxCode       = 0xfff
	maxKernelCode = 0xffffff
)

// adviseCode is for what the TPM itself has answered.
func (t *TPM) adviseCode(err error, code tpm2.TPMRC) (advice string, temporary bool) {
	switch {
	case code > maxKernelCode:
		return fmt.Sprintf("what answers at %s is no TPM: correct key.tpm_device", t.name()), false
	case isRefusal(err, "Sign"):
		return "the auth value is not the one that the key was made with: set key.tpm_auth_file to that, or icinga-enroll renew --rekey makes a new key", false
	case isOwnersRefusal(err) && !errors.Is(err, errNoStorageKey):
		return "the TPM's owner hierarchy has got a password: take it off (" + t.tool("changeauth -c owner") + ") or, if a storage key is kept at 0x81000001, icinga-enroll renew --rekey makes a key below that", false
	case isOwnersRefusal(err):
		return "the TPM's owner hierarchy has a password, and no storage key is kept in the chip (at 0x81000001): take the password off (" + t.tool("changeauth -c owner") + "), or have its owner put one there", false
	case isRefusal(err, "Load"), isRefusal(err, "Create"), isAnswer(err, "Load", tpm2.TPMRCAttributes), isAnswer(err, "Create", tpm2.TPMRCAttributes):
		return "what is kept in the chip at 0x81000001 is no storage key without a password: have the TPM's owner put one there", false
	case errors.Is(code, tpm2.TPMRCLockout):
		return fmt.Sprintf("the TPM is locked, after too many wrong auth values: wait for its lockout time (%s says how many seconds, LOCKOUT_INTERVAL), or run %s", t.tool("getcap properties-variable"), t.tool("dictionarylockout --clear-lockout")), true
	case isFull(code):
		return "programs have filled it: " + t.adviseFull(), true
	case errors.Is(code, tpm2.TPMRCHierarchy):
		return "the TPM's owner hierarchy is switched off: switch it on in the firmware", false
	case errors.Is(code, tpm2.TPMRCInitialize):
		return "it was not started: whoever has made the device does that (" + t.tool("startup -c") + ")", true
	case errors.Is(code, tpm2.TPMRCFailure):
		return "it has failed, and does nothing until it is reset: reboot", false
	case isDamaged(err, code):
		return "its file is damaged: bring it back as it was, or icinga-enroll renew --rekey makes a new key", false
	}
	return "the TPM has refused a command", code.IsWarning()
}

// tool is a command of tpm2-tools for this TPM. An emulator is asked for its own by
// its control socket.
func (t *TPM) tool(arguments string) string {
	if t.isSocket() {
		return fmt.Sprintf("tpm2_%s -T swtpm:path=%s", arguments, t.Device)
	}
	return "tpm2_" + arguments
}

// adviseFull names the device whose users the kernel keeps apart where another of its
// devices is used.
func (t *TPM) adviseFull() string {
	flush := fmt.Sprintf("flush what they have left (%s for keys; %s, and -s, for sessions)", t.tool("flushcontext -t"), t.tool("flushcontext -l"))
	if strings.HasPrefix(t.Device, "/dev/tpm") && !strings.HasPrefix(t.Device, "/dev/tpmrm") {
		return fmt.Sprintf("use %s, or %s", TPMDevice, flush)
	}
	return flush
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
