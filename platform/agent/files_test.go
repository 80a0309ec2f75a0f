package agent

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func (a Agent) mustWrite(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	must(t, os.WriteFile(a.path(name), []byte(text), 0o600), os.Chmod(a.path(name), mode))
}

func textOf(t *testing.T, a Agent, name string) string {
	t.Helper()
	data, err := os.ReadFile(a.path(name))
	must(t, err)
	return string(data)
}

func modeOf(t *testing.T, a Agent, name string) os.FileMode {
	t.Helper()
	info, err := os.Lstat(a.path(name))
	must(t, err)
	return info.Mode()
}

// snapshot is all that is in the agent's folder, with modes and links.
func snapshot(t *testing.T, a Agent) map[string]string {
	t.Helper()
	all := map[string]string{}
	must(t, filepath.WalkDir(a.ConfigDir, func(path string, _ os.DirEntry, err error) error {
		must(t, err)
		info, err := os.Lstat(path)
		must(t, err)
		text := info.Mode().String() + " "
		if info.Mode()&os.ModeSymlink != 0 {
			target, err := os.Readlink(path)
			must(t, err)
			text += target
		} else if info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			must(t, err)
			text += string(data)
		}
		name, err := filepath.Rel(a.ConfigDir, path)
		all[name] = text
		return err
	}))
	return all
}

func news(changes []Change) (files []File) {
	for _, c := range changes {
		files = append(files, c.New)
	}
	return files
}

func olds(changes []Change) (files []File) {
	for _, c := range changes {
		files = append(files, c.Old)
	}
	return files
}

func standings(changes []Change) map[string]Standing {
	all := map[string]Standing{}
	for _, c := range changes {
		all[c.New.Name] = c.Standing
	}
	return all
}

// Whoever puts the new set and then the old one in place has what he had, links
// and modes too.
func TestPutAndBack(t *testing.T) {
	a := stock(t, "debian")
	a.mustWrite(t, constantsName, textOf(t, a, constantsName), 0o600)
	must(t, os.Rename(a.path(zonesName), a.path("my-zones.conf")), os.Symlink("my-zones.conf", a.path(zonesName)))
	before := snapshot(t, a)
	changes := mustChange(t, a, twoParents(), nil)
	must(t, a.Put(news(changes)))
	if mode := modeOf(t, a, constantsName); mode != 0o600 {
		t.Errorf("constants.conf has the mode %v, had 0600", mode)
	}
	if mode := modeOf(t, a, zonesName); mode != 0o640 {
		t.Errorf("a new file has the mode %v", mode)
	}
	if got := before["my-zones.conf"]; got != snapshot(t, a)["my-zones.conf"] {
		t.Error("the file behind the link was written")
	}
	must(t, a.Put(olds(changes)))
	after := snapshot(t, a)
	for name := range after {
		if after[name] != before[name] {
			t.Errorf("%s is %q, was %q", name, after[name], before[name])
		}
	}
	if len(after) != len(before) {
		t.Errorf("there are %d files, were %d", len(after), len(before))
	}
}

func TestWhoseAFileIs(t *testing.T) {
	a := stock(t, "debian")
	first := mustChange(t, a, twoParents(), nil)
	must(t, a.Put(news(first)))
	written := map[string]string{}
	for _, c := range first {
		written[c.New.Name] = c.New.Sum()
	}
	other := twoParents()
	other.ParentZone, other.ListenPort = "other", "5666"
	if got := standings(mustChange(t, a, other, written)); len(got) != 2 || got[zonesName] != Ours || got[apiName] != Ours {
		t.Errorf("what was written counts as %v", got)
	}
	if got := standings(mustChange(t, a, other, nil)); got[zonesName] != Foreign {
		t.Errorf("what nobody remembers to have written counts as %v", got)
	}
	a.mustWrite(t, zonesName, textOf(t, a, zonesName)+"// mine\n", 0o640)
	if got := standings(mustChange(t, a, twoParents(), written)); len(got) != 1 || got[zonesName] != Edited {
		t.Errorf("what somebody has changed counts as %v", got)
	}
	must(t, os.Remove(a.path(zonesName)))
	if got := standings(mustChange(t, a, twoParents(), written)); len(got) != 1 || got[zonesName] != Nobodys {
		t.Errorf("what somebody has removed counts as %v", got)
	}
}

func TestLinkOfSomebodyElse(t *testing.T) {
	a := stock(t, "debian")
	must(t, os.Rename(a.path(zonesName), a.path("theirs.conf")), os.Symlink("theirs.conf", a.path(zonesName)))
	changes := mustChange(t, a, twoParents(), nil)
	if got := standings(changes)[zonesName]; got != Foreign {
		t.Errorf("a linked zones.conf counts as %v", got)
	}
	kept, err := a.BackUp(changes)
	must(t, err)
	if target, err := os.Readlink(a.path("zones.conf.orig")); err != nil || target != "theirs.conf" || !slices.Contains(kept, "zones.conf.orig") {
		t.Errorf("nothing says where the link has led: %q, %v, %v", target, err, kept)
	}
	if _, err := os.Lstat(a.path("features-enabled/notification.conf.orig")); err == nil {
		t.Error("a feature's link has a backup; \"icinga2 feature enable\" makes it again")
	}
}

