package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"icinga-enroll/platform"
)

// File is one of the agent's files as it is, or as it is to be.
type File struct {
	Name string `json:"name"` // from ConfigDir, with slashes
	Text string `json:"text,omitempty"`
	Link string `json:"link,omitempty"` // a symbolic link's target; Text is empty then
	None bool   `json:"none,omitempty"` // it isn't there
}

// Sum tells one content of a file from another.
func (f File) Sum() string {
	if f.None {
		return ""
	}
	sum := sha256.Sum256([]byte(f.Link + "\x00" + f.Text))
	return hex.EncodeToString(sum[:])
}

// Standing says whose a file is.
type Standing int

// Whose a file may be.
const (
	Nobodys Standing = iota // the package's own, or none is there
	Ours                    // as this program has left it
	Edited                  // this program's, and changed since
	Foreign                 // somebody else's: a wizard's, Ansible's, a person's
)

// Change is a file that is not as it is to be.
type Change struct {
	Old, New File
	Standing Standing
}

// Changes returns what would make the agent one of s, in the order in which it
// is to be written. written are the sums of the files that this program has
// written, by name.
func (a Agent) Changes(s Setup, written map[string]string) ([]Change, error) {
	var changes []Change
	for _, want := range []func(Setup) (Change, error){a.zonesConf, a.apiConf, a.constantsConf, a.mainConf, a.apiFeature, a.notificationFeature} {
		c, err := want(s)
		if err != nil {
			return nil, err
		}
		if c.Old == c.New {
			continue
		}
		if sum, known := written[c.Old.Name]; known && c.Standing != Nobodys {
			c.Standing = Edited
			if sum == c.Old.Sum() {
				c.Standing = Ours
			}
		}
		changes = append(changes, c)
	}
	return changes, nil
}

const (
	zonesName        = "zones.conf"
	apiName          = "features-available/api.conf"
	constantsName    = "constants.conf"
	mainName         = "icinga2.conf"
	apiFeatureName   = "features-enabled/api.conf"
	notificationName = "features-enabled/notification.conf"
)

func (a Agent) zonesConf(s Setup) (Change, error) {
	return a.edited(zonesName, s.Name, func(string) (string, error) { text, err := s.zones(); return string(text), err })
}

func (a Agent) apiConf(s Setup) (Change, error) {
	return a.edited(apiName, s.Name, func(string) (string, error) { text, err := s.api(); return string(text), err })
}

func (a Agent) constantsConf(s Setup) (Change, error) {
	return a.edited(constantsName, s.Name, func(old string) (string, error) { return setConstants(old, s.Name), nil })
}

func (a Agent) mainConf(s Setup) (Change, error) {
	return a.edited(mainName, s.Name, func(old string) (string, error) { return withoutConfD(old), nil })
}

// edited makes a Change of a file from what is to become of its text.
func (a Agent) edited(name, node string, edit func(old string) (string, error)) (Change, error) {
	old, err := a.read(name)
	if err != nil {
		return Change{}, err
	}
	text, err := edit(old.Text)
	c := Change{Old: old, New: File{Name: name, Text: text}, Standing: Foreign}
	if old.None || old.Link == "" && isStock(name, old.Text, node) {
		c.Standing = Nobodys
	}
	return c, err
}

// apiFeature enables the feature as "icinga2 feature enable api" does: by a
// link, on Windows by a file that includes the other.
func (a Agent) apiFeature(Setup) (Change, error) {
	old, err := a.read(apiFeatureName)
	if err != nil {
		return Change{}, err
	}
	c := Change{Old: old, New: feature(apiFeatureName), Standing: Foreign}
	if old.None {
		c.Standing = Nobodys
	}
	if old.Link != "" && a.leadsTo(old, apiName) {
		c.New = old // as somebody else has written the same link
	}
	return c, nil
}

