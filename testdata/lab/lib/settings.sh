# shellcheck shell=bash
# What is chosen once (ports, passwords, keys), and the files that tell others.

settings_up() {
	local account
	umask 022
	for account in "$ICINGA_OS_USER" "$WEB_OS_USER"; do
		runuser -u "$account" -- test -x "$LAB_DIR" || fail "the account $account can't reach $LAB_DIR: set LAB_DIR"
	done
	install -d -m 0755 "$LAB_DIR"/{done,log,run}
	settings_complete
	load_settings
	put_file "$LAB_DIR/curlrc" 0600 root:root <<<"user = \"$LAB_WEB_USER:$LAB_WEB_PASSWORD\""
	put_file "$LAB_DIR/curlrc-master" 0600 root:root <<<"user = \"$LAB_API_USER:$LAB_API_PASSWORD\""
}

# settings_complete chooses what is not chosen yet: all in a new lab, in an older
# one what has come since.
settings_complete() {
	local file=$LAB_DIR/settings name
	{
		[ ! -e "$file" ] || cat "$file"
		choose DIRECTOR_PORT port 27443
		choose MASTER_PORT port 27665
		choose SATELLITE_PORT port 27765
		choose SATELLITE2_PORT port 27865
		choose TICKET_SALT random_hex 32
		for name in API TICKET_API WEB CONTROLLER DATABASE; do choose "${name}_PASSWORD" random_hex 16; done
		for name in '' NO_AGENT_ SATELLITE_ MASTER_CONNECTS_; do choose "${name}TEMPLATE_KEY" random_hex 20; done
	} | put_file "$file" 0600 root:root
}

# choose NAME HOW FROM prints the setting LAB_NAME unless the file has it. A port
# is the one that the environment says, or a free one.
choose() {
	local name=LAB_$1
	! grep -qs "^$name=" "$LAB_DIR/settings" || return 0
	case $2 in
		port) printf '%s=%q\n' "$name" "${!name:-$(free_port "$3")}" ;;
		*) printf '%s=%q\n' "$name" "$("$2" "$3")" ;;
	esac
}

# free_port PORT prints it, or the first free one above it.
free_port() {
	local port=$1
	while port_open 127.0.0.1 "$port"; do port=$((port + 1)); done
	echo "$port"
}

random_hex() { openssl rand -hex "$1"; }

# load_settings also sets the names, which are the same in every lab.
# shellcheck disable=SC2034,SC2153 # the templates and the env file use them; the file has the ports
load_settings() {
	[ -e "$LAB_DIR/settings" ] || fail "there is no lab in $LAB_DIR: run \`lab up\` first"
	[ -r "$LAB_DIR/settings" ] || fail "$LAB_DIR/settings is root's"
	# shellcheck source=/dev/null
	. "$LAB_DIR/settings"
	# An older lab has these after its next `up`.
	: "${LAB_SATELLITE2_PORT:=}" "${LAB_MASTER_CONNECTS_TEMPLATE_KEY:=}"
	LAB_DIRECTOR_URL=https://localhost:$LAB_DIRECTOR_PORT/icingaweb2/director
	LAB_DIRECTOR_URL_IPV4=https://127.0.0.1:$LAB_DIRECTOR_PORT/icingaweb2/director
	LAB_DIRECTOR_URL_IPV6=
	# A bare container may have no /etc/hosts.
	getent hosts localhost >/dev/null || LAB_DIRECTOR_URL=$LAB_DIRECTOR_URL_IPV4
	LAB_DIRECTOR_CA_FILE=$LAB_DIR/director/ca.crt
	LAB_WEB_USER=lab-admin
	LAB_CONTROLLER_USER=lab-controller
	LAB_NO_MODULE_USER=lab-no-module LAB_NO_API_USER=lab-no-api LAB_NO_HOSTS_USER=lab-no-hosts
	LAB_MASTER_NAME=lab-master
	LAB_MASTER_ZONE=master
	LAB_MASTER_HOST=127.0.0.1
	LAB_MASTER_ADDRESS=127.0.0.1:$LAB_MASTER_PORT
	LAB_MASTER_ADDRESS_IPV6=
	if has_ipv6; then
		LAB_DIRECTOR_URL_IPV6="https://[::1]:$LAB_DIRECTOR_PORT/icingaweb2/director"
		LAB_MASTER_ADDRESS_IPV6="[::1]:$LAB_MASTER_PORT"
	fi
	LAB_SATELLITE_NAME=lab-satellite1
	LAB_SATELLITE_ZONE=lab-satellite
	LAB_SATELLITE_HOST=127.0.0.1
	LAB_SATELLITE_ADDRESS=127.0.0.1:$LAB_SATELLITE_PORT
	LAB_SATELLITE2_NAME=lab-satellite2
	LAB_SATELLITE2_HOST=127.0.0.1
	LAB_SATELLITE2_ADDRESS=127.0.0.1:$LAB_SATELLITE2_PORT
	LAB_CA_FILE=$LAB_DIR/master/data/certs/ca.crt
	LAB_API_URL=https://127.0.0.1:$LAB_MASTER_PORT/v1
	LAB_API_USER=lab-root
	LAB_TICKET_API_USER=lab-tickets
	LAB_TEMPLATE=lab-agent
	LAB_NO_AGENT_TEMPLATE=lab-no-agent
	LAB_SATELLITE_TEMPLATE=lab-satellite-agent
	LAB_MASTER_CONNECTS_TEMPLATE=lab-master-connects
	LAB_MASTER_LOG=$LAB_DIR/master/log/icinga2.log
	LAB_DIRECTOR_ACCESS_LOG=$LAB_DIR/log/director-access.log
}

