package faults

import (
	"crypto/tls"
	"io"
	"net"
	"time"
)

// connFaults happen before a request can be sent, so everywhere alike.
var connFaults = []fault{
	{
		name:     "refused",
		director: verdict{passes, unreached},
		master:   verdict{passes, icingaUnreached},
		shut:     refuse,
	},
	{
		name: "dropped", slow: true,
		director: verdict{passes, unreached},
		master:   verdict{passes, icingaUnreached},
		shut:     drop,
	},
	{
		name:     "reset at once",
		director: verdict{passes, unreached + "|" + broke},
		master:   verdict{passes, icingaUnreached + "|" + icingaBroke},
		conn:     func(c *net.TCPConn, _ peer, _ func(*wire)) { reset(c) },
	},
	{
		name:     "closed at once",
		director: verdict{passes, broke},
		master:   verdict{passes, icingaBroke},
		conn:     func(c *net.TCPConn, _ peer, _ func(*wire)) { hangUp(c) },
	},
	{
		name: "silence", slow: true,
		director: verdict{passes, "TLS handshake timeout.*" + broke},
		master:   verdict{passes, "took the connection and then said nothing: the server hangs"},
		conn:     func(c *net.TCPConn, _ peer, _ func(*wire)) { silence(c) },
	},
	{
		name: "a byte a second", slow: true,
		director: verdict{passes, "TLS handshake timeout.*" + broke},
		master:   verdict{passes, "took the connection and then said nothing: the server hangs"},
		conn: func(c *net.TCPConn, _ peer, serve func(*wire)) {
			w := whole(c)
			w.pace = time.Second
			serve(w)
		},
	},
	{
		name:     "reset after 1 byte",
		director: verdict{passes, broke},
		master:   verdict{passes, icingaBroke},
		conn:     down(1, reset),
	},
	{
		name:     "reset after 600 bytes",
		director: verdict{passes, broke},
		master:   verdict{passes, icingaBroke},
		conn:     down(600, reset),
	},
	{
		name:     "cut after 600 bytes",
		director: verdict{passes, broke},
		master:   verdict{passes, icingaBroke},
		conn:     down(600, hangUp),
	},
	{
		name:     "reset after 100 bytes of the node's",
		director: verdict{passes, broke},
		master:   verdict{passes, icingaBroke},
		conn:     up(100, reset),
	},
	{
		name:     "cut after 100 bytes of the node's",
		director: verdict{passes, broke},
		master:   verdict{passes, icingaBroke},
		conn:     up(100, hangUp),
	},
	{
		name:     "no TLS",
		director: verdict{fails, "does not speak TLS on this port: check the scheme and the port of director.url"},
		master:   verdict{fails, "does not speak TLS: Icinga's port is 5665"},
		conn:     says("\x00\x01\x02\x03 this is not the protocol that you are looking for\x00"),
	},
	{
		name:     "SSH",
		director: verdict{fails, "does not speak TLS on this port: check the scheme and the port of director.url"},
		master:   verdict{fails, "does not speak TLS: Icinga's port is 5665"},
		conn:     says("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"),
	},
	{
		name:     "HTTP without TLS",
		director: verdict{fails, "does not speak TLS on this port: check the scheme and the port of director.url"},
		master:   verdict{fails, "does not speak TLS: Icinga's port is 5665"},
		conn:     says("HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nContent-Length: 3\r\n\r\nNo\n"),
	},
	{
		name:     "TLS alert",
		director: verdict{fails, "remote error.*does its web server take TLS 1.2 or 1.3"},
		master:   verdict{fails, "refused the TLS connection: its log says why"},
		conn:     says("\x15\x03\x03\x00\x02\x02\x28"),
	},
	{
		name:     "TLS 1.1",
		director: verdict{fails, "remote error.*does its web server take TLS 1.2 or 1.3"},
		master:   verdict{fails, "refused the TLS connection: its log says why"},
		conn: shows(func(p peer) *tls.Config {
			return &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11, Certificates: p.certificate(p.name, day, day)}
		}),
	},
	{
		name:     "certificate of another CA",
		director: verdict{fails, `issued by "CN=Another CA".*director.ca_file`},
		master:   verdict{fails, `presented was "CN=Another CA".*expected was spki:.*Compare with the CA's own machine`},
		conn: shows(func(p peer) *tls.Config {
			other := peer{otherCA, p.name, p.ip}
			return &tls.Config{Certificates: other.certificate(p.name, day, day)}
		}),
	},
	{
		name:     "certificate of another name",
		director: verdict{fails, "Use a name in director.url that the Director's certificate contains"},
		master:   verdict{fails, `the peer is "web7.example.com", allowed is "lab-master".*correct the address`},
		conn: shows(func(p peer) *tls.Config {
			return &tls.Config{Certificates: peer{authority: p.authority}.certificate("web7.example.com", day, day)}
		}),
	},
	{
		name:     "certificate that has expired",
		director: verdict{fails, "is after .*Check the clock of this machine; if it is right, the Director's certificate must be renewed"},
		master:   verdict{fails, "has expired on .*it has to be renewed on its machine"},
		conn: shows(func(p peer) *tls.Config {
			return &tls.Config{Certificates: p.certificate(p.name, 2*day, -day)}
		}),
	},
	{
		name:     "certificate of tomorrow",
		director: verdict{passes, "is before .*Check the clock of this machine"},
		master:   verdict{passes, "is not valid before .*set the clock"},
		conn: shows(func(p peer) *tls.Config {
			return &tls.Config{Certificates: p.certificate(p.name, -day, 2*day)}
		}),
	},
	{
		name:     "two seconds late",
		director: verdict{works, ""},
		master:   verdict{works, ""},
		conn: func(c *net.TCPConn, _ peer, serve func(*wire)) {
			time.Sleep(2 * time.Second)
			serve(whole(c))
		},
	},
}

func (p peer) certificate(name string, age, left time.Duration) []tls.Certificate {
	return []tls.Certificate{p.server(name, p.ip, age, left)}
}

func down(n int, end func(*net.TCPConn)) func(*net.TCPConn, peer, func(*wire)) {
	return func(c *net.TCPConn, _ peer, serve func(*wire)) {
		w := whole(c)
		w.down, w.end = n, end
		serve(w)
	}
}

func up(n int, end func(*net.TCPConn)) func(*net.TCPConn, peer, func(*wire)) {
	return func(c *net.TCPConn, _ peer, serve func(*wire)) {
		w := whole(c)
		w.up, w.end = n, end
		serve(w)
	}
}

func says(text string) func(*net.TCPConn, peer, func(*wire)) {
	return func(c *net.TCPConn, _ peer, _ func(*wire)) {
		_, _ = io.WriteString(c, text)
		hangUp(c)
	}
}

func shows(config func(peer) *tls.Config) func(*net.TCPConn, peer, func(*wire)) {
	return func(c *net.TCPConn, p peer, _ func(*wire)) {
		_ = tls.Server(c, config(p)).Handshake()
		hangUp(c)
	}
}
