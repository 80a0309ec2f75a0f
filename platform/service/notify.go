package service

import (
	"net"
	"os"
)

// Notifier tells systemd how the service is (sd_notify(3)). Where systemd
// hasn't asked to be told, as on a terminal, its methods do nothing.
type Notifier struct{ socket string }

// NewNotifier takes the socket from the environment that systemd has set.
func NewNotifier() Notifier { return Notifier{os.Getenv("NOTIFY_SOCKET")} }

// Ready says that the service has started, or has read its configuration again.
// Services that wait for this one start now.
func (n Notifier) Ready() error { return n.send("READY=1") }

// Reloading says that the configuration is being read again; [Notifier.Ready]
// says that this is done.
func (n Notifier) Reloading() error { return n.send("RELOADING=1") }

// Stopping says that the service is about to end.
func (n Notifier) Stopping() error { return n.send("STOPPING=1") }

// Watchdog says that the service is alive. Say it at least twice in the unit's
// WatchdogSec, which is ten minutes, or systemd kills and restarts the service.
func (n Notifier) Watchdog() error { return n.send("WATCHDOG=1") }

// send does it in one datagram. package net knows that a name that begins
// with "@" is in Linux's abstract namespace.
func (n Notifier) send(state string) error {
	if n.socket == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	_, err = conn.Write([]byte(state))
	if cerr := conn.Close(); err == nil {
		err = cerr
	}
	return err
}
