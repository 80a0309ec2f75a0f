# What each of the packages' scripts begins with; packaging/build puts it there.

# Who makes an image has a policy-rc.d that forbids (101) that anything starts.
may() { ! command -v policy-rc.d >/dev/null || policy-rc.d icinga-enroll "$1" || [ $? != 101 ]; }

# other SERVICE… prints the first program that these run which isn't this package's.
# A SERVICE may be a pattern. Where systemd runs, scripts start nothing.
other() {
	for service in "$@"; do
		script=/etc/init.d/$service
		[ ! -d /run/systemd/system ] || script=
		# shellcheck disable=SC2086 # a pattern
		sed -n 's/^ConditionFileIsExecutable=//p; s/^command=//p; s/^\[ -x \(.*\) \] || exit 0$/\1/p' \
			/etc/systemd/system/$service.service $script 2>/dev/null || true
	done | tr -d "'" | while read -r program; do
		[ ! -x "$program" ] || [ "$program" = /usr/bin/icinga-enroll ] || echo "$program"
	done | head -n 1
}

