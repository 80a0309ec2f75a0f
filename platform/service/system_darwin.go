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
		enabling:    nothing,
		disable:     nothing,
		starts:      func(context.Context, string) (bool, error) { return true, nil },
		reloads:     "restart",
		controlling: library{}.control,
		asking:      library{}.state,
	}
}
