package agent

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func runProgram(ctx context.Context, argv, env []string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func versionText(version, config, data, run string) string {
	return "icinga2 - The Icinga 2 network monitoring daemon (version: " + version + ")\n\nSystem information:\n  Platform: x\n\nGeneral paths:\n" +
		"  Config directory: " + config + "\n  Data directory: " + data + "\n  Log directory: /l\n  Run directory: " + run + "\n\nOld paths (deprecated):\n  Run directory (base): /run\n"
}

func TestParseVersion(t *testing.T) {
	const windows = `C:\ProgramData\icinga2`
	tests := map[string]struct {
		out  string
		want Installed
		err  bool
	}{
		"2.13.6 of Debian": {versionText("r2.13.6-1", "/etc/icinga2", "/var/lib/icinga2", "/run/icinga2"), Installed{Version: "2.13.6-1", ConfigDir: "/etc/icinga2", DataDir: "/var/lib/icinga2", RunDir: "/run/icinga2"}, false},
		"2.14.6":           {versionText("v2.14.6", "/usr/local/etc/icinga2", "/var/lib/icinga2", "/var/run/icinga2"), Installed{Version: "2.14.6", ConfigDir: "/usr/local/etc/icinga2", DataDir: "/var/lib/icinga2", RunDir: "/var/run/icinga2"}, false},
		"Windows": {strings.ReplaceAll(versionText("v2.14.6", windows+`\etc\icinga2`, windows+`\var\lib\icinga2`, windows+`\var\run\icinga2`), "\n", "\r\n"),
			Installed{Version: "2.14.6", ConfigDir: windows + `\etc\icinga2`, DataDir: windows + `\var\lib\icinga2`, RunDir: windows + `\var\run\icinga2`}, false},
		"too old":  {"icinga2 - The Icinga 2 network monitoring daemon (version: r2.4.0-1)\n", Installed{Version: "2.4.0-1"}, true},
		"no words": {"", Installed{}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parseVersion(test.out)
			if got != test.want || (err != nil) != test.err {
				t.Errorf("got %+v, %v", got, err)
			}
			if err != nil && !strings.Contains(err.Error(), "agent.config_dir") {
				t.Errorf("%q doesn't say what to do", err)
			}
		})
	}
}

// fakeProgram puts a program icinga2 in front of all others.
func fakeProgram(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	name := "icinga2"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	program := filepath.Join(dir, name)
	must(t, os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755))
	t.Setenv("PATH", dir)
	return program
}

func TestFindAsksOnce(t *testing.T) {
	program := fakeProgram(t)
	asked := 0
	run := func(_ context.Context, argv, _ []string) (string, error) {
		asked++
		if argv[0] != program || argv[1] != "--version" {
			t.Errorf("ran %q", argv)
		}
		return versionText("r2.13.6-1", "/etc/icinga2", "/var/lib/icinga2", "/run/icinga2"), nil
	}
	first, err := Find(t.Context(), run, Installed{})
	must(t, err)
	again, err := Find(t.Context(), run, first)
	if err != nil || asked != 1 || again != first {
		t.Errorf("asked %d times: %+v, %v", asked, again, err)
	}
	must(t, os.Chtimes(program, time.Time{}, first.Changed.Add(time.Hour)))
	if _, err := Find(t.Context(), run, first); err != nil || asked != 2 {
		t.Errorf("another program wasn't asked: %d, %v", asked, err)
	}
	broken := func(context.Context, []string, []string) (string, error) {
		return "no library", errors.New("exit status 127")
	}
	if _, err := Find(t.Context(), broken, Installed{}); err == nil || !strings.Contains(err.Error(), "no library") {
		t.Errorf("got %v", err)
	}
}

// The first is of this machine's byte order, whatever it is.
func TestParseConnection(t *testing.T) {
	pair := func(local, remote string) Connection {
		return Connection{netip.MustParseAddrPort(local), netip.MustParseAddrPort(remote)}
	}
	tests := map[string]struct {
		little, big string
		want        Connection
		ok          bool
	}{
		"IPv4":    {" 0: 0100007F:1621 0A0200C0:C350 01 00000000:00000000", " 0: 7F000001:1621 C000020A:C350 01 00000000:00000000", pair("127.0.0.1:5665", "192.0.2.10:50000"), true},
		"IPv6":    {" 1: B80D0120000000000000000001000000:1621 B80D0120000000000000000002000000:C350 01", " 1: 20010DB8000000000000000000000001:1621 20010DB8000000000000000000000002:C350 01", pair("[2001:db8::1]:5665", "[2001:db8::2]:50000"), true},
		"mapped":  {" 2: 0000000000000000FFFF00000100007F:1621 0000000000000000FFFF00000A0200C0:C350 01", " 2: 00000000000000000000FFFF7F000001:1621 00000000000000000000FFFFC000020A:C350 01", pair("127.0.0.1:5665", "192.0.2.10:50000"), true},
		"listens": {" 3: 0100007F:1621 00000000:0000 0A", " 3: 7F000001:1621 00000000:0000 0A", Connection{}, false},
		"heading": {"  sl  local_address rem_address   st tx_queue", "  sl  local_address rem_address   st tx_queue", Connection{}, false},
		"short":   {" 4: 01:1 02:2 01", " 4: 01:1 02:2 01", Connection{}, false},
		"empty":   {"", "", Connection{}, false},
	}
	machine := littleEndian
	defer func() { littleEndian = machine }()
	for name, test := range tests {
		for _, littleEndian = range []bool{true, false} {
			line := map[bool]string{true: test.little, false: test.big}[littleEndian]
			got, ok := parseConnection(line)
			if ok != test.ok || ok && got != test.want {
				t.Errorf("%s, little endian %v: got %v, %v", name, littleEndian, got, ok)
			}
		}
	}
}

func TestReceivedSince(t *testing.T) {
	a := Agent{DataDir: t.TempDir()}
	stage := filepath.Join(a.DataDir, "api", "zones-stage")
	if a.ReceivedSince(time.Time{}) {
		t.Error("received without a folder")
	}
	must(t, os.MkdirAll(stage, 0o750))
	if a.ReceivedSince(time.Time{}) {
		t.Error("received nothing at all")
	}
	must(t, os.Mkdir(filepath.Join(stage, "director-global"), 0o750))
	at := time.Now().Add(-time.Hour).Truncate(time.Second)
	must(t, os.Chtimes(stage, at, at))
	for since, want := range map[time.Time]bool{{}: true, at.Add(999 * time.Millisecond): true, at.Add(time.Second): false} {
		if got := a.ReceivedSince(since); got != want {
			t.Errorf("since %v: %v", since.Sub(at), got)
		}
	}
}
