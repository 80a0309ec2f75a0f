package agent

import (
	"maps"
	"path"
	"slices"
	"strings"

	"icinga-enroll/platform"
)

// Unmake makes the files what they were before this program wrote them, and
// removes the backups that it took then. written are the sums of what it wrote,
// by name. A file that somebody has changed since is left as it is. Cut short,
// it can be done again.
func (a Agent) Unmake(written map[string]string) (undone []string, err error) {
	for _, name := range slices.Sorted(maps.Keys(written)) {
		now, err := a.read(name)
		if err != nil {
			return undone, err
		}
		before, err := a.before(name)
		if err != nil {
			return undone, err
		}
		backup := File{Name: name + ".orig", None: true}
		switch {
		case now == before: // that far another run has come
		case now.Sum() != written[name]:
			continue
		default:
			undone = append(undone, name)
		}
		if err := a.Put([]File{before, backup}); err != nil {
			return undone, err
		}
	}
	return undone, nil
}

// before is a file as it was before this program wrote it: its backup; without
// one it wasn't there, or is a feature that "icinga2 feature enable" makes.
func (a Agent) before(name string) (File, error) {
	kept, err := a.read(name + ".orig")
	kept.Name = name
	switch {
	case err != nil || !kept.None:
		return kept, err
	case name == notificationName:
		return feature(name), nil
	case strings.HasSuffix(name, ".conf") && name != zonesName && name != constantsName && name != mainName:
		return kept, nil
	}
	return a.read(name) // without a backup nobody knows
}

// Mentions lists the files of the configuration that have a node's name as a
// text, but for those that are as this program has written them: written are
// their sums, by name.
func (a Agent) Mentions(node string, written map[string]string) (files []string) {
	for _, name := range naming {
		if f, err := a.read(name); err == nil && !f.None && f.Sum() == written[name] {
			continue
		}
		if a.mentions(name, node) {
			files = append(files, name)
		}
	}
	return files
}

// naming are the files that may have the node's name.
var naming = []string{zonesName, apiName, constantsName, mainName}

func (a Agent) mentions(name, node string) bool {
	text, _ := a.readLinked(name) // what can't be read isn't the agent's either
	return strings.Contains(withoutComments(text), Quote(node))
}

// Others lists the other files below the agent's folder that have a node's name as a
// text: backups, and what somebody has written. The agent may not read them, but an
// image that has them has the name.
func (a Agent) Others(node string) (files []string) {
	_ = inFolder(a.ConfigDir, "", func(d *platform.Dir, _ string) error {
		for _, name := range d.Files() {
			if !slices.Contains(naming, name) && !a.leadsOn(name) && a.mentions(name, node) {
				files = append(files, name)
			}
		}
		return nil
	})
	return files
}

// leadsOn reports whether a file is a link to one that has a name of its own here, as an
// enabled feature is. A backup is a link where the file was one.
func (a Agent) leadsOn(name string) bool {
	f, err := a.read(name)
	return err == nil && f.Link != "" && !strings.Contains(path.Base(name), ".orig")
}

// Packaged lists the backups of these files that are the package's.
func (a Agent) Packaged(files []string) (kept []string) {
	for _, name := range files {
		if f, err := a.read(name + ".orig"); err == nil && !f.None && f.Link == "" && isStock(name, f.Text, "") {
			kept = append(kept, name+".orig")
		}
	}
	return kept
}
