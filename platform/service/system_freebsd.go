package service

import "context"

// thisSystem returns FreeBSD's rc. Its library knows enable, delete and
// enabled, which change and read the service's variable in rc.conf.
func thisSystem() manager {
	rc := scripts{folder: "/usr/local/etc/rc.d", template: freebsdTemplate, perm: 0o755, reloads: "reload"}
	verb := func(action string) func(context.Context, string) error {
		return func(ctx context.Context, name string) error {
			_, err := output(ctx, rc.file(name), action)
			return err
		}
	}
	rc.enabling, rc.disable = verb("enable"), verb("delete")
	rc.starts = func(ctx context.Context, name string) (bool, error) { return verb("enabled")(ctx, name) == nil, nil }
	return rc
}
