package main

import (
	"os"
	"path/filepath"

	"icinga-enroll/enroll"
	"icinga-enroll/enroll/secret"
	"icinga-enroll/platform"
)

// readTemplateKey reads the key that registers hosts. One that is to be forgotten
// need not be there any more, nor where no host is to be registered: somebody may have
// taken it from a node that has one, or it comes to an image at its first boot.
func (c *loaded) readTemplateKey(s *enroll.Settings) (err error) {
	d := c.Director
	if d.ForgetTemplateKey {
		if err := c.checkForget(); err != nil {
			return err
		}
		s.TemplateKeyFile = d.TemplateKeyFile
	}
	if c.keyForgotten() || c.keyMissing() && c.needsNoKey() {
		s.TemplateKey = secret.Text{}
		return nil
	}
	s.TemplateKey, err = c.readSecret("director.template_key", d.TemplateKey, d.TemplateKeyFile)
	return err
}

// keyForgotten reports whether the file of a key that is to be forgotten has none.
func (c *loaded) keyForgotten() bool { return c.Director.ForgetTemplateKey && c.keyMissing() }

// keyMissing reports whether the file that should have the key isn't there, or is empty.
func (c *loaded) keyMissing() bool {
	file := c.Director.TemplateKeyFile
	if file == "" || c.Director.TemplateKey != "" || keyLike.MatchString(file) {
		return false
	}
	info, err := os.Stat(file)
	return os.IsNotExist(err) || err == nil && info.Mode().IsRegular() && info.Size() == 0
}

// needsNoKey reports whether no host is to be registered: by this verb, or of this
// node any more.
func (c *loaded) needsNoKey() bool {
	return c.offline || c.asksNoCA || enroll.IsRegistered(c.Paths.State)
}

// checkForget refuses a key that can't be forgotten, or that others need.
func (c *loaded) checkForget() error {
	const key = "director.forget_template_key"
	file := c.Director.TemplateKeyFile
	credentials := os.Getenv("CREDENTIALS_DIRECTORY")
	switch {
	case file == "", c.Director.TemplateKey != "":
		return usage("%s takes director.template_key_file: only a file that holds nothing else can be emptied, not the configuration, the environment or a systemd credential", c.where(key))
	case !filepath.IsAbs(file):
		return usage("%s must be an absolute path, since %s empties the file", c.where("director.template_key_file"), key)
	case credentials != "" && filepath.Dir(file) == filepath.Clean(credentials):
		return usage("%s: %s is a systemd credential, which is there again at the next start: name the file that it is made of", c.where(key), file)
	}
	if info, err := os.Lstat(file); err == nil && info.Mode()&os.ModeSymlink != 0 {
		return usage("%s: %s is a symbolic link: name the file that it leads to", c.where(key), file)
	}
	return c.checkUnshared(key, file)
}

// checkUnshared refuses to forget the key of another identity of this machine:
// the configurations of all are in one folder.
func (c *loaded) checkUnshared(key, file string) error {
	folder := filepath.Dir(c.file)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil //nolint:nilerr // there is no configuration file, so no other either
	}
	for _, entry := range entries {
		other := filepath.Join(folder, entry.Name())
		if filepath.Ext(other) != ".yml" || isSameFile(other, c.file) {
			continue
		}
		l, err := fileLayer(other, true)
		if err != nil {
			return usage("%s: whether %s takes its key from %s, too, can't be told: %w", c.where(key), other, file, err)
		}
		if named, _ := l.values["director.template_key_file"].(string); named != "" && isSameFile(named, file) {
			return usage("%s: %s takes its key from %s, too: give each a file of its own", c.where(key), other, file)
		}
	}
	return nil
}

// isSameFile is [platform.IsSameFile] also of what isn't there.
func isSameFile(a, b string) bool {
	return filepath.Clean(a) == filepath.Clean(b) || platform.IsSameFile(a, b)
}
