package enroll

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"icinga-enroll/platform"
	"icinga-enroll/platform/agent"
	"icinga-enroll/selfservice"
)

// FuzzFill: of a host object's value nothing but text goes to the Director:
// no placeholder is left, and what is none stays as it is.
func FuzzFill(f *testing.F) {
	for _, seed := range []string{
		"&ipaddress&", "&fqdn.lowerCase&", "$ifw.hostfqdn.toupper$", "&ipaddress[0]& / &ipaddressv6[1]&", "$host.name$", "a & b & c", "&&", "$ifw.$", "$ifw.hostaddress$ $ifw.nothing$",
		"$ifw.$ifw.x$hostname$", "$ifw.$ifw.$ifw.x$y$z$", // what is left of it is a placeholder again
	} {
		f.Add(seed)
	}
	known := facts{name: "Web1.example.com", host: "Web1", fqdn: "Web1.example.com", v4: "192.0.2.10", v6: "2001:db8::10"}
	f.Fuzz(func(t *testing.T, template string) {
		filled := known.fill(template)
		if left := placeholder.FindString(filled); left != "" {
			t.Errorf("%q became %q, which has %s in it", template, filled, left)
		}
		if !strings.ContainsAny(template, "&$") && filled != template {
			t.Errorf("%q became %q", template, filled)
		}
		if len(filled) > len(template)*len(known.fqdn) {
			t.Errorf("%d bytes became %d", len(template), len(filled))
		}
	})
}

// FuzzName: a name that is taken, as it is or as the Director has it changed, is
// the name of one file, one word of Icinga's configuration, and stays what it is
// when it is looked at again.
func FuzzName(f *testing.F) {
	for _, seed := range []string{"web1.example.com", "WEB_1", "ca", "CA", "0", "../x", "a..b", "a.", "-a", "straße.example.com", "K.example.com", "localhost", "a\nb", `a"b`} {
		f.Add(seed, uint8(selfservice.Lower))
		f.Add(seed, uint8(selfservice.Upper))
	}
	f.Fuzz(func(t *testing.T, found string, transform uint8) {
		n := &node{naming: &selfservice.Parameters{Transform: selfservice.Transform(transform)}}
		name := n.transform(found)
		if again := n.transform(name); again != name {
			t.Errorf("%q became %q, then %q", found, name, again)
		}
		if CheckName(name) != nil {
			return
		}
		if filepath.Base(name) != name || strings.EqualFold(name+".crt", caFile) || len(name) > maxName {
			t.Errorf("%q is no name of a file beside %s", name, caFile)
		}
		if agent.Quote(name) != `"`+name+`"` {
			t.Errorf("%q is no plain word in Icinga's configuration", name)
		}
		if err := CheckName(strings.ToLower(name)); err != nil {
			t.Errorf("%q is taken, in lower case it isn't: %v", name, err)
		}
	})
}

// FuzzState: a state file is refused, and then not touched, or means the same
// once it has been written again.
func FuzzState(f *testing.F) {
	for _, seed := range []string{
		`{"version":1}`, `{"version":2}`, `{"version":"1"}`, `{`, ``, `null`,
		`{"version":1,"name":"web1","host_api_key":"0123456789abcdef0123456789abcdef01234567","register_sent":{"name":"web1","at":"2026-01-02T03:04:05Z"}}`,
		`{"version":1,"ca":"nonsense"}`, `{"version":1,"parameters":{"transform":"lower","parents":[{"name":"m"}]},"pending":{"fingerprint":"ab","since":"2026-01-02T03:04:05+07:00"}}`,
		`{"version":1,"refused_tickets":{"ab":"2026-01-02T03:04:05Z"},"agent":{"follow":{"trial":{"began":"0001-01-01T00:00:00Z"}}},"host_settings":{"vars":{"a":[1,null]}}}`,
	} {
		f.Add([]byte(seed))
	}
	folder := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		file := filepath.Join(folder, stateFile)
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		dir, err := platform.OpenDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = dir.Close() }()
		read, err := loadState(dir)
		if err != nil {
			left, _ := os.ReadFile(file)
			if !bytes.Equal(left, data) || !strings.Contains(err.Error(), file) {
				t.Errorf("%q is refused with %q, and is %q then", data, err, left)
			}
			return
		}
		written, err := json.MarshalIndent(read, "", "  ")
		if err != nil {
			t.Fatalf("%q was read and can't be written: %v", data, err)
		}
		if err := os.WriteFile(file, written, 0o600); err != nil {
			t.Fatal(err)
		}
		read, err = loadState(dir)
		again, _ := json.MarshalIndent(read, "", "  ")
		if err != nil || !bytes.Equal(again, written) {
			t.Errorf("%s became %s (%v)", written, again, err)
		}
	})
}
