package faults

import (
	"io"
	"net"
	"time"
)

// A wire is a connection that ends, or is slow, after a number of bytes.
type wire struct {
	net.Conn // not the TCPConn itself, which can be copied to and from past all this
	tcp      *net.TCPConn
	down     int                // how many bytes the node gets; -1: all
	up       int                // how many of the node's are taken; -1: all
	end      func(*net.TCPConn) // what happens then
	pace     time.Duration      // between two bytes to the node
}

// whole is a wire without a fault.
func whole(c *net.TCPConn) *wire { return &wire{Conn: c, tcp: c, down: -1, up: -1} }

func (w *wire) Write(p []byte) (int, error) {
	switch {
	case w.pace > 0:
		return w.drip(p)
	case w.down < 0:
		return w.tcp.Write(p)
	}
	n, err := w.tcp.Write(p[:min(w.down, len(p))])
	if w.down -= n; w.down == 0 && err == nil {
		w.end(w.tcp)
		return n, net.ErrClosed
	}
	return n, err
}

func (w *wire) Read(p []byte) (int, error) {
	if w.up < 0 {
		return w.tcp.Read(p)
	}
	n, err := w.tcp.Read(p[:min(w.up, len(p))])
	if w.up -= n; w.up == 0 && err == nil {
		w.end(w.tcp)
		return 0, net.ErrClosed
	}
	return n, err
}

func (w *wire) drip(p []byte) (int, error) {
	for i := range p {
		if _, err := w.tcp.Write(p[i : i+1]); err != nil {
			return i, err
		}
		time.Sleep(w.pace)
	}
	return len(p), nil
}

// reset ends c with an RST, for which the other end forgets what it has not read.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// hangUp ends c with a FIN behind what was sent. It reads on until the node has
// closed, too: what is left unread would make it an RST.
func hangUp(c *net.TCPConn) {
	_ = c.CloseWrite()
	_, _ = io.Copy(io.Discard, c)
	_ = c.Close()
}

// silence takes what comes and says nothing, until the other end gives up.
func silence(c io.Reader) { _, _ = io.Copy(io.Discard, c) }

// splice passes everything on, until one end is closed.
func splice(a, b net.Conn) {
	done := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
		go func() {
			_, _ = io.Copy(way[0], way[1])
			done <- struct{}{}
		}()
	}
	<-done
	_, _ = a.Close(), b.Close()
	<-done
}
