package service

import (
	"context"
	"strings"
)

// hasBooted is false in an image or a container in which systemd is only
// installed: what is enabled there starts nothing.
func (s systemd) hasBooted() bool { return s.booted }

// timerFailed leaves out exit code 1: why is in the status then.
func (s systemd) timerFailed(ctx context.Context, name string) bool {
	if !s.booted {
		return false
	}
	if enabled, err := output(ctx, "systemctl", "is-enabled", name+".timer"); err != nil || !strings.HasPrefix(enabled, "enabled") {
		return false
	}
	shown, err := output(ctx, "systemctl", "show", "--property=ActiveState,ExecMainStatus", unitName(name+"-renew"))
	return err == nil && strings.Contains(shown, "ActiveState=failed\n") && !strings.Contains(shown, "ExecMainStatus=1\n")
}
