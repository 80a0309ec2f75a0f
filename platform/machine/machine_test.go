package machine

import (
	"encoding/hex"
	"strings"
	"testing"
)

func TestCanonicalUUID(t *testing.T) {
	for text, want := range map[string]string{
		"4C4C4544-0051-3010-8052-B4C04F4A3132\n": "44454c4c-5100-1030-8052-b4c04f4a3132",
		"44454c4c-5100-1030-8052-b4c04f4a3132":   "44454c4c-5100-1030-8052-b4c04f4a3132", // by another SMBIOS version
		"00000000-0000-0000-0000-000000000000":   "",
		"FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF":   "",
		"03000200-0400-0500-0006-000700080009":   "",
		"00020003-0004-0005-0006-000700080009":   "",
		"12345678-1234-5678-90AB-CDDEEFAABBCC":   "",
		"C2C0C0C0-C0C0-C280-C080-808080808080":   "c0c0c0c2-c0c0-80c2-c080-808080808080", // no byte of it is one of a text's
		"Not Settable":                           "",
		"":                                       "",
	} {
		if got := canonicalUUID(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

// The placeholders are compared in canonical form: one that isn't would never match.
func TestPlaceholdersAreCanonical(t *testing.T) {
	for _, p := range placeholders {
		if canonicalUUID(p) != "" {
			t.Errorf("%s is taken for an identity", p)
		}
	}
}

func TestCanonicalID(t *testing.T) {
	for text, want := range map[string]string{
		"0123456789abcdef0123456789ABCDEF\n": "0123456789abcdef0123456789abcdef",
		"uninitialized\n":                    "",
		"":                                   "",
		strings.Repeat("0", 32):              "",
	} {
		if got := canonicalID(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

func TestCanonicalInstance(t *testing.T) {
	if got := canonicalInstance("i-0abc\n") + canonicalInstance("iid-datasource-none") + canonicalInstance("NoCloud"); got != "i-0abc" {
		t.Errorf("got %q", got)
	}
}

// The bytes of a virtual machine's SMBIOS: firmware (type 0), then the system (type 1).
func TestSystemInformation(t *testing.T) {
	firmware := append([]byte{0, 6, 0, 0, 1, 1}, "SeaBIOS\x00\x00"...)
	uuid, _ := hex.DecodeString("4c4c4544005130108052b4c04f4a3132")
	system := append([]byte{1, 27, 0, 1, 1, 2, 0, 0}, append(uuid, 6, 0, 0)...)
	table := append(firmware, append(system, "QEMU\x00Standard PC\x00\x00"...)...)
	if made, uuid := systemInformation(table); made != "QEMU Standard PC" || uuid != "4c4c4544005130108052b4c04f4a3132" {
		t.Errorf("got %q, %q", made, uuid)
	}
	for end := range table[:len(table)-2] { // cut anywhere it says nothing, and doesn't panic
		if made, uuid := systemInformation(table[:end]); made != "" || uuid != "" {
			t.Errorf("of %d bytes: %q, %q", end, made, uuid)
		}
	}
}
