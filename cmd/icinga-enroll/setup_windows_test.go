package main

import (
	"path/filepath"
	"reflect"
	"testing"

	"icinga-enroll/platform"
)

// What the installer was given is what the program reads, whatever is in it; and
// a configuration that is there is kept.
func TestPropertiesAreRead(t *testing.T) {
	folder := t.TempDir()
	dir, err := platform.GuardDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dir.Close() }()
	if names, err := (properties{}).write(dir, "config.yml"); len(names) != 0 || err != nil {
		t.Fatalf("without properties %v was written (%v)", names, err)
	}
	p := properties{
		url: " https://icinga.example.com/#\": x", key: "sesame", fingerprint: "12:34:56, spki:ab",
		endpoints: "a@192.0.2.1:5665,b@[2001:db8::1]:5665",
	}
	names, err := p.write(dir, "config.yml")
	if err != nil || !reflect.DeepEqual(names, []string{"template-key", "config.yml"}) {
		t.Fatalf("written was %v (%v)", names, err)
	}
	if names, err := (properties{url: "https://other"}).write(dir, "config.yml"); len(names) != 0 || err != nil {
		t.Fatalf("over a configuration %v was written (%v)", names, err)
	}
	l, err := fileLayer(filepath.Join(folder, "config.yml"), true)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"director.url":               "https://icinga.example.com/#\": x",
		"director.template_key_file": filepath.Join(folder, "template-key"),
		"ca.fingerprint":             []string{"12:34:56", "spki:ab"},
		"ca.endpoints":               []string{"a@192.0.2.1:5665", "b@[2001:db8::1]:5665"},
	}
	if !reflect.DeepEqual(l.values, want) {
		t.Errorf("read is %v, want %v", l.values, want)
	}
	if key, err := dir.ReadFile("template-key"); err != nil || string(key) != "sesame\n" {
		t.Errorf("the key is %q (%v)", key, err)
	}
}
