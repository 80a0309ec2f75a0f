package platform

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
)

// Hostname returns this node's name as the kernel has it. It may be a short
// name or have dots in it.
func Hostname() (string, error) {
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("ask the operating system for this node's name: %w: set one, or give the name in the configuration (host.name)", err)
	}
	if name == "" {
		return "", errors.New("this node has no name: set one, or give the name in the configuration (host.name)")
	}
	return name, nil
}

// FQDN returns this node's fully qualified name, without a dot at its end: the
// host name if it has a dot, else the canonical name that /etc/hosts or DNS has
// for it. Names of the kind localhost.localdomain don't count. The error is
// temporary where a name may yet come up.
func FQDN(ctx context.Context) (string, error) {
	host, err := Hostname()
	if err != nil {
		return "", err
	}
	return qualify(ctx, host, net.DefaultResolver.LookupCNAME)
}

func qualify(ctx context.Context, host string, canonical func(context.Context, string) (string, error)) (string, error) {
	if name := strings.TrimSuffix(host, "."); isFQDN(name) {
		return name, nil
	}
	const todo = "add it to DNS or /etc/hosts, set a host name with its domain, or give the name in the configuration (host.name)"
	name, err := canonical(ctx, host)
	if err != nil {
		return "", temporaryError{fmt.Errorf("find the fully qualified name of %q: %w: %s", host, err, todo)}
	}
	if name = strings.TrimSuffix(name, "."); !isFQDN(name) {
		return "", temporaryError{fmt.Errorf("the resolver calls %q %q, which is no fully qualified name: %s", host, name, todo)}
	}
	return name, nil
}

func isFQDN(name string) bool {
	return strings.Contains(name, ".") && !strings.HasPrefix(strings.ToLower(name), "localhost")
}

// LocalAddresses returns the addresses of this node that its packets to host
// would carry, one for IPv4 and one for IPv6; nothing is sent but the questions
// for host's own addresses. An address is zero if host can't be reached that
// way, or by way of an address that is none for others: loopback, link-local.
// The error is for a host that can't be reached either way; it is temporary.
func LocalAddresses(ctx context.Context, host string, port string) (v4, v6 netip.Addr, err error) {
	v4, err4 := localAddress(ctx, "udp4", host, port)
	v6, err6 := localAddress(ctx, "udp6", host, port)
	if err4 != nil && err6 != nil {
		return v4, v6, temporaryError{fmt.Errorf("find this node's address towards %s: by IPv4: %w; by IPv6: %w: "+
			"look at DNS and the routes, or give the address in the configuration", host, err4, err6)}
	}
	return v4, v6, nil
}

// localAddress connects a UDP socket, which makes the kernel choose a route and
// with it the local address, and sends nothing.
func localAddress(ctx context.Context, network, host, port string) (netip.Addr, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(host, port))
	if err != nil {
		return netip.Addr{}, err
	}
	defer func() { _ = conn.Close() }()
	local, err := netip.ParseAddrPort(conn.LocalAddr().String())
	if err != nil {
		return netip.Addr{}, err
	}
	return reachable(local.Addr()), nil
}

// reachable returns addr, or the zero address if others can't reach a node by it.
func reachable(addr netip.Addr) netip.Addr {
	addr = addr.Unmap()
	if !addr.IsGlobalUnicast() {
		return netip.Addr{}
	}
	return addr
}

// Resolve returns the address of host that this system prefers, and an address
// as it is.
func Resolve(ctx context.Context, host string) (string, error) {
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return "", temporaryError{fmt.Errorf("look up the address of %s: %w", host, err)}
	}
	return addresses[0].Unmap().String(), nil
}
