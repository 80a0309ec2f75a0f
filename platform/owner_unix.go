//go:build unix

package platform

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// leave is an account or a group that is left as it is, for chown(2).
const leave = -1

// LookupOwner returns the owner with these names, or numbers; "" leaves account
// or group open. A name is looked for in the machine's own files: one that only
// a directory service knows has to be given as a number.
func LookupOwner(account, group string) (Owner, error) {
	o := Owner{}
	o.uid, o.gid, o.given = leave, leave, true
	var err error
	if account != "" {
		if o.uid, err = number(account, userNumber); err != nil {
			return Owner{}, fmt.Errorf("%w: create the account, or give its number", err)
		}
	}
	if group != "" {
		if o.gid, err = number(group, groupNumber); err != nil {
			return Owner{}, fmt.Errorf("%w: create the group, or give its number", err)
		}
	}
	return o, nil
}

func number(name string, lookup func(string) (string, error)) (int, error) {
	text, err := lookup(name)
	if err != nil {
		text = name
	}
	id, bad := strconv.ParseUint(text, 10, 31)
	if bad != nil {
		return 0, err
	}
	return int(id), nil
}

func userNumber(name string) (string, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return "", err
	}
	return u.Uid, nil
}

func groupNumber(name string) (string, error) {
	g, err := user.LookupGroup(name)
	if err != nil {
		return "", err
	}
	return g.Gid, nil
}

// HangUp sends SIGHUP to a process, with the rights of o where that is another
// account.
func (o Owner) HangUp(pid int) error {
	if os.Geteuid() != 0 || !o.given || o.uid == 0 {
		return syscall.Kill(pid, syscall.SIGHUP)
	}
	cmd := exec.Command("/bin/sh", "-c", `kill -HUP "$1"`, "sh", strconv.Itoa(pid)) //nolint:gosec // a number
	cmd.Dir, cmd.Env = "/", PublicEnv()
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(o.uid), Gid: uint32(o.gid)}} //nolint:gosec // as the system has given them
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("process %d can't be told to read its configuration again, as uid %d: %w: %s", pid, o.uid, err, out)
	}
	return nil
}

func (a account) or(folder account) account {
	if !a.given {
		return folder
	}
	if a.uid == leave {
		a.uid = folder.uid
	}
	if a.gid == leave {
		a.gid = folder.gid
	}
	return a
}
