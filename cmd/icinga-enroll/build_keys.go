package main

import (
	"cmp"
	"errors"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"icinga-enroll/enroll"
	"icinga-enroll/enroll/secret"
	"icinga-enroll/pki"
	"icinga-enroll/platform"
	"icinga-enroll/platform/machine"
)

func (c *loaded) inTPM() bool { return c.Key.Store == string(enroll.InTPM) }

// readKeys says of which kind new keys are, and where. An API client's may be in a
// TPM, also when new ones are to be in files: one that is there is used until then.
func (c *loaded) readKeys(s *enroll.Settings) error {
	s.Keys = pki.Keys{Type: pki.KeyType(c.Key.Type), InTPM: c.inTPM()}
	switch {
	case !c.isClient():
		return c.checkNoTPM()
	case c.inTPM() && s.Keys.Type != pki.ECDSAP256:
		return usage("%s: keys in a TPM are %s: remove the setting", c.where("key.type"), pki.ECDSAP256)
	}
	auth, err := c.tpmAuth()
	if err := errors.Join(c.checkStore(), c.checkDevice(), err); err != nil {
		return err
	}
	s.Keys.TPM = c.tpm(auth)
	return nil
}

func (c *loaded) tpm(auth secret.Text) *pki.TPM {
	return &pki.TPM{Device: c.Key.TPMDevice, Auth: auth, Guard: platform.Guarded}
}

func (c *loaded) checkNoTPM() error {
	if c.inTPM() {
		return usage("%s: tpm is for profile: api-client: the Icinga agent reads its key from a file", c.where("key.store"))
	}
	if key := c.ofTPM(); key != "" {
		return usage("%s is for profile: api-client with key.store: tpm", c.where(key))
	}
	return nil
}

// ofTPM is a setting that says something of a TPM; "": none does.
func (c *loaded) ofTPM() string {
	for _, key := range []string{"key.tpm_device", "key.tpm_auth", "key.tpm_auth_file"} {
		if c.isSet(key) {
			return key
		}
	}
	return ""
}

// checkStore refuses what looks as if keys were in a TPM, where nobody has said so:
// they would be in files.
func (c *loaded) checkStore() error {
	if key := c.ofTPM(); key != "" && c.origin["key.store"] == "default" {
		return usage("%s is for keys in a TPM: set key.store: tpm, or file where that is only for one that was made there before", c.where(key))
	}
	return nil
}

// maxSocketPath is what sun_path holds (unix(7)), without the zero at its end.
const maxSocketPath = 107

func (c *loaded) checkDevice() error {
	device := c.Key.TPMDevice
	switch {
	case device == "":
	case runtime.GOOS == "windows":
		return usage("%s: Windows has one TPM, remove the setting", c.where("key.tpm_device"))
	case !filepath.IsAbs(device):
		return usage("%s: %q is not the absolute path of a device, or of an emulator's socket", c.where("key.tpm_device"), device)
	case len(device) > maxSocketPath:
		return usage("%s: the path has %d bytes, and a socket's can have %d", c.where("key.tpm_device"), len(device), maxSocketPath)
	}
	return nil
}

func (c *loaded) tpmAuth() (secret.Text, error) {
	where, text, err := c.findSecret("key.tpm_auth", c.Key.TPMAuth, c.Key.TPMAuthFile)
	if err != nil || where == "" {
		return secret.Text{}, err
	}
	auth, err := onePassword(where, text)
	if err == nil && len(auth.Reveal()) > pki.MaxTPMAuth {
		err = usage("%s: the auth value is longer than %d bytes, which is the most that a TPM takes", where, pki.MaxTPMAuth)
	}
	return auth, err
}

// devices are those that "run" opens, also for a key that was made before key.store
// was changed. An emulator's socket is none.
func (c *loaded) devices() []string {
	device := cmp.Or(c.Key.TPMDevice, pki.TPMDevice)
	isUsed := c.isClient() && (c.inTPM() || c.ofTPM() != "" || c.hasKeyInTPM())
	if !isUsed || !strings.HasPrefix(device, "/dev/") {
		return nil
	}
	return []string{device}
}

func (c *loaded) hasKeyInTPM() bool {
	certs, err := platform.OpenDir(c.Paths.Certs)
	if err != nil {
		return false // none was made yet
	}
	defer func() { _ = certs.Close() }()
	names, _ := certs.Names() // what can't be read here can't be used either
	return slices.ContainsFunc(names, func(name string) bool {
		text, err := certs.ReadFile(name)
		return err == nil && pki.IsOfTPM(text)
	})
}

// identify has the chip tell which it is where keys are in it.
func (c *loaded) identify() machine.Identity {
	id := machine.Identify()
	if c.isClient() && c.inTPM() {
		id.Chip, _ = c.tpm(secret.Text{}).ID() // one that doesn't say it decides nothing
	}
	return id
}