# In the env file, in this order.
ENV_NAMES=(
	LAB_DIR
	LAB_DIRECTOR_URL LAB_DIRECTOR_URL_IPV4 LAB_DIRECTOR_URL_IPV6 LAB_DIRECTOR_PORT LAB_DIRECTOR_CA_FILE
	LAB_WEB_USER LAB_WEB_PASSWORD LAB_CONTROLLER_USER LAB_CONTROLLER_PASSWORD
	LAB_NO_MODULE_USER LAB_NO_API_USER LAB_NO_HOSTS_USER
	LAB_MASTER_NAME LAB_MASTER_ZONE LAB_MASTER_HOST LAB_MASTER_PORT LAB_MASTER_ADDRESS LAB_MASTER_ADDRESS_IPV6
	LAB_CA_FILE LAB_CA_FINGERPRINT LAB_CA_SPKI LAB_TICKET_SALT
	LAB_API_URL LAB_API_USER LAB_API_PASSWORD LAB_TICKET_API_USER LAB_TICKET_API_PASSWORD
	LAB_TEMPLATE LAB_TEMPLATE_KEY LAB_NO_AGENT_TEMPLATE LAB_NO_AGENT_TEMPLATE_KEY
	LAB_MASTER_CONNECTS_TEMPLATE LAB_MASTER_CONNECTS_TEMPLATE_KEY
	LAB_SATELLITE LAB_SATELLITE_NAME LAB_SATELLITE_ZONE LAB_SATELLITE_HOST LAB_SATELLITE_PORT
	LAB_SATELLITE_ADDRESS LAB_SATELLITE_TEMPLATE LAB_SATELLITE_TEMPLATE_KEY
	LAB_SATELLITE2 LAB_SATELLITE2_NAME LAB_SATELLITE2_HOST LAB_SATELLITE2_PORT LAB_SATELLITE2_ADDRESS
	LAB_MASTER_LOG LAB_DIRECTOR_ACCESS_LOG
	LAB_DATABASE_PID LAB_MASTER_PID LAB_PHP_FPM_PID LAB_NGINX_PID LAB_SATELLITE_PID LAB_SATELLITE2_PID
)

# shellcheck disable=SC2034 # the values are read through their names
# write_env tells what is there now, for shells ($LAB_DIR/env) and for
# programs ($LAB_DIR/lab.json, the same names). A process that does not run
# has an empty pid; LAB_SATELLITE and LAB_SATELLITE2 are "up" or empty.
write_env() {
	local name text
	local -a values=()
	LAB_CA_FINGERPRINT='' LAB_CA_SPKI='' LAB_SATELLITE='' LAB_SATELLITE2=''
	if [ -s "$LAB_CA_FILE" ]; then
		LAB_CA_FINGERPRINT=$(openssl x509 -in "$LAB_CA_FILE" -outform DER | sha256)
		LAB_CA_SPKI=$(openssl x509 -in "$LAB_CA_FILE" -noout -pubkey | openssl pkey -pubin -outform DER | sha256)
	fi
	LAB_DATABASE_PID=$(process_pid database || true)
	LAB_MASTER_PID=$(process_pid master || true)
	LAB_PHP_FPM_PID=$(process_pid php-fpm || true)
	LAB_NGINX_PID=$(process_pid nginx || true)
	LAB_SATELLITE_PID=$(process_pid satellite || true)
	LAB_SATELLITE2_PID=$(process_pid satellite2 || true)
	[ -z "$LAB_SATELLITE_PID" ] || LAB_SATELLITE=up
	[ -z "$LAB_SATELLITE2_PID" ] || LAB_SATELLITE2=up
	for name in "${ENV_NAMES[@]}"; do
		values+=("$name" "${!name}")
	done
	printf '%s=%q\n' "${values[@]}" | put_file "$LAB_DIR/env" 0600 root:root
	# No value holds a quote or a backslash: see where they are made.
	text=$(printf '  "%s": "%s",\n' "${values[@]}")
	printf '{\n%s\n}\n' "${text%,}" | put_file "$LAB_DIR/lab.json" 0600 root:root
}

sha256() {
	local sum
	sum=$(sha256sum)
	echo "${sum%% *}"
}
