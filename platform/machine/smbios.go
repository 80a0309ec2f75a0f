package machine

import (
	"bytes"
	"encoding/hex"
	"strings"
)

// systemInformation finds "maker product" and the UUID in SMBIOS structures
// (DMTF DSP0134, 7.2: type 1). Both are "" where there is no such structure.
func systemInformation(table []byte) (made, uuid string) {
	for len(table) >= 4 {
		kind, length := table[0], int(table[1])
		if length < 4 || length > len(table) {
			return "", ""
		}
		end := bytes.Index(table[length:], []byte{0, 0})
		if end < 0 {
			return "", ""
		}
		if kind == 1 && length >= 0x18 {
			names := strings.Split(string(table[length:length+end]), "\x00")
			made := nth(names, table[4]) + " " + nth(names, table[5])
			return made, hex.EncodeToString(table[8:24])
		}
		table = table[length+end+2:]
	}
	return "", ""
}

// nth returns a structure's string; they are counted from 1, and 0 is none.
func nth(names []string, i byte) string {
	if i == 0 || int(i) > len(names) {
		return ""
	}
	return names[i-1]
}
