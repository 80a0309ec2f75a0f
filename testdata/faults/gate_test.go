package faults

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A gate stands before a server, at an address of its own that the node is told
// is the server's. From one connection on it has a fault, until it is mended.
type gate struct {
	t     *testing.T
	addr  string
	serve func(c *net.TCPConn, f *fault) // what is behind it; f is nil for none

	mu       sync.Mutex
	listener net.Listener
	reopen   func() // frees the address where the gate is shut
	met      int    // connections so far
	from     int    // the first that has the fault
	fault    *fault
	hits     int // how often it was met
	open     sync.WaitGroup
}

func openGate(t *testing.T, ip net.IP, serve func(*net.TCPConn, *fault)) *gate {
	g := &gate{t: t, serve: serve}
	g.listen(net.JoinHostPort(ip.String(), "0"))
	t.Cleanup(func() {
		_ = g.listener.Close()
		if g.reopen != nil {
			g.reopen()
		}
		g.open.Wait()
	})
	return g
}

func (g *gate) listen(addr string) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		g.t.Fatal(err)
	}
	g.listener, g.addr = l, l.Addr().String()
	g.open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f := g.next()
			g.open.Go(func() {
				defer func() { _ = c.Close() }()
				g.serve(c.(*net.TCPConn), f)
			})
		}
	})
}

// arm has the fault from the n-th connection on, counted from now.
func (g *gate) arm(f *fault, n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fault, g.from, g.hits = f, g.met+n, 0
	if n == 1 {
		g.shut()
	}
}

// next counts a connection, and returns the fault that it has. A gate that is to
// be found shut is shut while the connection before is being served: the node
// does one thing after the other.
func (g *gate) next() *fault {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.met++
	if g.fault == nil || g.met < g.from {
		if g.fault != nil && g.met == g.from-1 {
			g.shut()
		}
		return nil
	}
	g.hits++
	return g.fault
}

// shut shuts the gate where that is the fault.
func (g *gate) shut() {
	if g.fault.shut == nil {
		return
	}
	g.hits++
	free(g.listener)
	g.reopen = g.fault.shut(g.t, g.addr)
}

// mend ends the fault, and returns how often it was met, as far as that is seen.
func (g *gate) mend() (hits int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fault = nil
	if g.reopen != nil {
		g.reopen()
		g.reopen = nil
		g.listen(g.addr)
	}
	return g.hits
}

// free closes what has an address, which is free then: a program that is just being
// started would have it, too, until it is executed.
func free(c io.Closer) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	_ = c.Close()
}

// refuse leaves nobody at the address.
func refuse(*testing.T, string) func() { return func() {} }

// drop leaves a listener there whose queue is full: the kernel drops whoever else
// comes, as a firewall does.
func drop(t *testing.T, addr string) func() {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Error(err)
		return func() {}
	}
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err == nil {
		var errListen error
		err = errors.Join(raw.Control(func(fd uintptr) { errListen = syscall.Listen(int(fd), 0) }), errListen)
	}
	if err != nil {
		t.Error(err)
	}
	queue := []io.Closer{l}
	for {
		c, err := net.DialTimeout("tcp", addr, 200*time.Millisecond)
		if err != nil {
			return func() {
				for _, c := range queue {
					free(c)
				}
			}
		}
		queue = append(queue, c)
	}
}
