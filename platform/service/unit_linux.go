package service

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

var (
	//go:embed icinga-enroll.service.tmpl
	unitTemplate string
	//go:embed sandbox.tmpl
	sandbox string // what all units have in common
)

// unit returns the text of the systemd unit.
func unit(c Config) (string, error) { return fillUnit(unitTemplate, c) }

// fillUnit writes the values of c into a template. (text/template would add half
// a megabyte to the program: its reflection keeps the linker from dropping code.)
func fillUnit(template string, c Config) (string, error) {
	if strings.ContainsAny(c.Executable, "$\"'\\") {
		return "", fmt.Errorf("%s: systemd doesn't start programs with such a path", c.Executable)
	}
	words := []string{quoteUnit(c.Executable)}
	for _, argument := range c.Arguments {
		// ExecStart alone knows variables.
		words = append(words, quoteUnit(strings.ReplaceAll(argument, "$", "$$")))
	}
	folders, err := writable(c.WritePaths)
	if err != nil {
		return "", err
	}
	for i, folder := range folders {
		folders[i] = quoteUnit(folder)
	}
	for _, path := range c.OtherPaths {
		if !within(path, stateParent) {
			folders = append(folders, quoteUnit("-"+filepath.Clean(path)))
		}
	}
	return strings.NewReplacer(
		"@NAME@", c.Name,
		"@DESCRIPTION@", strings.ReplaceAll(c.Description, "%", "%%"),
		"@PROGRAM@", words[0],
		"@CONDITION@", strings.ReplaceAll(c.Executable, "%", "%%"), // which takes no quotes
		"@EXEC@", strings.Join(words, " "),
		"@WRITE@", strings.Join(folders, " "),
	).Replace(strings.ReplaceAll(template, "@SANDBOX@\n", c.sandbox())), nil
}

// sandbox is that of all units, open for the devices.
func (c Config) sandbox() string {
	if len(c.Devices) == 0 {
		return sandbox
	}
	devices := "PrivateDevices=no\nDevicePolicy=closed\n"
	for _, device := range c.Devices {
		devices += "DeviceAllow=" + quoteUnit(device) + " rw\n"
	}
	return strings.Replace(sandbox, "PrivateDevices=yes\n", devices, 1)
}

// quoteUnit makes one word of s, for systemd's splitting and its specifiers.
func quoteUnit(s string) string {
	s = strings.ReplaceAll(s, "%", "%%")
	if s != "" && !strings.ContainsAny(s, " \"'\\;") {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// resolved is c with the folders that its paths lead to on this machine: what is
// opened for writing below a link, say a data disk's in /var/lib, stays closed.
func (c Config) resolved() Config {
	for _, paths := range []*[]string{&c.WritePaths, &c.OtherPaths} {
		*paths = slices.Clone(*paths)
		for i, path := range *paths {
			(*paths)[i] = resolve(path)
		}
	}
	return c
}

// resolve follows the links of that part of a path that is there.
func resolve(path string) string {
	target, err := filepath.EvalSymlinks(path)
	if err == nil {
		return target
	}
	if link, lerr := os.Readlink(path); lerr == nil && errors.Is(err, fs.ErrNotExist) { // to a disk that isn't mounted yet
		if !filepath.IsAbs(link) {
			link = filepath.Join(filepath.Dir(path), link)
		}
		return resolve(link)
	}
	if parent := filepath.Dir(path); parent != path {
		return filepath.Join(resolve(parent), filepath.Base(path))
	}
	return path
}

// stateParent is where this program's folder and Icinga's are.
const stateParent = "/var/lib"

// writable returns the folders that a service must be able to write to, to
// write to paths. systemd opens only what exists when the service starts, so
// for a path that isn't there yet it is the nearest folder above it.
func writable(paths []string) ([]string, error) {
	folders := []string{stateParent}
	for _, path := range paths {
		folder := filepath.Clean(path)
		for folder != "/" {
			info, err := os.Stat(folder)
			if err == nil && info.IsDir() {
				break
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			folder = filepath.Dir(folder)
		}
		if folder == "/" {
			return nil, fmt.Errorf("%s isn't there: create it first, or the service would need the right to write everywhere", path)
		}
		if !within(folder, stateParent) && !slices.Contains(folders, folder) {
			folders = append(folders, folder)
		}
	}
	return folders, nil
}

func within(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}
