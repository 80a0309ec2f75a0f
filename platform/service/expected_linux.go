package service

import (
	"context"
	"strings"
)

// hasBooted is false in an image or a container in which systemd is only
// installed: what is enabled there starts nothing.
func (s systemd) hasBooted() bool { return s.booted }

func (s systemd) timerFailed(ctx context.Context, name string, told bool) bool {
	if !s.booted {
		return false
	}
	if enabled, err := output(ctx, "systemctl", "is-enabled", name+".timer"); err != nil || !strings.HasPrefix(enabled, "enabled") {
		return false
	}
	shown, err := output(ctx, "systemctl", "show", "--property=ActiveState,ExecMainStatus", unitName(name+"-renew"))
	known := told && strings.Contains(shown, "ExecMainStatus=1\n")
	return err == nil && strings.Contains(shown, "ActiveState=failed\n") && !known
}
