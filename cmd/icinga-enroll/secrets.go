package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"icinga-enroll/enroll"
	"icinga-enroll/enroll/secret"
	"icinga-enroll/platform"
)

func (c *loaded) readSecrets(s *enroll.Settings) (err error) {
	if c.isClient() { // a credential of the machine's is its agent's
		return nil
	}
	if err := c.readTemplateKey(s); err != nil {
		return err
	}
	s.HostKey, err = c.readSecret("director.host_key", c.Director.HostKey, c.Director.HostKeyFile)
	return err
}

// dropSecrets is for who gets no ticket and asks the Director as nobody: an account
// that may use the certificate's key may well read none of their files.
func (c *loaded) dropSecrets() {
	c.CA.Ticket, c.CA.StaticTicketFile = []string{string(enroll.TicketNone)}, ""
	c.API.PasswordFile, c.API.CertificateFile = "", ""
	d := &c.Director
	d.ForgetTemplateKey, d.Deploy = false, false
	d.User, d.Password, d.PasswordFile, d.TemplateKeyFile, d.HostKeyFile = "", "", "", "", ""
}

// readSecret takes a key from a value, else a file, else systemd's credential of
// that name.
func (c *loaded) readSecret(key, value, file string) (secret.Text, error) {
	where, text, err := c.findSecret(key, value, file)
	if err != nil || where == "" {
		return secret.Text{}, err
	}
	return cleanSecret(where, text)
}

// readPassword is readSecret for what may have any character in it but a line
// break.
func (c *loaded) readPassword(key, value, file string) (secret.Text, error) {
	where, text, err := c.findSecret(key, value, file)
	if err != nil || where == "" {
		return secret.Text{}, err
	}
	return onePassword(where, text)
}

// readPasswordFile reads the password in the file that a flag names; without a
// name it is zero.
func readPasswordFile(flag, file string) (secret.Text, error) {
	if file == "" {
		return secret.Text{}, nil
	}
	where, text, err := readSecretFile(flag, file)
	if err != nil {
		return secret.Text{}, err
	}
	return onePassword(where, text)
}

func onePassword(where, text string) (secret.Text, error) {
	text = strings.TrimRight(text, "\r\n")
	if text == "" || strings.ContainsAny(text, "\r\n\x00") {
		return secret.Text{}, usage("%s: want a password of one line", where)
	}
	return secret.New(text), nil
}

// findSecret returns where a secret was found, "" for nowhere, and its text.
func (c *loaded) findSecret(key, value, file string) (where, text string, err error) {
	switch {
	case value != "" && file != "":
		return "", "", usage("%s and %s are both set: keep one", c.where(key), c.where(key+"_file"))
	case value != "":
		return c.where(key), value, nil
	case keyLike.MatchString(file):
		return "", "", usage("%s is a key and not the name of a file: set %s, or write it into a file", c.where(key+"_file"), key)
	case file != "":
		return readSecretFile(c.where(key+"_file"), file)
	}
	if folder := os.Getenv("CREDENTIALS_DIRECTORY"); folder != "" {
		name := credentialOf(key)
		credential := filepath.Join(folder, name)
		if _, err := os.Stat(credential); !errors.Is(err, fs.ErrNotExist) {
			return readSecretFile("systemd credential "+name, credential)
		}
	}
	return "", "", nil
}

// credentialOf is what systemd's credential for a secret is called.
func credentialOf(key string) string {
	return strings.NewReplacer("director.", "", "_", "-", ".", "-").Replace(key)
}

// credstores are where systemd looks for the credentials that the service's unit
// names, in a drop-in also encrypted ones (systemd.exec(5)).
var credstores = []string{
	"/etc/credstore", "/run/credstore", "/usr/lib/credstore", "/run/credentials/@system",
	"/etc/credstore.encrypted", "/run/credstore.encrypted", "/usr/lib/credstore.encrypted", "/run/credentials/@encrypted",
}

