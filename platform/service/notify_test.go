//go:build unix

package service

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"
)

func listen(t *testing.T, name string) *net.UnixConn {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestNotify(t *testing.T) {
	dir, err := os.MkdirTemp("", "n") // t.TempDir's names are too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	sockets := []string{filepath.Join(dir, "s")}
	if runtime.GOOS == "linux" {
		sockets = append(sockets, "@icinga-enroll-test-"+strconv.Itoa(os.Getpid()))
	}
	for _, socket := range sockets {
		systemd := listen(t, socket)
		t.Setenv("NOTIFY_SOCKET", socket)
		n := NewNotifier()
		for want, say := range map[string]func() error{
			"READY=1": n.Ready, "RELOADING=1": n.Reloading, "STOPPING=1": n.Stopping, "WATCHDOG=1": n.Watchdog,
		} {
			if err := say(); err != nil {
				t.Fatalf("%s: %v", socket, err)
			}
			got := make([]byte, 100)
			length, err := systemd.Read(got)
			if err != nil || string(got[:length]) != want {
				t.Errorf("%s: got %q, %v, want %q", socket, got[:length], err, want)
			}
		}
	}
}

func TestNotifyNobody(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := NewNotifier().Ready(); err != nil {
		t.Error(err)
	}
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))
	if err := NewNotifier().Ready(); err == nil {
		t.Error("a socket that isn't there takes messages")
	}
}
