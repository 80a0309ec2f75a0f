package main

import (
	"path/filepath"

	"icinga-enroll/platform"
)

// checkHooks refuses a program that would be another one wherever this program
// is started, and one that another account could replace.
func (c *loaded) checkHooks() error {
	for key, programs := range map[string][][]string{
		"hooks.post_renew": c.Hooks.PostRenew, "hooks.on_failure": c.Hooks.OnFailure,
		"agent.validate": {c.Agent.Validate}, "agent.reload": {c.Agent.Reload},
	} {
		for _, argv := range programs {
			if len(argv) == 0 {
				continue
			}
			if program := argv[0]; program != filepath.Base(program) && !filepath.IsAbs(program) {
				return usage("%s: %q must be an absolute path, or the name of a program to be looked for in PATH", c.where(key), program)
			}
			if err := platform.GuardedProgram(argv[0]); err != nil {
				return usage("%s: %w", c.where(key), err)
			}
		}
	}
	return nil
}
