# shellcheck shell=bash
# Icinga Web 2 with the Director, PHP-FPM and nginx.

WEB_OS_USER=www-data
DIRECTOR_MODULES=(director incubator reactbundle)

director_up() {
	director_certificate
	director_config
	director_limited_accounts
	php_start
	nginx_start
	wait_until nginx 20 port_open 127.0.0.1 "$LAB_DIRECTOR_PORT"
}

# A CA of its own: the Director's certificate has nothing to do with Icinga's CA.
director_certificate() {
	local folder=$LAB_DIR/director
	is_done director-certificate && return
	install -d -m 0755 "$folder"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
		-subj "/CN=icinga-enroll lab web CA" -addext "keyUsage=critical,keyCertSign,cRLSign" \
		-keyout "$folder/ca.key" -out "$folder/ca.crt" 2>/dev/null
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=localhost" \
		-keyout "$folder/server.key" -out "$folder/server.csr" 2>/dev/null
	openssl x509 -req -in "$folder/server.csr" -CA "$folder/ca.crt" -CAkey "$folder/ca.key" \
		-CAcreateserial -days 800 -out "$folder/server.crt" -extfile - 2>/dev/null <<-EXTENSIONS
			basicConstraints = critical,CA:FALSE
			extendedKeyUsage = serverAuth
			subjectAltName = DNS:localhost,IP:127.0.0.1,IP:::1
		EXTENSIONS
	mark_done director-certificate
}

director_config() {
	local folder=$LAB_DIR/icingaweb2 owner=$WEB_OS_USER:$WEB_OS_USER module file
	install -d -m 0750 -o "$WEB_OS_USER" -g "$WEB_OS_USER" \
		"$folder" "$folder"/{enabledModules,modules,modules/director,storage,sessions}
	for module in "${DIRECTOR_MODULES[@]}"; do
		ln -sfn "/usr/share/icingaweb2/modules/$module" "$folder/enabledModules/$module"
	done
	for file in resources config authentication roles modules/director/config modules/director/kickstart; do
		render "icingaweb2/$file.ini" "$folder/$file.ini" 0640 "$owner"
	done
}

# Each lacks one permission of the controller's, and shares its password.
director_limited_accounts() {
	local user
	is_done director-limited-accounts && return
	{
		echo "USE icingaweb;"
		for user in "$LAB_NO_MODULE_USER" "$LAB_NO_API_USER" "$LAB_NO_HOSTS_USER"; do
			echo "DELETE FROM icingaweb_user WHERE name = '$user';"
			web_account "$user" "$LAB_CONTROLLER_PASSWORD"
		done
	} | sql_root
	mark_done director-limited-accounts
}

PHP_FPM_SOCKET=$LAB_DIR/run/php-fpm.sock

php_start() {
	local program
	changed=0
	# shellcheck disable=SC2034 # the template uses it
	PHP_WORKERS=${LAB_PHP_WORKERS:-16}
	render director/php-fpm.conf "$LAB_DIR/director/php-fpm.conf"
	((changed == 0)) || stop_process php-fpm
	process_alive php-fpm && return
	stop_process php-fpm
	program=$(compgen -c php-fpm | sort -V | tail -n 1)
	start_process php-fpm "$program" --nodaemonize --fpm-config "$LAB_DIR/director/php-fpm.conf" \
		-d "pdo_mysql.default_socket=$DATABASE_SOCKET"
	wait_until php-fpm 20 test -S "$PHP_FPM_SOCKET"
}

# shellcheck disable=SC2034 # the template uses the variables
nginx_start() {
	changed=0
	NGINX_HTTP_LISTEN_IPV6=
	NGINX_STREAM_IPV6=
	if has_ipv6; then
		NGINX_HTTP_LISTEN_IPV6="listen [::1]:$LAB_DIRECTOR_PORT ssl;"
		NGINX_STREAM_IPV6="server { listen [::1]:$LAB_MASTER_PORT; proxy_pass $LAB_MASTER_ADDRESS; }"
	fi
	install -d -m 0755 -o "$WEB_OS_USER" -g "$WEB_OS_USER" "$LAB_DIR/director/tmp"
	render director/nginx.conf "$LAB_DIR/director/nginx.conf"
	((changed == 0)) || stop_process nginx
	process_alive nginx && return
	stop_process nginx
	port_must_be_free 127.0.0.1 "$LAB_DIRECTOR_PORT" LAB_DIRECTOR_PORT
	start_process nginx nginx -e "$LAB_DIR/log/nginx.out" -p "$LAB_DIR/director" -c "$LAB_DIR/director/nginx.conf"
}

# director_request METHOD PATH [CURL ARG…] prints the answer's body. A status
# other than 2xx and 304 (unchanged) is a failure, told on standard error.
director_request() {
	local method=$1 path=$2 answer status
	shift 2
	answer=$(curl --silent --show-error --max-time 60 --noproxy '*' -K "$LAB_DIR/curlrc" \
		--cacert "$LAB_DIRECTOR_CA_FILE" -X "$method" -H 'Accept: application/json' \
		-w '\n%{http_code}' "$@" "$LAB_DIRECTOR_URL/$path")
	status=${answer##*$'\n'}
	answer=${answer%$'\n'*}
	case $status in
		2?? | 304) [ -z "$answer" ] || printf '%s\n' "$answer" ;;
		*) echo "lab: the Director answered $status: $answer" >&2; return 1 ;;
	esac
}

# icingacli runs as the web server's user with the lab's folders.
icinga_cli() {
	runuser -u "$WEB_OS_USER" -- env \
		ICINGAWEB_CONFIGDIR="$LAB_DIR/icingaweb2" ICINGAWEB_STORAGEDIR="$LAB_DIR/icingaweb2/storage" \
		php -d "pdo_mysql.default_socket=$DATABASE_SOCKET" /usr/bin/icingacli "$@"
}

director_schema() {
	is_done director-schema && return
	icinga_cli director migration run >>"$LAB_DIR/log/director-setup.out" 2>&1
	mark_done director-schema
}

# Kickstart imports the master's endpoints, zones and check commands.
director_kickstart() {
	is_done director-kickstart && return
	icinga_cli director kickstart run >>"$LAB_DIR/log/director-setup.out" 2>&1
	mark_done director-kickstart
}

director_data() {
	director_connects_template
	is_done director-data && return
	put_template "$LAB_TEMPLATE" "$LAB_TEMPLATE_KEY" \
		'"has_agent":true,"accept_config":true,"master_should_connect":false'
	put_template "$LAB_NO_AGENT_TEMPLATE" "$LAB_NO_AGENT_TEMPLATE_KEY" '"has_agent":false'
	helper_setting agent_name fqdn
	helper_setting transform_hostname 1
	mark_done director-data
}

# The master is the one that connects: to the host's address, at port 5665.
director_connects_template() {
	is_done director-connects-template && return
	put_template "$LAB_MASTER_CONNECTS_TEMPLATE" "$LAB_MASTER_CONNECTS_TEMPLATE_KEY" \
		'"has_agent":true,"accept_config":true,"master_should_connect":true'
	mark_done director-connects-template
}

put_template() {
	helper_host_delete "$1" >/dev/null 2>&1 || true
	director_request POST host -o /dev/null -H 'Content-Type: application/json' --data-binary @- <<-JSON
		{"object_name":"$1","object_type":"template","check_command":"hostalive","api_key":"$2",$3}
	JSON
}
