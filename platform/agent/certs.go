package agent

import (
	"errors"
	"io/fs"
	"os"

	"icinga-enroll/platform"
)

// GiveCerts gives the agent its folder of certificates, with those files that
// are there, where the folder is still ours: it was made before the agent was
// installed, and the package gives the agent only the folder around it (observed
// on Debian 12), so that it couldn't read its key. What somebody else owns is
// left alone. The folder comes last: until it is given, the next call ends what
// this one has begun.
func (a Agent) GiveCerts(certs *platform.Dir, ours platform.Owner, names ...string) (given bool, err error) {
	agents, err := a.account()
	if err != nil {
		return false, err
	}
	owner, err := certs.Owner()
	if err != nil || owner == agents || owner != ours || os.Geteuid() != 0 {
		return false, err
	}
	for _, name := range names {
		if err := giveFile(certs, name, agents); err != nil {
			return false, err
		}
	}
	return true, certs.Give(agents)
}

func giveFile(d *platform.Dir, name string, owner platform.Owner) error {
	mode, _, err := d.Attributes(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !mode.IsRegular() {
		return nil
	}
	if err != nil {
		return err
	}
	text, err := d.ReadFile(name)
	if err != nil {
		return err
	}
	return d.WriteFile(name, text, mode.Perm(), owner)
}
