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
	"slices"
	"strconv"
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
		changes = append(changes, c)
	}
	// The package's own zones.conf again: it was never written, or installed anew.
	anew := slices.ContainsFunc(changes, func(c Change) bool { return c.Old.Name == zonesName && c.Standing == Nobodys })
	var kept []Change
	for _, c := range changes {
		if sum, known := written[c.Old.Name]; known && (!anew || c.Standing != Nobodys) {
			c.Standing = Edited
			if sum == c.Old.Sum() {
				c.Standing = Ours
			}
		}
		// An agent works with its local objects and the notification feature, too:
		// who has switched them on again wants them.
		if c.Standing == Edited && (c.Old.Name == mainName || c.Old.Name == notificationName) {
			continue
		}
		kept = append(kept, c)
	}
	return kept, nil
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
	return a.edited(zonesName, s.Name, func(string) (string, error) { return s.zones() })
}

func (a Agent) apiConf(s Setup) (Change, error) {
	return a.edited(apiName, s.Name, func(string) (string, error) { return s.api(), nil })
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
	if err == nil && old.None && name == mainName {
		err = fmt.Errorf("there is no %s, without which the agent does nothing: install its package anew (icinga2), or set agent.config_dir", filepath.Join(a.ConfigDir, name))
	}
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
	if a.enables(old, apiName) {
		c.New = old // as somebody else has written the same
	}
	return c, nil
}

// notificationFeature disables it as "icinga2 node setup" does: an agent tells
// its parents, and nobody else.
func (a Agent) notificationFeature(Setup) (Change, error) {
	old, err := a.read(notificationName)
	c := Change{Old: old, New: old}
	if a.enables(old, "features-available/notification.conf") {
		c.New = File{Name: notificationName, None: true}
	}
	return c, err
}

// includesFeatures: Icinga enables a feature on Windows with a file that includes
// another, elsewhere with a link.
var includesFeatures = runtime.GOOS == "windows"

func feature(name string) File {
	available := "../features-available/" + path.Base(name)
	if includesFeatures {
		return File{Name: name, Text: fmt.Sprintf("include \"%s\"\n", available)}
	}
	return File{Name: name, Link: available}
}

// enables reports whether f is the link, or the file, that enables a feature.
func (a Agent) enables(f File, available string) bool {
	if f.Link != "" {
		return a.leadsTo(f, available)
	}
	return includesFeatures && slices.Equal(statements(f.Text), statements(feature(available).Text))
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
func (a Agent) read(name string) (File, error) {
	f, err := readAt(filepath.Join(a.ConfigDir, filepath.FromSlash(name)))
	f.Name = name
	return f, err
}

func readAt(file string) (f File, err error) {
	err = inFolder(filepath.Dir(file), filepath.Base(file), func(d *platform.Dir, base string) error {
		if f.Link, err = d.Link(base); err != nil || f.Link != "" {
			return err
		}
		text, err := d.ReadFile(base)
		f.Text = string(text)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return File{None: true}, nil
	}
	return f, err
}

// readLinked returns the text of a file, wherever root's links, and our own, lead
// to it. One of the agent's could lead root to a file that the agent must not read.
func (a Agent) readLinked(name string) (string, error) {
	file := filepath.Join(a.ConfigDir, filepath.FromSlash(name))
	for range maxLinks {
		f, err := readAt(file)
		if err != nil || f.Link == "" {
			return f.Text, err
		}
		target, err := ownTarget(file)
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(file), target)
		}
		file = target
	}
	return "", fmt.Errorf("%s is a link that leads nowhere: look what it is, and remove it", filepath.Join(a.ConfigDir, name))
}

// ownTarget is where a link leads that is nobody else's.
func ownTarget(file string) (target string, err error) {
	err = inFolder(filepath.Dir(file), filepath.Base(file), func(d *platform.Dir, base string) error {
		var account string
		target, account, err = d.LinkOf(base)
		if err == nil && account != "" {
			err = fmt.Errorf("%s is a symbolic link of %s's, which isn't followed: put the file itself there", file, account)
		}
		return err
	})
	return filepath.FromSlash(target), err
}

const maxLinks = 40 // in a row, as Linux has it

// in opens the folder of a file.
func (a Agent) in(name string, do func(d *platform.Dir, base string) error) error {
	return inFolder(filepath.Join(a.ConfigDir, filepath.FromSlash(path.Dir(name))), path.Base(name), do)
}

func inFolder(folder, base string, do func(d *platform.Dir, base string) error) error {
	d, err := platform.OpenDir(folder)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return do(d, base)
}

// Put makes files what they are to be, one after the other, each with the mode
// and the owner of the one it replaces, or of its folder.
func (a Agent) Put(files []File) error {
	for _, f := range files {
		err := a.in(f.Name, f.put)
		if err != nil && (!f.None || !errors.Is(err, fs.ErrNotExist)) {
			return err
		}
	}
	return nil
}

// Leftovers lists what a process has left that was killed while it wrote a file.
func (a Agent) Leftovers() (files []string) {
	for _, folder := range replaced {
		_ = inFolder(filepath.Join(a.ConfigDir, folder), "", func(d *platform.Dir, _ string) error {
			names, err := d.Leftovers()
			for _, name := range names {
				files = append(files, path.Join(folder, name))
			}
			return err
		})
	}
	return files
}

// Sweep removes the leftovers.
func (a Agent) Sweep() error {
	for _, folder := range replaced {
		err := inFolder(filepath.Join(a.ConfigDir, folder), "", func(d *platform.Dir, _ string) error { return d.Sweep() })
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
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

// BackUp keeps the files of somebody else that changes replace, and returns the
// names of the copies that it has made. The first is under the name that "icinga2
// node setup" gives it, later ones have a number behind that; a content that is
// kept already isn't kept again.
func (a Agent) BackUp(changes []Change) (kept []string, err error) {
	for _, c := range changes {
		isFeature := c.Old.Link != "" && c.Standing == Nobodys // "icinga2 feature enable" makes it again
		if c.Standing == Ours || c.Old.None || isFeature {
			continue
		}
		name, err := a.backUp(c)
		if err != nil {
			return kept, err
		}
		if name != "" {
			kept = append(kept, name)
		}
	}
	return kept, nil
}

// backUp returns "" where a copy is there.
func (a Agent) backUp(c Change) (name string, err error) {
	orig := c.Old
	for number := 1; ; number++ {
		orig.Name = c.Old.Name + ".orig"
		if number > 1 {
			orig.Name += "." + strconv.Itoa(number) // it doesn't end in .conf, which Icinga would read
		}
		there, err := a.read(orig.Name)
		if err != nil || there == orig {
			return "", err
		}
		if there.None {
			return orig.Name, a.in(c.Old.Name, orig.putBeside)
		}
	}
}

// putBeside writes a copy of the file base, with the mode and the owner of that
// one: constants.conf may have a secret in it.
func (f File) putBeside(d *platform.Dir, base string) error {
	name := path.Base(f.Name)
	if f.Link != "" {
		return d.WriteLink(name, f.Link)
	}
	mode, owner, err := d.Attributes(base)
	if err != nil {
		return err
	}
	return d.WriteFile(name, []byte(f.Text), mode.Perm(), owner)
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
	zones, err := a.readLinked(zonesName)
	if err != nil {
		return "", err
	}
	constants, err := a.readLinked(constantsName)
	if err != nil {
		return "", err
	}
	if hasChildren(zones, ownZones(zones, Quote(node), valueOf(constants, "NodeName"), valueOf(constants, "ZoneName"))...) {
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
