package main

import (
	"cmp"
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
	auth, err := c.readPassword("key.tpm_auth", c.Key.TPMAuth, c.Key.TPMAuthFile)
	if err != nil {
		return err
	}
	if len(auth.Reveal()) > pki.MaxTPMAuth {
		return usage("key.tpm_auth: the auth value is longer than %d bytes, which is the most that a TPM takes", pki.MaxTPMAuth)
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
	for _, key := range []string{"key.tpm_device", "key.tpm_auth", "key.tpm_auth_file"} {
		if c.isSet(key) {
			return usage("%s is for profile: api-client with key.store: tpm", c.where(key))
		}
	}
	return nil
}

// devices are those that "run" opens. An emulator's socket is none.
func (c *loaded) devices() []string {
	device := cmp.Or(c.Key.TPMDevice, pki.TPMDevice)
	if !c.inTPM() || !strings.HasPrefix(device, "/dev/") {
		return nil
	}
	return []string{device}
}

// identify has the chip tell which it is where keys are in it.
func (c *loaded) identify() machine.Identity {
	id := machine.Identify()
	if c.isClient() && c.inTPM() {
		id.Chip, _ = c.tpm(secret.Text{}).ID() // one that doesn't say it decides nothing
	}
	return id
}
