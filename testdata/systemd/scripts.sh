# shellcheck shell=bash
# A container whose init system knows services by scripts. Who uses it has sourced
# container.sh and set KIND to openrc, apk (OpenRC with what apk needs) or sysv.
# shellcheck disable=SC2016 # the inner shells expand it

# The last script of a boot is one of ours.
is_up() { inside test -e /run/booted; }

logs() { inside sh -c 'tail -n 30 /var/log/icinga-enroll*.log'; }

# worker prints the ids of the program's processes; its file may be replaced.
worker() { inside sh -c 'for p in /proc/[0-9]*; do case $(readlink "$p/exe") in /usr/bin/icinga-enroll*) echo "${p#/proc/}" ;; esac; done'; }
works() { [ -n "$(worker)" ]; }
works_anew() { works && [ "$(worker)" != "$1" ]; }

# script_container makes the root of this run.
script_container() {
	case $KIND in
		openrc) container sysvinit-core,openrc,initscripts,procps ;;
		apk) container sysvinit-core,openrc,initscripts,procps,libssl3,zlib1g ;;
		sysv) container sysvinit-core,sysv-rc,initscripts,procps ;;
		*) fail "no such kind: $KIND" ;;
	esac
	printf '%s\n' '#!/bin/sh' '### BEGIN INIT INFO' '# Provides: booted' '# Required-Start: $all' '# Required-Stop:' \
		'# Default-Start: 2 3 4 5' '# Default-Stop:' '# Short-Description: booted' '### END INIT INFO' 'touch /run/booted' >"$ROOT/etc/init.d/booted"
	chmod 0755 "$ROOT/etc/init.d/booted"
	chroot "$ROOT" update-rc.d booted defaults >/dev/null
}

reboot_container() {
	inside reboot || true
	end 133
	rm -f "$ROOT/run/booted"
	boot
}