// The feature may have been enabled by a link of another form.
func TestFeatureThatIsEnabled(t *testing.T) {
	for _, target := range []string{"../features-available/api.conf", "{{ConfigDir}}/features-available/api.conf", "../features-available/../features-available/api.conf"} {
		a := stock(t, "debian")
		must(t, os.Symlink(strings.ReplaceAll(target, "{{ConfigDir}}", a.ConfigDir), a.path(apiFeatureName)))
		if got, changes := standings(mustChange(t, a, twoParents(), nil)), apiFeatureName; got[changes] != 0 {
			t.Errorf("%s counts as %v", target, got)
		} else if _, there := got[apiFeatureName]; there {
			t.Errorf("%s would be replaced", target)
		}
	}
	asOn(t, "windows")
	a := stock(t, "windows")
	a.mustWrite(t, apiFeatureName, "include \"../features-available/api.conf\"\r\n", 0o640)
	if _, there := standings(mustChange(t, a, twoParents(), nil))[apiFeatureName]; there {
		t.Error("on Windows: what \"icinga2 feature enable api\" writes would be replaced")
	}
	a.mustWrite(t, apiFeatureName, "include \"../other.conf\"\r\n", 0o640)
	if got := standings(mustChange(t, a, twoParents(), nil))[apiFeatureName]; got != Foreign {
		t.Errorf("on Windows: another file counts as %v", got)
	}
}

// Each content of somebody else's is kept once, the oldest as ".orig".
func TestBackUpOnce(t *testing.T) {
	a := stock(t, "debian")
	a.mustWrite(t, constantsName, "const TicketSalt = \"secret\"\n", 0o600)
	old := textOf(t, a, zonesName)
	var kept []string
	for _, edit := range []string{"// edited\n", "// again\n", "// edited\n", old, "// the last\n"} {
		changes := mustChange(t, a, twoParents(), nil)
		more, err := a.BackUp(changes)
		must(t, err, a.Put(news(changes)))
		kept = append(kept, more...)
		a.mustWrite(t, zonesName, edit, 0o640)
	}
	for name, want := range map[string]string{"zones.conf.orig": old, "zones.conf.orig.2": "// edited\n", "zones.conf.orig.3": "// again\n"} {
		if got := textOf(t, a, name); got != want || !slices.Contains(kept, name) {
			t.Errorf("%s is %q; kept %v", name, got, kept)
		}
	}
	if _, err := os.Lstat(a.path("zones.conf.orig.4")); err == nil {
		t.Errorf("a content was kept twice: %v", kept)
	}
	if mode := modeOf(t, a, "constants.conf.orig"); mode != 0o600 {
		t.Errorf("the backup of a file with a secret, mode 0600, has %v", mode)
	}
}

func TestMissingFolders(t *testing.T) {
	a := stock(t, "debian")
	must(t, os.RemoveAll(a.path("features-enabled")))
	changes := mustChange(t, a, twoParents(), nil)
	if err := a.Put(news(changes)); err == nil || !strings.Contains(err.Error(), "features-enabled") {
		t.Errorf("got %v", err)
	}
	must(t, a.Put(olds(changes))) // what isn't there needn't be removed
}

// Without its main file an agent would start, and do nothing.
func TestNoMainFileIsMade(t *testing.T) {
	a := stock(t, "debian")
	must(t, os.Remove(a.path(mainName)))
	if _, err := a.Changes(twoParents(), nil); err == nil || !strings.Contains(err.Error(), a.path(mainName)) {
		t.Errorf("got %v", err)
	}
}

