package machine

import (
	"encoding/hex"
	"strings"
	"testing"
)

// FuzzCanonicalUUID: a machine is the same machine however its UUID is written,
// in both orders of bytes, and once it is in canonical form.
func FuzzCanonicalUUID(f *testing.F) {
	for _, seed := range append([]string{"4C4C4544-0051-3010-8052-B4C04F4A3132\n", "Not Settable", ""}, placeholders...) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		uuid := canonicalUUID(text)
		if uuid == "" {
			return
		}
		raw, err := hex.DecodeString(strings.ReplaceAll(uuid, "-", ""))
		if err != nil || len(raw) != 16 {
			t.Fatalf("%q became %q", text, uuid)
		}
		copy(raw, append(append(reversed(raw[:4]), reversed(raw[4:6])...), reversed(raw[6:8])...))
		for _, form := range []string{uuid, strings.ToUpper(uuid), hex.EncodeToString(raw), " " + formatUUID(raw) + "\n"} {
			if again := canonicalUUID(form); again != uuid {
				t.Errorf("%q is %q, written as %q it is %q", text, uuid, form, again)
			}
		}
	})
}

// FuzzSystemInformation: firmware that is wrong tells nothing, or a UUID of 16
// bytes that stand in the table.
func FuzzSystemInformation(f *testing.F) {
	system := append([]byte{1, 27, 0, 1, 1, 2, 0, 0}, "0123456789abcdef\x06\x00\x00QEMU\x00Standard PC\x00\x00"...)
	f.Add(system)
	f.Add(append([]byte{0, 6, 0, 0, 1, 1, 'B', 0, 0}, system...))
	f.Add([]byte{1, 255, 0, 0, 0, 0})
	f.Add([]byte{1, 4, 0, 0, 0, 0, 127, 4, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, table []byte) {
		made, uuid := systemInformation(table)
		if uuid == "" {
			if made != "" {
				t.Errorf("a maker %q without a UUID", made)
			}
			return
		}
		raw, err := hex.DecodeString(uuid)
		if err != nil || len(raw) != 16 || !strings.Contains(string(table), string(raw)) {
			t.Errorf("the UUID is %q, of %x", uuid, table)
		}
	})
}
