# shellcheck shell=bash
# Icinga 2: the CA and the master; the satellite uses the same functions. Every
# instance has all its folders below $LAB_DIR/NAME: the machine's own
# /etc/icinga2 and /var/lib/icinga2 are not touched.

ICINGA_OS_USER=nagios

# icinga INSTANCE ARG… runs the icinga2 program with the instance's folders.
# It becomes ICINGA_OS_USER by itself.
icinga() {
	icinga_defines "$1"
	shift
	icinga2 "$@" "${DEFINES[@]}"
}

icinga_defines() {
	local base=$LAB_DIR/$1
	DEFINES=(
		-D "Configuration.ConfigDir=$base/etc" -D "Configuration.ZonesDir=$base/etc/zones.d"
		-D "Configuration.DataDir=$base/data" -D "Configuration.LogDir=$base/log"
		-D "Configuration.CacheDir=$base/cache" -D "Configuration.SpoolDir=$base/spool"
		-D "Configuration.InitRunDir=$base/run"
	)
}

icinga_folders() {
	local base=$LAB_DIR/$1
	install -d -m 0755 "$base" "$base/etc" "$base/etc/zones.d"
	install -d -m 0755 -o "$ICINGA_OS_USER" -g "$ICINGA_OS_USER" \
		"$base"/{data,data/certs,log,cache,spool,spool/perfdata,spool/tmp,run}
}

# icinga_start INSTANCE ADDRESS PORT starts it if it does not run or if its
# configuration was rendered anew.
icinga_start() {
	((changed == 0)) || stop_process "$1"
	process_alive "$1" && return
	stop_process "$1"
	port_must_be_free "$2" "$3" "LAB_${1^^}_PORT"
	icinga_defines "$1"
	start_process "$1" icinga2 daemon "${DEFINES[@]}"
	wait_until "$1" 60 port_open "$2" "$3"
}

master_up() {
	icinga_folders master
	master_certificates
	master_start
}

# shellcheck disable=SC2034 # zones.conf uses SATELLITE_ZONES
master_start() {
	changed=0
	SATELLITE_ZONES=
	if is_done satellite-zone; then
		SATELLITE_ZONES='include "satellite.conf"'
		render_satellite_zone master
	fi
	render master/icinga2.conf "$LAB_DIR/master/etc/icinga2.conf"
	render master/constants.conf "$LAB_DIR/master/etc/constants.conf" 0640 "root:$ICINGA_OS_USER"
	render master/api.conf "$LAB_DIR/master/etc/api.conf" 0640 "root:$ICINGA_OS_USER"
	render master/zones.conf "$LAB_DIR/master/etc/zones.conf"
	icinga_start master "$LAB_MASTER_HOST" "$LAB_MASTER_PORT"
	wait_until master 30 master_api status/IcingaApplication
}

# The master's certificate comes from its own CA, as `icinga2 node setup` does it.
master_certificates() {
	local made name=$LAB_MASTER_NAME
	is_done master-certificates && return
	made=$(workshop master)
	{
		icinga2 pki new-ca -D "Configuration.DataDir=$made"
		icinga2 pki new-cert --cn "$name" --key "$made/certs/$name.key" --csr "$made/certs/$name.csr"
		icinga2 pki sign-csr -D "Configuration.DataDir=$made" \
			--csr "$made/certs/$name.csr" --cert "$made/certs/$name.crt"
	} >>"$LAB_DIR/log/master-certificates.out" 2>&1
	cp --preserve=ownership "$made/ca/ca.crt" "$made/certs/ca.crt"
	rm -rf "$LAB_DIR/master/data"/{ca,certs}
	mv "$made"/{ca,certs} "$LAB_DIR/master/data/"
	rmdir "$made"
	mark_done master-certificates
}

# workshop INSTANCE prints a new folder to make keys and certificates in. A
# program of a killed `up` may still be at work in an older one: icinga2 closes
# the files that it inherits, so it does not hold our lock.
workshop() {
	local made
	rm -rf "$LAB_DIR/$1"/making.*
	made=$(mktemp -d "$LAB_DIR/$1/making.XXXXXX")
	install -d -m 0755 -o "$ICINGA_OS_USER" -g "$ICINGA_OS_USER" "$made" "$made/certs"
	echo "$made"
}

# master_api PATH [CURL ARG…] asks the master's own API.
master_api() { node_api master "$@"; }

# node_api INSTANCE PATH [CURL ARG…] asks the API of the master or a satellite.
node_api() {
	local node=LAB_${1^^} path=$2
	local name=${node}_NAME port=${node}_PORT address=${node}_ADDRESS
	shift 2
	curl --silent --show-error --fail --max-time 20 --noproxy '*' -K "$LAB_DIR/curlrc-master" \
		--cacert "$LAB_CA_FILE" --connect-to "${!name}:${!port}:${!address}" \
		-H 'Accept: application/json' "$@" "https://${!name}:${!port}/v1/$path"
}