// lacksKey is what e lacks to register a machine, unless the service gets that as a
// credential. Where this account may not look there it may be.
func lacksKey(e *enroll.Enroller) error {
	for _, folder := range credstores {
		for _, key := range []string{"director.template_key", "director.host_key"} {
			if _, err := os.Stat(filepath.Join(folder, credentialOf(key))); !errors.Is(err, fs.ErrNotExist) {
				return nil
			}
		}
	}
	return e.LacksKey()
}

// lacks is err, unless a service is installed: it may get the secret that is missing
// here by its unit, since systemd hands credentials to nobody else.
func (c *loaded) lacks(key string, err error) error {
	if !c.installs {
		return err
	}
	c.awaited = append(c.awaited, credentialOf(key))
	return nil
}

func readSecretFile(where, file string) (_, text string, err error) {
	data, err := platform.ReadFile(file)
	if err != nil {
		return "", "", usage("%s: %w", where, err)
	}
	if err := notForEverybody(file); err != nil {
		return "", "", usage("%s: every account can read this secret: %w", where, err)
	}
	return where, string(data), nil
}

// cleanSecret takes off what editors put around a key.
func cleanSecret(where, text string) (secret.Text, error) {
	text = strings.TrimSpace(strings.TrimPrefix(text, "\ufeff"))
	if text == "" {
		return secret.Text{}, usage("%s: the secret is empty", where)
	}
	const most = 1024 // what a request's line takes; the Director's keys have 40
	if len(text) > most {
		return secret.Text{}, usage("%s: %d characters are no key (is it the right file?)", where, len(text))
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return secret.Text{}, usage("%s: a key has no blanks, line breaks or special characters in it (is it the right file, and plain text?)", where)
	}
	return secret.New(text), nil
}

// holdsSecret reports whether a value must not be shown: a key, also one in the
// place of a file's name, or a URL with a password.
func (s setting) holdsSecret(value any) bool {
	text, isText := value.(string)
	return s.secret && text != "" || isText && slices.Contains([]string{"director.proxy", "director.url"}, s.key) && strings.Contains(text, "@") ||
		strings.HasSuffix(s.key, "_file") && keyLike.MatchString(text)
}

func (s setting) namesFile() bool { return strings.HasSuffix(s.key, "_file") || s.key == "ca.file" }

// keyLike is what the Director's keys and Icinga's tickets look like.
var keyLike = regexp.MustCompile(`^[0-9A-Fa-f]{40,}$`)

// refuseReadable refuses a file that holds a secret and can be read by
// everybody, and a command line that does: every account can read that.
func (c *loaded) refuseReadable(fromFile layer) error {
	for _, s := range allSettings() {
		if s.holdsSecret(fromFile.values[s.key]) {
			if err := notForEverybody(c.file); err != nil {
				return usage("%s is in a file that every account can read: %w", s.key, err)
			}
		}
		if s.holdsSecret(c.values[s.key]) && strings.HasPrefix(c.origin[s.key], "--") {
			return usage("%s holds a password, and every account can read a command line: set it in the file or as %s", c.where(s.key), s.env())
		}
	}
	return nil
}

// refuseReplaceable refuses a file that the configuration names and another
// account could replace: whom it says to believe, root believes.
func (c *loaded) refuseReplaceable() error {
	for _, s := range allSettings() {
		file, isText := c.values[s.key].(string)
		if !isText || file == "" || !s.namesFile() {
			continue
		}
		if err := platform.Guarded(file); err != nil {
			return usage("%s: %w", c.where(s.key), err)
		}
	}
	return nil
}

// refuseOverwritten refuses to write a file that the configuration names, such as a
// key's, or the configuration itself.
func (c *loaded) refuseOverwritten(out string) error {
	if platform.IsSameFile(out, c.file) {
		return usage("--out: %s is the configuration, choose another file", out)
	}
	for _, s := range allSettings() {
		if file, isText := c.values[s.key].(string); isText && s.namesFile() && platform.IsSameFile(out, file) {
			return usage("--out: %s is the file of %s, choose another one", out, c.where(s.key))
		}
	}
	return nil
}

// notForEverybody says how to mend a file that everybody may read. Windows
// keeps rights elsewhere.
func notForEverybody(file string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o007 != 0 {
		return fmt.Errorf("run: chmod o= %s", file)
	}
	return nil
}
