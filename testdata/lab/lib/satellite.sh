# shellcheck shell=bash
# One or two satellites: Icinga 2 in a zone below the master. They have no CA key
# and hand certificate requests on to the master. INSTANCE is satellite or
# satellite2.

# satellite_command INSTANCE up|down
satellite_command() {
	[ "$1" = satellite ] || [ -n "$LAB_SATELLITE2_PORT" ] ||
		fail "this lab is older than its second satellite: run \`lab up\` first"
	case $2 in
		up)
			mark_done satellite-wanted
			mark_done "$1-wanted"
			satellites_up
			;;
		down)
			rm -f "$LAB_DIR/done/$1-wanted"
			stop_process "$1"
			[ "$1" = satellite ] || satellite2_leaves
			;;
		*) fail "say \`lab $1 up\` or \`lab $1 down\`" ;;
	esac
	write_env
}

# The second is not there without the first.
satellites_up() {
	local instance
	for instance in satellite satellite2; do
		is_done "$instance-wanted" || continue
		satellite_port "$instance"
		satellite_zone "$instance"
		satellite_certificate "$instance"
		satellite_start satellite # it knows the zone's other endpoint too
		satellite_start "$instance"
	done
	satellite_template
}

# satellite_port INSTANCE takes another port where somebody else, such as another
# lab's satellite, listens on the one that was free when this lab was made.
satellite_port() {
	local name=LAB_${1^^}_PORT host=LAB_${1^^}_HOST
	! process_alive "$1" && port_open "${!host}" "${!name}" || return 0
	sed "s/^$name=.*/$name=$(free_port "${!name}")/" "$LAB_DIR/settings" | put_file "$LAB_DIR/settings" 0600 root:root
	load_settings
	rm -f "$LAB_DIR/done/$1-import" # the zone is to name it
}

# The master's configuration names the satellite from here on, and the Director
# imports it from there.
satellite_zone() {
	is_done "$1-zone" && is_done "$1-import" && return
	mark_done "$1-zone"
	master_start
	director_import
	mark_done "$1-import"
}

# The zone has one endpoint again, for those who count on it.
satellite2_leaves() {
	is_done satellite2-zone || return 0
	rm -f "$LAB_DIR"/done/satellite2-{zone,import}
	master_start
	! process_alive satellite || satellite_start satellite
	director_import
}

# An endpoint that the master no longer has can't be removed at the first run
# ("still in use"), and is at the second (Director 1.10.2).
director_import() {
	local try
	for try in 1 2; do
		! icinga_cli director kickstart run >>"$LAB_DIR/log/director-setup.out" 2>&1 || return 0
	done
	fail "the Director doesn't import the master's zones: see $LAB_DIR/log/director-setup.out (try $try)"
}

# render_satellite_zone INSTANCE writes the zone for the master or a satellite.
# shellcheck disable=SC2034 # the template uses the variables
render_satellite_zone() {
	SATELLITE2_ENDPOINT=
	SATELLITE_ENDPOINTS="\"$LAB_SATELLITE_NAME\""
	if is_done satellite2-zone; then
		SATELLITE2_ENDPOINT=$(<"$HERE/conf/satellite/endpoint2.conf")
		SATELLITE_ENDPOINTS+=", \"$LAB_SATELLITE2_NAME\""
	fi
	render satellite/zone.conf "$LAB_DIR/$1/etc/satellite.conf"
}

satellite_certificate() {
	local made name=LAB_${1^^}_NAME
	local -a key
	name=${!name}
	icinga_folders "$1"
	is_done "$1-certificate" && return
	made=$(workshop "$1")
	key=(--key "$made/certs/$name.key" --cert "$made/certs/$name.crt")
	{
		icinga2 pki new-cert --cn "$name" "${key[@]}"
		icinga2 pki save-cert --host "$LAB_MASTER_HOST" --port "$LAB_MASTER_PORT" \
			"${key[@]}" --trustedcert "$made/certs/trusted-parent.crt"
		icinga2 pki request --host "$LAB_MASTER_HOST" --port "$LAB_MASTER_PORT" \
			"${key[@]}" --trustedcert "$made/certs/trusted-parent.crt" \
			--ca "$made/certs/ca.crt" --ticket "$(helper_ticket "$name")"
		openssl verify -CAfile "$LAB_CA_FILE" "$made/certs/$name.crt"
	} >>"$LAB_DIR/log/$1-certificate.out" 2>&1
	rm -rf "$LAB_DIR/$1/data/certs"
	mv "$made/certs" "$LAB_DIR/$1/data/"
	rmdir "$made"
	mark_done "$1-certificate"
}

# shellcheck disable=SC2034 # icinga_start reads changed, the template the others
satellite_start() {
	local name=LAB_${1^^}_NAME host=LAB_${1^^}_HOST port=LAB_${1^^}_PORT
	SELF_NAME=${!name} SELF_HOST=${!host} SELF_PORT=${!port}
	changed=0
	render_satellite_zone "$1"
	render satellite/icinga2.conf "$LAB_DIR/$1/etc/icinga2.conf" 0640 "root:$ICINGA_OS_USER"
	icinga_start "$1" "$SELF_HOST" "$SELF_PORT"
	wait_until "$1" 30 satellite_connected "$SELF_NAME"
}

satellite_connected() { helper_endpoint "$1" | grep -q '"connected":true'; }

satellite_template() {
	is_done satellite-template && return
	put_template "$LAB_SATELLITE_TEMPLATE" "$LAB_SATELLITE_TEMPLATE_KEY" \
		"\"has_agent\":true,\"accept_config\":true,\"master_should_connect\":false,\"zone\":\"$LAB_SATELLITE_ZONE\""
	mark_done satellite-template
}
