package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Who rebuilds a release compares bytes: no time and no mode of the files that
// are packed may be in them.
func TestArchivesAreTheSameAgain(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1795000000")
	for _, form := range []string{"x.tar.gz", "x.zip"} {
		var first []byte
		for i, mode := range []os.FileMode{0o644, 0o600} {
			folder := filepath.Join(t.TempDir(), "x")
			file := filepath.Join(folder, "README.md")
			if err := os.Mkdir(folder, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte("text"), mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(file, time.Time{}, time.Unix(int64(i)*86400, 0)); err != nil {
				t.Fatal(err)
			}
			made := filepath.Join(t.TempDir(), form)
			if err := archive(made, folder); err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(made)
			if err != nil {
				t.Fatal(err)
			}
			if i == 1 && !bytes.Equal(first, data) {
				t.Errorf("%s: other bytes", form)
			}
			first = data
		}
	}
}

func TestSBOMHasWhatTheProgramIsBuiltWith(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1795000000")
	t.Setenv("VERSION", "1.2.3")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := sbom(&out, self); err != nil {
		t.Fatal(err)
	}
	var made bom
	if err := json.Unmarshal(out.Bytes(), &made); err != nil {
		t.Fatal(err)
	}
	if made.Format != "CycloneDX" || made.Metadata.Component.Version != "1.2.3" || made.Metadata.Timestamp != "2026-11-18T11:06:40Z" {
		t.Errorf("got %+v", made.Metadata)
	}
	if len(made.Components) == 0 || made.Components[0].Name != "std" {
		t.Errorf("components are %v", made.Components)
	}
}
