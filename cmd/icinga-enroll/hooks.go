package main

import "path/filepath"

// checkHooks refuses a program that would be another one wherever this program
// is started.
func (c *loaded) checkHooks() error {
	for key, programs := range map[string][][]string{"hooks.post_renew": c.Hooks.PostRenew, "hooks.on_failure": c.Hooks.OnFailure} {
		for _, argv := range programs {
			if program := argv[0]; program != filepath.Base(program) && !filepath.IsAbs(program) {
				return usage("%s: %q must be an absolute path, or the name of a program to be looked for in PATH", c.where(key), program)
			}
		}
	}
	return nil
}
