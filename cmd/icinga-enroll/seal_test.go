package main

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"icinga-enroll/enroll"
)

// verbWith is a verb that was given a configuration, and folders of its own.
func verbWith(t *testing.T, verb, config string) (cmd *cobra.Command, dir string) {
	t.Helper()
	dir = t.TempDir()
	config = strings.ReplaceAll(config, "DIR", filepath.ToSlash(dir)) + "paths: {state: '" + filepath.ToSlash(dir) + "/state', certs: '" + filepath.ToSlash(dir) + "/certs'}\n"
	file := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd, _, err := newRoot().Find([]string{verb})
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.ParseFlags([]string{"--config", file}); err != nil {
		t.Fatal(err)
	}
	return cmd, dir
}

const (
	noKey      = "director: {url: 'https://192.0.2.1/'}\nca: {trust_on_first_use: true}\n"
	keyFile    = "director: {url: 'https://192.0.2.1/', template_key_file: 'DIR/key'}\nca: {trust_on_first_use: true}\n"
	keyless    = "ca: {trust_on_first_use: true, ticket: none, endpoints: [master1@192.0.2.1]}\n"
	exampleKey = "0123456789abcdef0123456789abcdef01234567"
)

// An image is told what its machines lack to be registered: the first that would say
// so is a machine at its first boot.
func TestAnImageThatCanRegisterNobody(t *testing.T) {
	for _, row := range []struct{ what, config, credential, want string }{
		{"no key at all", noKey, "", "no key to register it with"},
		{"a credential", noKey, "template-key", ""},
		{"a prepared host's", noKey, "host-key", ""},
		{"somebody else's credential", noKey, "password", "no key to register it with"},
		{"a key that is to come", keyFile, "", "template_key_file"},
		{"a key", "director: {url: 'https://192.0.2.1/', template_key: " + exampleKey + "}\nca: {trust_on_first_use: true}\n", "", ""},
		{"a user", "director: {url: 'https://192.0.2.1/', user: web, password: x}\nca: {trust_on_first_use: true}\n", "", ""},
		{"a certificate without", "director: {url: 'https://192.0.2.1/'}\nca: {trust_on_first_use: true, ticket: [self-service, none]}\n", "", ""},
		{"nobody to register at", keyless, "", ""},
		{"two errors", "ca: {endpoints: [master1@192.0.2.1]}\n", "", "; no CA is pinned"},
	} {
		store := t.TempDir()
		was := credstores
		credstores = []string{filepath.Join(store, "none"), store}
		if row.credential != "" {
			if err := os.WriteFile(filepath.Join(store, row.credential), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cmd, _ := verbWith(t, "seal", row.config)
		lacks := unready(cmd)
		if (lacks == nil) != (row.want == "") || lacks != nil && !strings.Contains(lacking(lacks), row.want) {
			t.Errorf("%s: %v", row.what, lacks)
		}
		credstores = was
	}
}

// What says that a configuration will do is what decides whether a package starts its
// service, which must not be one that can only fail.
func TestAConfigurationThatCanRegisterNobodyWontDo(t *testing.T) {
	cmd, _ := verbWith(t, "config", noKey)
	cmd.SetOut(new(strings.Builder))
	if err := printConfig(cmd, nil); !errors.Is(err, enroll.ErrNoKey) {
		t.Errorf("without a key: %v", err)
	}
	cmd, dir := verbWith(t, "config", noKey)
	cmd.SetOut(new(strings.Builder))
	state := `{"version": 1, "name": "web1.example.com", "host_api_key": "` + exampleKey + `"}`
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "state"), 0o700), os.WriteFile(filepath.Join(dir, "state", "state.json"), []byte(state), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := printConfig(cmd, nil); err != nil {
		t.Errorf("of a node that is registered: %v", err)
	}
}

// Files are called what anybody likes, and every line is this program's own.
func TestWhatIsUnfitIsOneLine(t *testing.T) {
	cmd, dir := verbWith(t, "seal", noKey)
	name := "a\x1b[2Jb.key"
	if runtime.GOOS != "windows" {
		name = "a\n= fit\x1b[2Jb.key"
	}
	if err := os.Mkdir(filepath.Join(dir, "certs"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "certs", name), nil, 0o600); err != nil {
		t.Skip(err) // Windows has no such names
	}
	var said strings.Builder
	cmd.SetOut(&said)
	cmd.SetContext(t.Context())
	if err := checkSeal(cmd); err == nil || !strings.Contains(said.String(), "b.key is a secret") {
		t.Errorf("said %q, %v", said.String(), err)
	}
	for line := range strings.Lines(said.String()) {
		if !strings.HasPrefix(line, "! unfit") || strings.Contains(line, "\x1b") {
			t.Errorf("one line is %q", line)
		}
	}
}

// An API client has no other name than the configuration's, which is in each image.
func TestAnImageOfAnAPIClient(t *testing.T) {
	const api = "profile: api-client\nhost: {name: user-grafana}\nca: {trust_on_first_use: true, endpoints: [master1@192.0.2.1]}\n"
	for config, want := range map[string]string{
		noKey: "! fit ", keyless: "= fit         to be an image: each machine made of it enrols as itself",
		api: "! fit         to be an image, but each machine made of it enrols as user-grafana, unless its host.name is changed before",
	} {
		cmd, _ := verbWith(t, "seal", config)
		e, done, err := newOffline(cmd, nil)
		if err != nil {
			t.Fatal(err)
		}
		if said := fitness(cmd, e); !strings.HasPrefix(said, want) {
			t.Errorf("it says %q, want %q", said, want)
		}
		done()
	}
}
