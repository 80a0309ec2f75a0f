// Package machine tells one machine from its copies.
package machine

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
)

// Kind says how easily a machine is copied.
type Kind string

// The kinds of machines.
const (
	Physical  Kind = "physical"
	Virtual   Kind = "virtual"
	Container Kind = "container"
)

// Identity is what a machine can be told by. What isn't known is empty: the
// system doesn't have it, this account may not read it, or it is a placeholder
// that many machines have.
type Identity struct {
	Kind      Kind
	MachineID string // of the installed system: a copy of the disk has it, too
	Hardware  string // the UUID that the firmware or the hypervisor gives; see canonicalUUID
	Instance  string // the cloud's name for this instance
	Chip      string // its TPM's name, where a key is kept in that; Identify doesn't ask it
}

// placeholders are the UUIDs that vendors ship where each machine should have
// one of its own, in canonical form. Known from the lists of inventory systems.
var placeholders = []string{
	"00020003-0004-0005-0006-000700080009", // American Megatrends' reference, as 03000200-0400-0500-…
	"12345678-1234-5678-90ab-cddeefaabbcc",
	"01234567-89ab-cdef-0123-456789abcdef",
	"44454c4c-0000-1020-8020-80c04f202020", // Dell, without a service tag
}

// canonicalUUID returns the UUID in one form for both orders of bytes: since
// SMBIOS 2.6 the first three fields are little-endian, and the same machine
// shows another UUID when its hypervisor's SMBIOS version changes. It is ""
// for what is no UUID of one machine.
func canonicalUUID(text string) string {
	raw, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(text), "-", ""))
	if err != nil || len(raw) != 16 || bytes.Count(raw, raw[:1]) == len(raw) {
		return ""
	}
	swapped := slices.Concat(reversed(raw[:4]), reversed(raw[4:6]), reversed(raw[6:8]), raw[8:])
	if bytes.Compare(swapped, raw) < 0 {
		raw = swapped
	}
	uuid := formatUUID(raw)
	if slices.ContainsFunc(placeholders, func(p string) bool { return p == uuid }) {
		return ""
	}
	return uuid
}

func reversed(b []byte) []byte {
	b = slices.Clone(b)
	slices.Reverse(b)
	return b
}

func formatUUID(raw []byte) string {
	h := hex.EncodeToString(raw)
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}

// canonicalID returns a machine-id as machine-id(5) has it, and "" for one that
// isn't set yet.
func canonicalID(text string) string {
	id := strings.ToLower(strings.TrimSpace(text))
	if raw, err := hex.DecodeString(id); err != nil || len(raw) != 16 || len(bytes.Trim(raw, "\x00")) == 0 {
		return "" // "uninitialized", too
	}
	return id
}

// sharedInstances are names that a seed without one has everywhere.
var sharedInstances = []string{"iid-datasource-none", "iid-local01", "nocloud", "none", "unknown"}

func canonicalInstance(text string) string {
	id := strings.TrimSpace(text)
	if slices.Contains(sharedInstances, strings.ToLower(id)) {
		return ""
	}
	return id
}
