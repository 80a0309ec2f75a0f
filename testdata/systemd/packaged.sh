# shellcheck shell=bash
# What walks of packages have in common. Who uses it has sourced container.sh and
# set LAB, the lab's program, and NAME, the node's.
# shellcheck source=/dev/null
. "$("$LAB" env)"
CERT=/var/lib/icinga2/certs/$NAME.crt

# dpkg_ has nobody to ask, and is told of no choice.
dpkg_() { inside env DEBIAN_FRONTEND=noninteractive dpkg --force-unsafe-io "$@" </dev/null; }

# takes_packages OLDER NEWER puts them into the root.
takes_packages() {
	mkdir "$ROOT/packages"
	cp "$1" "$ROOT/packages/older.${1##*.}"
	cp "$2" "$ROOT/packages/newer.${2##*.}"
}

# configures the node for the lab, with the template key in this file or, without,
# as a credential of systemd.
configures() {
	local key=${1:-/etc/credstore/template-key}
	install -m 0644 "$LAB_DIRECTOR_CA_FILE" "$ROOT/srv/director-ca.crt"
	install -d "$ROOT${key%/*}"
	(umask 077 && printf '%s\n' "$LAB_TEMPLATE_KEY" >"$ROOT$key")
	cat >"$ROOT.config" <<-YAML
		director:
		  url: $LAB_DIRECTOR_URL_IPV4
		  ca_file: /srv/director-ca.crt
		  ${1:+template_key_file: $1}
		host: {name: $NAME}
		ca:
		  fingerprint: ["spki:$LAB_CA_SPKI"]
		  endpoints: ["$LAB_MASTER_NAME@$LAB_MASTER_ADDRESS"]
	YAML
	cat "$ROOT.config" >"$ROOT/etc/icinga-enroll/config.yml"
}

# forbids_starts makes this a machine whose owner wants nothing to be started.
forbids_starts() {
	printf '#!/bin/sh\nexit 101\n' >"$ROOT/usr/sbin/policy-rc.d"
	chmod 0755 "$ROOT/usr/sbin/policy-rc.d"
}

# files are all but what others write meanwhile.
files() {
	(
		cd "$ROOT"
		find etc usr var srv opt \( -path var/tmp -o -path var/log -o -path var/cache -o -path var/lib/dpkg -o -path var/lib/systemd -o -path usr/lib/rc \) -prune -o -print
		find var/log var/cache var/lib/dpkg/info var/lib/systemd -name '*icinga-enroll*'
	) | sort
}

# named_by_the_manual leaves out what may stay after a purge, as icinga-enroll(1)
# says under "Removing the package".
named_by_the_manual() {
	grep -v -E '^etc/(passwd|group|shadow|gshadow)-?$|^etc/\.pwd\.lock$|^var/lib/icinga2(/certs(/.*)?)?$|^srv/|^etc/credstore|^var/lib/(man-db|apt)' || true
}
