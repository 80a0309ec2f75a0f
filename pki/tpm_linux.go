package pki

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-tpm/tpm2/transport"
)

// devicePatience is how long another program may have a device for itself: the kernel
// has time limits of its own for what the chip does. socketPatience is for all that is
// asked of an emulator at once; the longer it is, the longer a signal waits where the
// emulator hangs.
const (
	devicePatience = 30 * time.Second
	socketPatience = 10 * time.Second
)

func (t *TPM) name() string {
	if t.Device == "" {
		return TPMDevice
	}
	return t.Device
}

// open waits for a TPM that one program at a time can have: a device is busy then,
// and an emulator has too many that wait for it, or hangs.
func (t *TPM) open() (device transport.TPMCloser, err error) {
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		device, err = t.openOnce()
		waited := time.Since(began)
		switch {
		case errors.Is(err, syscall.EBUSY) && waited > devicePatience:
			return nil, errBusyTPM
		case errors.Is(err, syscall.EBUSY), errors.Is(err, syscall.EAGAIN) && waited < socketPatience:
		default:
			return device, err
		}
	}
}

func (t *TPM) openOnce() (transport.TPMCloser, error) {
	info, err := os.Stat(t.name())
	switch {
	case errors.Is(err, fs.ErrNotExist) && t.Device == "" && hasOldTPM():
		return nil, errOldTPM
	case errors.Is(err, fs.ErrPermission) && !strings.HasPrefix(t.name(), "/dev/"):
		return nil, &foreignSocket{"another account", err}
	case err != nil:
		return nil, err
	case info.Mode()&fs.ModeSocket != 0:
		return t.openSocket(info)
	case info.Mode()&fs.ModeDevice == 0:
		return nil, noDevice(t.name() + " is neither a device nor a socket")
	}
	device, err := os.OpenFile(t.name(), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return transport.FromReadWriteCloser(device), nil
}

// openSocket is for an emulator that speaks as a device does, such as swtpm with
// --server type=unixio. Others wait until it is closed.
func (t *TPM) openSocket(info fs.FileInfo) (transport.TPMCloser, error) {
	if t.Guard != nil {
		if err := t.Guard(t.name()); err != nil {
			return nil, fmt.Errorf("%w: %w", errOthers, err)
		}
	}
	conn, err := net.DialTimeout("unix", t.name(), socketPatience)
	if errors.Is(err, fs.ErrPermission) {
		return nil, &foreignSocket{ownerOf(info), err}
	}
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(socketPatience)); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return transport.FromReadWriteCloser(conn), nil
}

func ownerOf(info fs.FileInfo) string {
	uid := fmt.Sprint(info.Sys().(*syscall.Stat_t).Uid)
	if account, err := user.LookupId(uid); err == nil {
		return account.Username
	}
	return "uid " + uid
}

func hasOldTPM() bool {
	version, err := os.ReadFile("/sys/class/tpm/tpm0/tpm_version_major")
	return err == nil && strings.TrimSpace(string(version)) == "1"
}