func TestIsParent(t *testing.T) {
	const children = "object Zone \"sat\" { endpoints = [ \"web1.example.com\" ] }\nobject Zone \"child\" { parent = \"sat\" }\n"
	tests := map[string]struct {
		make func(t *testing.T, a Agent)
		want string
	}{
		"stock":      {func(*testing.T, Agent) {}, ""},
		"empty ca":   {func(t *testing.T, a Agent) { must(t, os.Mkdir(filepath.Join(a.DataDir, "ca"), 0o700)) }, ""},
		"zones gone": {func(t *testing.T, a Agent) { must(t, os.Remove(a.path(zonesName))) }, ""},
		"the CA's key": {func(t *testing.T, a Agent) {
			must(t, os.Mkdir(filepath.Join(a.DataDir, "ca"), 0o700), os.WriteFile(filepath.Join(a.DataDir, "ca", "ca.key"), nil, 0o600))
		}, "ca.key"},
		"children": {func(t *testing.T, a Agent) { a.mustWrite(t, zonesName, children, 0o640) }, "zones.conf"},
		"children behind a link": {func(t *testing.T, a Agent) {
			a.mustWrite(t, "cluster.conf", children, 0o640)
			must(t, os.Remove(a.path(zonesName)), os.Symlink("cluster.conf", a.path(zonesName)))
		}, "zones.conf"},
		"children behind a link to elsewhere": {func(t *testing.T, a Agent) {
			a.mustWrite(t, zonesName, children, 0o640)
			must(t, os.Rename(a.path(zonesName), filepath.Join(a.DataDir, "z")), os.Symlink(filepath.Join(a.DataDir, "z"), a.path(zonesName)))
		}, "zones.conf"},
		"another name in constants.conf": {func(t *testing.T, a Agent) {
			a.mustWrite(t, constantsName, "const NodeName=\"sat1\"\nconst ZoneName = \"sat\"\n", 0o640)
			a.mustWrite(t, zonesName, strings.ReplaceAll(children, testNode, "sat1"), 0o640)
		}, "zones.conf"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a := stock(t, "debian")
			test.make(t, a)
			got, err := a.IsParent(testNode)
			if must(t, err); !strings.Contains(got, test.want) || (got == "") != (test.want == "") {
				t.Errorf("got %q", got)
			}
		})
	}
}

// What an admin switches on again stays on; a package that was installed anew is
// set up anew.
func TestWhatIsSwitchedOnAgainStaysOn(t *testing.T) {
	a := stock(t, "debian")
	before := map[string]string{}
	for _, name := range []string{mainName, zonesName} {
		before[name] = textOf(t, a, name)
	}
	changes := mustChange(t, a, twoParents(), nil)
	must(t, a.Put(news(changes)))
	written := map[string]string{}
	for _, c := range changes {
		written[c.New.Name] = c.New.Sum()
	}
	a.mustWrite(t, mainName, before[mainName], 0o640)
	must(t, a.Put([]File{feature(notificationName)}))
	if left := mustChange(t, a, twoParents(), written); len(left) != 0 {
		t.Errorf("conf.d and the notification feature are switched off again: %s", Names(left))
	}
	a.mustWrite(t, zonesName, before[zonesName], 0o640)
	if again := standings(mustChange(t, a, twoParents(), written)); again[mainName] != Nobodys || again[zonesName] != Nobodys {
		t.Errorf("after a reinstallation of the package: %v", again)
	}
}

func TestUnmakeIsTheWayBack(t *testing.T) {
	for _, system := range []string{"alpine", "debian", "freebsd", "rhel-suse"} {
		a := stock(t, system)
		before := snapshot(t, a)
		if link := "features-enabled/notification.conf"; before[link] != "" { // as "icinga2 feature enable" makes it
			before[link] = strings.Replace(before[link], a.ConfigDir, "..", 1)
		}
		changes := mustChange(t, a, twoParents(), nil)
		_, err := a.BackUp(changes)
		must(t, err, a.Put(news(changes)))
		written := map[string]string{}
		for _, c := range changes {
			written[c.New.Name] = c.New.Sum()
		}
		if named := a.Mentions(twoParents().Name, written); len(named) != 0 {
			t.Errorf("%s: %q have the node's name", system, named)
		}
		if named := a.Mentions(twoParents().Name, nil); len(named) < 2 {
			t.Errorf("%s: only %q have the node's name", system, named)
		}
		undone, err := a.Unmake(written)
		must(t, err)
		if len(undone) != len(changes) {
			t.Errorf("%s: undone %q", system, undone)
		}
		sameFiles(t, system, before, snapshot(t, a))
		if _, err := a.Unmake(written); err != nil { // it was cut short after the files and before the state
			t.Error(err)
		}
		sameFiles(t, system+", again", before, snapshot(t, a))
	}
}

func sameFiles(t *testing.T, when string, before, after map[string]string) {
	t.Helper()
	for name := range maps.Keys(before) {
		if after[name] != before[name] {
			t.Errorf("%s: %s is %q, was %q", when, name, after[name], before[name])
		}
		delete(after, name)
	}
	if len(after) > 0 {
		t.Errorf("%s: new is %q", when, after)
	}
}

func TestUnmakeLeavesWhatSomebodyHasChanged(t *testing.T) {
	a := stock(t, "debian")
	changes := mustChange(t, a, twoParents(), nil)
	_, err := a.BackUp(changes)
	must(t, err, a.Put(news(changes)))
	edited := textOf(t, a, zonesName) + "// edited\n"
	a.mustWrite(t, zonesName, edited, 0o640)
	written := map[string]string{zonesName: changes[0].New.Sum()}
	if named := a.Mentions(twoParents().Name, written); !slices.Contains(named, zonesName) {
		t.Errorf("%q have the node's name", named)
	}
	if _, err := a.Unmake(written); err != nil || textOf(t, a, zonesName) != edited {
		t.Errorf("it is undone, %v", err)
	}
}
