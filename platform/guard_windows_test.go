package platform

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/windows"
)

func TestGuardDir(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "there", "already")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "config.yml"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		dir, err := GuardDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		if data, err := dir.ReadFile("config.yml"); err != nil || string(data) != "mine" {
			t.Errorf("the file says %q (%v)", data, err)
		}
		if err := dir.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A file of others is found by its owner.
func TestWhatBelongsToOthersIsRefused(t *testing.T) {
	users, err := windows.CreateWellKnownSid(windows.WinBuiltinUsersSid)
	if err != nil {
		t.Fatal(err)
	}
	keepers, err := keepersOfFiles()
	if err != nil {
		t.Fatal(err)
	}
	for _, keeper := range keepers {
		if err := refuseOthers(keeper, keepers, `C:\x`); err != nil {
			t.Error(err)
		}
	}
	err = refuseOthers(users, keepers, `C:\x`)
	if err == nil || !strings.Contains(err.Error(), `C:\x belongs to `) || !strings.Contains(err.Error(), `Users, who`) {
		t.Errorf("a file of Users': %v", err)
	}
}
