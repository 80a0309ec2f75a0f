# shellcheck shell=bash
# Debian's packages, without their services.

# php-fpm comes first: it keeps apt from choosing Apache for PHP.
# Of MariaDB the core packages are enough; they bring no service.
PACKAGES=(
	php-fpm php-cli php-mysql php-curl php-intl
	icinga2-bin
	icingaweb2 icingacli
	icingaweb2-module-director icingaweb2-module-incubator icingaweb2-module-reactbundle
	mariadb-server-core mariadb-client-core
	nginx libnginx-mod-stream
	curl openssl python3-requests default-jre-headless
	swtpm tpm2-tools
)

packages_up() {
	local missing
	services_allowed_again
	missing=$(packages_missing)
	[ -n "$missing" ] || return 0
	command -v apt-get >/dev/null || fail "there is no apt-get here: the lab is for Debian 12"
	services_denied
	if [ -n "$(dpkg --audit)" ]; then
		apt_run dpkg --configure -a
	fi
	if ! packages_install; then
		apt_run apt-get -o DPkg::Lock::Timeout=120 update
		packages_install || { tail -n 20 "$LAB_DIR/log/packages.out" >&2; return 1; }
	fi
	services_allowed_again
	missing=$(packages_missing)
	[ -z "$missing" ] || fail "these packages are still missing: $missing"
}

packages_install() {
	local new pair unit
	new=$(packages_missing)
	apt_run apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "${PACKAGES[@]}" || return 1
	# What came for the lab must not start at the machine's next boot either.
	command -v systemctl >/dev/null || return 0
	for pair in icinga2-bin:icinga2 icingaweb2-module-director:icingaweb2-module-director \
		nginx:nginx "php-fpm:php*-fpm"; do
		grep -qx "${pair%%:*}" <<<"$new" || continue
		for unit in /lib/systemd/system/${pair#*:}.service; do
			[ ! -e "$unit" ] || apt_run systemctl disable "${unit##*/}" || true
		done
	done
}

apt_run() {
	install -d "$LAB_DIR/log"
	env -u LAB_DIR DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 "$@" \
		</dev/null >>"$LAB_DIR/log/packages.out" 2>&1
}

packages_missing() {
	comm -23 <(printf '%s\n' "${PACKAGES[@]}" | sort) <(
		dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${PACKAGES[@]}" 2>/dev/null |
			sed -n 's/ installed$//p' | sort
	)
}

# While packages are installed, /usr/sbin/policy-rc.d denies every service its
# start. A policy that was there is put aside and comes back, also after an
# `up` that was killed meanwhile.
POLICY=/usr/sbin/policy-rc.d

services_denied() {
	[ ! -e "$POLICY" ] || mv "$POLICY" "$POLICY.before-lab"
	printf '#!/bin/sh\n# put here by the lab of icinga-enroll\nexit 101\n' >"$POLICY"
	chmod 0755 "$POLICY"
}

services_allowed_again() {
	if grep -qs 'by the lab of icinga-enroll' "$POLICY"; then
		rm "$POLICY"
	fi
	if [ -e "$POLICY.before-lab" ]; then
		mv "$POLICY.before-lab" "$POLICY"
	fi
}