// notificationFeature disables it as "icinga2 node setup" does: an agent tells
// its parents, and nobody else.
func (a Agent) notificationFeature(Setup) (Change, error) {
	old, err := a.read(notificationName)
	c := Change{Old: old, New: old}
	if !old.None && (old == feature(notificationName) || a.leadsTo(old, "features-available/notification.conf")) {
		c.New = File{Name: notificationName, None: true}
	}
	return c, err
}

func feature(name string) File {
	available := "../features-available/" + path.Base(name)
	if runtime.GOOS == "windows" {
		return File{Name: name, Text: fmt.Sprintf("include \"%s\"\n", available)}
	}
	return File{Name: name, Link: available}
}

// leadsTo reports whether a link points to another of the agent's files.
func (a Agent) leadsTo(link File, name string) bool {
	target := filepath.FromSlash(link.Link)
	if !filepath.IsAbs(target) {
		target = filepath.Join(a.ConfigDir, filepath.FromSlash(path.Dir(link.Name)), target)
	}
	return link.Link != "" && filepath.Clean(target) == filepath.Join(a.ConfigDir, filepath.FromSlash(name))
}

// read returns a file as it is.
func (a Agent) read(name string) (f File, err error) {
	f.Name = name
	err = a.in(name, func(d *platform.Dir, base string) error {
		if f.Link, err = d.Link(base); err != nil || f.Link != "" {
			return err
		}
		text, err := d.ReadFile(base)
		f.Text = string(text)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return File{Name: name, None: true}, nil
	}
	return f, err
}

// in opens the folder of a file.
func (a Agent) in(name string, do func(d *platform.Dir, base string) error) error {
	d, err := platform.OpenDir(filepath.Join(a.ConfigDir, filepath.FromSlash(path.Dir(name))))
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return do(d, path.Base(name))
}

// Put makes files what they are to be, one after the other, each with the mode
// and the owner of the one it replaces, or of its folder.
func (a Agent) Put(files []File) error {
	for _, f := range files {
		if err := a.in(f.Name, f.put); err != nil {
			return err
		}
	}
	return nil
}

func (f File) put(d *platform.Dir, base string) error {
	switch {
	case f.None:
		return d.Remove(base)
	case f.Link != "":
		return d.WriteLink(base, f.Link)
	}
	mode, owner, err := d.Attributes(base)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !mode.IsRegular() {
		mode, owner, err = d.Attributes(".")
		mode = 0o600 | mode&0o044
	}
	if err != nil {
		return err
	}
	return d.WriteFile(base, []byte(f.Text), mode.Perm(), owner)
}

// BackUp keeps the files of somebody else that changes replace, once, under the
// name that "icinga2 node setup" gives them, and returns those names.
func (a Agent) BackUp(changes []Change) (kept []string, err error) {
	for _, c := range changes {
		if c.Standing == Ours || c.Old.None || c.Old.Link != "" {
			continue
		}
		orig := File{Name: c.Old.Name + ".orig", Text: c.Old.Text}
		there, err := a.read(orig.Name)
		if err != nil {
			return kept, err
		}
		if !there.None {
			continue
		}
		if err := a.Put([]File{orig}); err != nil {
			return kept, err
		}
		kept = append(kept, orig.Name)
	}
	return kept, nil
}

// IsParent says why this machine is no agent but a parent of others; "" where
// it may be one.
func (a Agent) IsParent(node string) (string, error) {
	if d, err := platform.OpenDir(filepath.Join(a.DataDir, "ca")); err == nil {
		defer func() { _ = d.Close() }()
		if _, _, err := d.Attributes("ca.key"); err == nil {
			return "it has the CA's key, " + filepath.Join(a.DataDir, "ca", "ca.key"), nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	zones, err := a.read(zonesName)
	if err != nil {
		return "", err
	}
	if hasChildren(zones.Text, ownZones(zones.Text, node)...) {
		return "its " + filepath.Join(a.ConfigDir, zonesName) + " has zones below its own", nil
	}
	return "", nil
}

// Names lists the files of changes for people.
func Names(changes []Change) string {
	names := make([]string, len(changes))
	for i, c := range changes {
		names[i] = c.New.Name
	}
	return strings.Join(names, ", ")
}
