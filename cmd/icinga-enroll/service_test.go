package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// systemd hides from a service what isn't said.
func TestTheServiceSeesItsTPM(t *testing.T) {
	for _, row := range []struct {
		store, device, file string
		want                []string
	}{
		{"file", "", "", nil},
		{"file", "", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n", nil},
		{"file", "", "-----BEGIN TSS2 PRIVATE KEY-----\n-----END TSS2 PRIVATE KEY-----\n", []string{"/dev/tpmrm0"}}, // until there is another
		{"tpm", "", "", []string{"/dev/tpmrm0"}},
		{"tpm", "/dev/tpmrm1", "", []string{"/dev/tpmrm1"}},
		{"tpm", "/run/swtpm/socket", "", nil},
	} {
		var c loaded
		c.Profile, c.Paths.Certs = profileClient, t.TempDir()
		if row.file != "" {
			if err := os.WriteFile(filepath.Join(c.Paths.Certs, "web.key"), []byte(row.file), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c.Key.Store, c.Key.TPMDevice = row.store, row.device
		if got := c.service("config.yml").Devices; !slices.Equal(got, row.want) {
			t.Errorf("key.store %s, key.tpm_device %q: %q, want %q", row.store, row.device, got, row.want)
		}
	}
}

// The unit of a package runs as an account that can't give the key to another.
func TestAPackagesInstanceGivesNoFilesAway(t *testing.T) {
	for _, row := range []struct {
		service, owner, group string
		refused               bool
	}{
		{"icinga-enroll@grafana", "", "grafana", true},
		{"icinga-enroll@grafana", "grafana", "", true},
		{"icinga-enroll@grafana", "", "", false},
		{"icinga-enroll-grafana", "", "grafana", false},
	} {
		c := loaded{instance: instance{service: row.service}}
		c.Profile, c.Key.Owner, c.Key.Group = profileClient, row.owner, row.group
		err := c.needsNoRoot()
		if (err != nil) != row.refused || err != nil && !strings.Contains(err.Error(), "systemctl edit icinga-enroll@grafana") {
			t.Errorf("%+v: %v", row, err)
		}
	}
}

// asInstalled loads a configuration as "service install" does.
func asInstalled(t *testing.T, text string) *loaded {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := newServiceInstall()
	cmd.Flags().String("config", file, "")
	if err := cmd.ParseFlags([]string{"--config", file}); err != nil {
		t.Fatal(err)
	}
	c, err := load(cmd.Flags())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A credential is inside its unit only.
func TestAServiceMayGetMoreSecretsThanThereAreHere(t *testing.T) {
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	const director = "ca: {trust_on_first_use: true, ticket: "
	for text, credential := range map[string]string{
		director + "director}\ndirector: {url: 'https://192.0.2.1/', user: web}\n":              "password",
		director + "icinga-api}\ndirector: {url: 'https://192.0.2.1/'}\napi: {user: tickets}\n": "api-password",
		director + "static}\ndirector: {url: 'https://192.0.2.1/'}\n":                           "ca-static-ticket",
	} {
		c := asInstalled(t, text)
		if _, _, err := c.enroller(nil); err == nil {
			t.Errorf("%s: run by hand it does without", text)
		}
		c.purpose = purpose{installs: true}
		_, done, err := c.enroller(nil)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		done()
		if said := c.takesDropIn(); !strings.Contains(said, "LoadCredential="+credential+":FILE\n") {
			t.Errorf("%s: it says %q", text, said)
		}
	}
}

// A node that is enrolled runs without its file; a service is told of it by name.
func TestAServiceHasAConfigurationFile(t *testing.T) {
	c := asInstalled(t, "")
	if err := c.hasFile(); err != nil {
		t.Error(err)
	}
	if err := os.Remove(c.file); err != nil {
		t.Fatal(err)
	}
	if err := c.hasFile(); err == nil || !strings.Contains(err.Error(), c.file) {
		t.Error(err)
	}
}
