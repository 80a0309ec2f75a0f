package service

import (
	_ "embed"
	"slices"
)

var (
	//go:embed icinga-enroll-renew.service.tmpl
	renewTemplate string
	//go:embed icinga-enroll.timer.tmpl
	timerTemplate string
	//go:embed icinga-enroll@.service.tmpl
	instanceTemplate string
)

// Packaged returns the files by which a package makes c known to systemd and
// OpenRC, by their names. The first unit and the script are what [Install] would
// write; c ends with the argument "run", in whose place the timer's has others.
func Packaged(c Config) (map[string]string, error) {
	c, err := c.complete()
	if err != nil {
		return nil, err
	}
	once := c
	once.Arguments = append(slices.Clone(c.Arguments[:len(c.Arguments)-1]), "renew", "--due")
	files := map[string]string{c.Name + ".openrc": fill(openrcTemplate, c)}
	for name, unit := range map[string]struct {
		template string
		Config
	}{
		c.Name + ".service":       {unitTemplate, c},
		c.Name + "-renew.service": {renewTemplate, once},
		c.Name + ".timer":         {timerTemplate, c},
		c.Name + "@.service":      {instanceTemplate, c},
	} {
		if files[name], err = fillUnit(unit.template, unit.Config); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// Elsewhere returns the files by which an archive makes c known to launchd and
// FreeBSD's rc, by their names.
func Elsewhere(c Config) map[string]string {
	return map[string]string{c.Name + ".plist": fill(plistTemplate, c), c.Name + ".rc": fill(freebsdTemplate, c)}
}
