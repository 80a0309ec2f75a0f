package machine

import (
	"encoding/binary"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

// Identify tells what is known of this machine. It changes nothing and never
// fails: what can't be read isn't known.
func Identify() Identity {
	id := Identity{Kind: Physical, MachineID: canonicalID(strings.ReplaceAll(machineGUID(), "-", ""))}
	maker, uuid := systemInformation(firmwareTable())
	id.Hardware = canonicalUUID(uuid)
	if slices.ContainsFunc(virtualMakers, func(v string) bool { return strings.Contains(maker, v) }) {
		id.Kind = Virtual
	}
	return id
}

// virtualMakers are the makers and products that hypervisors name.
var virtualMakers = []string{"Microsoft Corporation Virtual Machine", "VMware", "QEMU", "KVM", "Xen", "VirtualBox", "Parallels", "OpenStack", "Google Compute Engine", "Amazon EC2", "Nutanix", "BHYVE"}

// machineGUID is made by the installation of Windows, and anew by sysprep.
func machineGUID() string {
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, `SOFTWARE\Microsoft\Cryptography`, registry.QUERY_VALUE|registry.WOW64_64KEY)
	if err != nil {
		return ""
	}
	defer func() { _ = key.Close() }()
	guid, _, err := key.GetStringValue("MachineGuid")
	if err != nil {
		return ""
	}
	return guid
}

var getFirmwareTable = windows.NewLazySystemDLL("kernel32.dll").NewProc("GetSystemFirmwareTable")

// firmwareTable returns the SMBIOS structures, empty where there are none.
func firmwareTable() []byte {
	const rsmb = 'R'<<24 | 'S'<<16 | 'M'<<8 | 'B'
	size, _, _ := getFirmwareTable.Call(rsmb, 0, 0, 0)
	if size < 8 {
		return nil
	}
	data := make([]byte, size)
	size, _, _ = getFirmwareTable.Call(rsmb, 0, uintptr(unsafe.Pointer(&data[0])), size) //nolint:gosec // the call takes an address
	if size < 8 || int(size) > len(data) {
		return nil
	}
	// RawSMBIOSData: four bytes of versions, the length, the structures.
	length := int(binary.LittleEndian.Uint32(data[4:8]))
	return data[8:min(8+length, int(size))]
}
