package agent

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

const established = "01" // TCP_ESTABLISHED of Linux' net/tcp_states.h

// Connection is one of this machine's TCP connections.
type Connection struct{ Local, Remote netip.AddrPort }

// Connections lists the TCP connections that are established. Where the system
// has no table of them in files (all but Linux), it is empty.
func Connections() []Connection {
	var all []Connection
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(file)
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if c, ok := parseConnection(lines.Text()); ok {
				all = append(all, c)
			}
		}
		_ = f.Close()
	}
	return all
}

// parseConnection reads a line of /proc/net/tcp (proc_net_tcp.txt of the
// kernel's documentation): "  0: 0100007F:1F90 0200007F:1662 01 …".
func parseConnection(line string) (c Connection, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 4 || fields[3] != established {
		return c, false
	}
	local, okLocal := parseSocket(fields[1])
	remote, okRemote := parseSocket(fields[2])
	return Connection{local, remote}, okLocal && okRemote
}

// parseSocket reads an address, words of 32 bits in the byte order of the
// machine, and a port.
func parseSocket(text string) (netip.AddrPort, bool) {
	address, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(address)
	number, errPort := strconv.ParseUint(port, 16, 16)
	if err != nil || errPort != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	if littleEndian {
		for word := range slices.Chunk(raw, 4) {
			slices.Reverse(word)
		}
	}
	ip, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(ip.Unmap(), uint16(number)), ok
}

var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1
