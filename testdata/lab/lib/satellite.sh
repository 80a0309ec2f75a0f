# shellcheck shell=bash
# A satellite: a second Icinga 2 in a zone below the master. It has no CA key
# and hands certificate requests on to the master.

satellite_command() {
	case $1 in
		up)
			mark_done satellite-wanted
			satellite_up
			;;
		down)
			rm -f "$LAB_DIR/done/satellite-wanted"
			stop_process satellite
			;;
		*) fail "say \`lab satellite up\` or \`lab satellite down\`" ;;
	esac
	write_env
}

satellite_up() {
	satellite_zone
	satellite_certificate
	satellite_start
	satellite_template
}

# The master's zones.conf names the satellite from here on, and the Director
# imports it from there.
satellite_zone() {
	is_done satellite-zone && is_done satellite-import && return
	mark_done satellite-zone
	master_start
	icinga_cli director kickstart run >>"$LAB_DIR/log/director-setup.out" 2>&1
	mark_done satellite-import
}

satellite_certificate() {
	local made name=$LAB_SATELLITE_NAME
	local -a key
	icinga_folders satellite
	is_done satellite-certificate && return
	made=$(workshop satellite)
	key=(--key "$made/certs/$name.key" --cert "$made/certs/$name.crt")
	{
		icinga2 pki new-cert --cn "$name" "${key[@]}"
		icinga2 pki save-cert --host "$LAB_MASTER_HOST" --port "$LAB_MASTER_PORT" \
			"${key[@]}" --trustedcert "$made/certs/trusted-parent.crt"
		icinga2 pki request --host "$LAB_MASTER_HOST" --port "$LAB_MASTER_PORT" \
			"${key[@]}" --trustedcert "$made/certs/trusted-parent.crt" \
			--ca "$made/certs/ca.crt" --ticket "$(helper_ticket "$name")"
		openssl verify -CAfile "$LAB_CA_FILE" "$made/certs/$name.crt"
	} >>"$LAB_DIR/log/satellite-certificate.out" 2>&1
	rm -rf "$LAB_DIR/satellite/data/certs"
	mv "$made/certs" "$LAB_DIR/satellite/data/"
	rmdir "$made"
	mark_done satellite-certificate
}

# shellcheck disable=SC2034 # icinga_start reads changed
satellite_start() {
	changed=0
	render satellite/icinga2.conf "$LAB_DIR/satellite/etc/icinga2.conf"
	icinga_start satellite "$LAB_SATELLITE_HOST" "$LAB_SATELLITE_PORT"
	wait_until satellite 30 satellite_connected
}

satellite_connected() { helper_endpoint "$LAB_SATELLITE_NAME" | grep -q '"connected":true'; }

satellite_template() {
	is_done satellite-template && return
	put_template "$LAB_SATELLITE_TEMPLATE" "$LAB_SATELLITE_TEMPLATE_KEY" \
		"\"has_agent\":true,\"accept_config\":true,\"master_should_connect\":false,\"zone\":\"$LAB_SATELLITE_ZONE\""
	mark_done satellite-template
}
