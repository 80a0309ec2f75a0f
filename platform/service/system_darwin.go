package service

import "context"

// thisSystem returns launchd, which starts every service whose file is there.
func thisSystem() manager {
	nothing := func(context.Context, string) error { return nil }
	return scripts{
		folder:      "/Library/LaunchDaemons",
		suffix:      ".plist",
		template:    plistTemplate,
		perm:        0o644,
		enable:      nothing,
		disable:     nothing,
		starts:      func(context.Context, string) (bool, error) { return true, nil },
		controlling: library{}.control,
		asking:      library{}.state,
	}
}
