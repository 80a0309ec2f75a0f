package main

import (
	"cmp"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"icinga-enroll/platform"
)

// absolutePath is the form of what filepath.IsAbs calls absolute.
func absolutePath() string {
	if runtime.GOOS == "windows" {
		return `^([A-Za-z]:)?[\\/]`
	}
	return "^/"
}

// ownFolder is the form of a path that leads below a root.
func ownFolder() string {
	if runtime.GOOS == "windows" {
		return absolutePath() + `.*[^\\/]`
	}
	return "^/.*[^/]"
}

// absolute makes the paths of the configuration independent of where the
// program is started.
func (c *loaded) absolute() error {
	for key, path := range map[string]string{"paths.state": c.Paths.State, "paths.certs": c.Paths.Certs, "agent.config_dir": c.Agent.ConfigDir, "agent.data_dir": c.Agent.DataDir} {
		if path == "" && !strings.HasPrefix(key, "paths.") {
			continue
		}
		if err := checkFolder(path); err != nil {
			return usage("%s: %w", c.where(key), err)
		}
	}
	if folder := c.Paths.State; c.holdsAgent(folder) {
		return usage("%s: %s is the Icinga agent's: name a folder of its own", c.where("paths.state"), folder)
	}
	if file := c.Metrics.Textfile; file != "" && (!filepath.IsAbs(file) || filepath.Ext(file) != ".prom") {
		return usage("%s: %q must be an absolute path that ends in .prom: node_exporter reads no others", c.where("metrics.textfile"), file)
	}
	return nil
}

// checkFolder refuses a path that is no folder of this program's or the agent's: files
// in it are removed, and it may be given to another account.
func checkFolder(path string) error {
	switch {
	case !filepath.IsAbs(path):
		return fmt.Errorf("%q must be an absolute path", path)
	case isEverybodys(path):
		return fmt.Errorf("%s is the system's: name a folder of its own, further below", path)
	}
	return nil
}

// holdsAgent reports whether path is one of the Icinga agent's two folders.
func (c *loaded) holdsAgent(path string) bool {
	data := cmp.Or(c.Agent.DataDir, filepath.Dir(platform.DefaultPaths().Certs))
	for _, folder := range []string{c.agentConfig(), data} {
		if filepath.Clean(path) == filepath.Clean(folder) || platform.IsSameFile(path, folder) {
			return true
		}
	}
	return false
}

// isEverybodys reports whether path is a root, or one of the system's folders.
func isEverybodys(path string) bool {
	path = filepath.Clean(path)
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	return filepath.Dir(path) == path || slices.Contains(systemFolders, path)
}

// systemFolders are those that come to mind by mistake, of the Filesystem Hierarchy
// Standard 3.0 and Linux' own. Others in the root are somebody's volumes.
var systemFolders = strings.Fields("/bin /boot /dev /etc /home /lib /lib64 /media /mnt /opt /proc /root /run /sbin /srv /sys /tmp " +
	"/usr /usr/bin /usr/lib /usr/lib64 /usr/local /usr/local/bin /usr/sbin /usr/share /var /var/cache /var/lib /var/log /var/tmp")
