# shellcheck shell=bash
# The subcommands with which tests look at the servers and change them.
# `lab host-drop-key X` is helper_host_drop_key X.

want() { [ "$1" -ge "$2" ] || fail "too few arguments: see \`lab help\`"; }

# ---- The Director ---------------------------------------------------------

helper_host() {
	want $# 1
	director_request GET host -G --data-urlencode "name=$1"
}

# Without "imports" the host gets the agent template: one without a check
# command would spoil every later deployment.
helper_host_create() {
	want $# 1
	# shellcheck disable=SC2016 # PHP's variables
	php -r '
		$given = json_decode($argv[2], true);
		if (!is_array($given)) { fwrite(STDERR, "lab: not a JSON object: $argv[2]\n"); exit(1); }
		echo json_encode($given + ["object_name" => $argv[1], "object_type" => "object", "imports" => [$argv[3]]]);
	' -- "$1" "${2:-{\}}" "$LAB_TEMPLATE" |
		director_request POST host -H 'Content-Type: application/json' --data-binary @-
}

helper_host_set() {
	want $# 2
	director_request POST "host?name=$(url_escape "$1")" -H 'Content-Type: application/json' --data-binary "$2"
}

helper_host_delete() {
	want $# 1
	director_request DELETE host -G --data-urlencode "name=$1"
}

helper_host_drop_key() {
	want $# 1
	helper_host_set "$1" '{"api_key":null}'
}

# shellcheck disable=SC2016 # PHP's variables
url_escape() { php -r 'echo rawurlencode($argv[1]);' -- "$1"; }

# The Director reads its settings anew at each request.
helper_setting() {
	want $# 1
	local name value
	name="CONVERT(X'$(printf 'self-service/%s' "$1" | hex)' USING utf8)"
	if [ $# -eq 1 ]; then
		sql_root -D director -e "DELETE FROM director_setting WHERE setting_name = $name"
	else
		value="CONVERT(X'$(printf '%s' "$2" | hex)' USING utf8)"
		sql_root -D director -e "REPLACE INTO director_setting (setting_name, setting_value) VALUES ($name, $value)"
	fi
}

hex() { od -An -v -tx1 | tr -d ' \n'; }

# deploy ends when the master runs with what the Director has rendered. The
# Director only learns whether the master took a configuration when it is asked
# for the status, and the master then restarts its worker: only the new worker
# knows the new objects.
helper_deploy() {
	local before answer sum state try force=
	exec 8>"$LAB_DIR/run/deploy.lock"
	flock 8
	agent_checks_forgotten
	before=$(master_started)
	if [ "$(last_deployment startup_succeeded)" = n ]; then
		force=--force # or the Director finds that there is nothing new to deploy
	fi
	answer=$(icinga_cli director config deploy ${force:+"$force"}) || {
		# A deployment whose restart didn't come locks the master's packages until
		# its next one ("Stage creation failed").
		echo "$answer" >&2
		kill -HUP "$(process_pid master)"
		for ((try = 0; try < 300; try++)); do
			[ "$(master_started 2>/dev/null || echo "$before")" = "$before" ] || break
			sleep 0.1
		done
		before=$(master_started)
		answer=$(icinga_cli director config deploy ${force:+"$force"})
	}
	echo "$answer"
	[[ $answer =~ Config\ \'([0-9a-f]{40})\'\ has\ been\ deployed ]] || return 0
	sum=${BASH_REMATCH[1]}
	for ((try = 0; try < 300; try++)); do
		# While the master changes its worker, the Director answers with an error.
		state=$(director_request GET "config/deployment-status?configs=$sum" 2>/dev/null || true)
		state=$(sed -n "s/.*\"$sum\": \"\(.*\)\".*/\1/p" <<<"$state")
		case $state in
			active) [ "$(master_started 2>/dev/null || echo "$before")" = "$before" ] || return 0 ;;
			failed) fail "the master refuses this configuration: $(last_deployment startup_log | grep -v information/)" ;;
		esac
		sleep 0.1
	done
	fail "the master does not run with the configuration after 30 s (it is \"$state\"): see \`lab master-log\`"
}

last_deployment() {
	echo "SELECT $1 FROM director_deployment_log ORDER BY id DESC LIMIT 1" |
		sql_root -D director --skip-column-names --raw
}

# A stage becomes the active one a moment before the worker ends that has validated
# it: until the next has begun, the master's port may be shut.
helper_settled() {
	local active started try
	active=$(stat -c %.3Y "$LAB_DIR/master/data/api/packages/director/active-stage")
	for ((try = 0; try < 300; try++)); do
		started=$(printf %.3f "$(master_started 2>/dev/null || echo 0)")
		[ "${started/./}" -le "${active/./}" ] || return 0
		sleep 0.1
	done
	fail "the master has not restarted within 30 s of the deployment: see \`lab master-log\`"
}

# master_started prints when the master's worker began, as it says itself.
master_started() {
	local status
	status=$(master_api status/IcingaApplication)
	[[ $status =~ \"program_start\":([0-9.]+) ]] && echo "${BASH_REMATCH[1]}"
}

helper_director_access_log() { cat "$LAB_DIRECTOR_ACCESS_LOG"; }

helper_icingacli() { icinga_cli "$@"; }

helper_sql() { sql_root -D director "$@"; }

# ---- The master and its CA ------------------------------------------------

# As JSON, icinga2 lists signed requests even without --all, and ends without a
# line end.
helper_ca_list() {
	local list
	list=$(icinga master ca list --json "$@")
	if [ $# -eq 0 ]; then
		# shellcheck disable=SC2016 # PHP's variables
		list=$(php -r '
			$list = json_decode(stream_get_contents(STDIN), true);
			$waiting = array_filter($list, function ($request) { return !isset($request["cert_response"]); });
			echo json_encode((object) $waiting);
		' <<<"$list")
	fi
	echo "$list"
}
helper_ca_sign() { ca_change sign "$@"; }
helper_ca_remove() { ca_change remove "$@"; }
helper_ca_restore() { ca_change restore "$@"; }

ca_change() {
	want $# 2
	icinga master ca "$1" "$2"
}

helper_ticket() {
	want $# 1
	icinga master pki ticket --cn "$1" --salt "$LAB_TICKET_SALT"
}

# sign-cert makes what Icinga's CA would have made some days ago: no requested
# extensions, CA:FALSE, the CN as the only DNS name, a serial of 20 bytes. A
# negative DAYS_LEFT makes an expired one, a negative DAYS_PAST a future one. The
# key's file may be that of a request instead, for a key that openssl can't use.
helper_sign_cert() {
	want $# 5
	local cn=$1 key=$2 days_past=$3 days_left=$4 out=$5 work now status=0
	now=$(date +%s)
	work=$(mktemp -d)
	: >"$work/index"
	openssl rand -hex 20 | sed 's/^./4/' >"$work/serial"
	render sign-cert.cnf "$work/cnf"
	if grep -q 'BEGIN CERTIFICATE REQUEST' "$key"; then
		cp "$key" "$work/csr"
	else
		openssl req -new -key "$key" -subj "/" -out "$work/csr"
	fi
	openssl ca -batch -notext -config "$work/cnf" -cert "$LAB_DIR/master/data/ca/ca.crt" \
		-keyfile "$LAB_DIR/master/data/ca/ca.key" -in "$work/csr" -subj "/CN=$cn" \
		-startdate "$(openssl_date $((now - days_past * 86400)))" \
		-enddate "$(openssl_date $((now + days_left * 86400)))" -out "$work/crt" 2>"$work/log" || status=$?
	if [ "$status" -eq 0 ]; then cp "$work/crt" "$out"; else cat "$work/log" >&2; fi
	rm -r "$work"
	return "$status"
}

openssl_date() { date -u -d "@$1" +%Y%m%d%H%M%SZ; }

helper_endpoint() {
	want $# 1
	endpoint_at master "$1"
}

# endpoint_at INSTANCE NAME prints what the master or a satellite knows of it.
endpoint_at() { node_api "$1" objects/endpoints -G --data-urlencode "endpoint=$2"; }

# check runs the command as the check of a service that exists as long as that
# takes, and prints the service's last_check_result. A $ in it is Icinga's.
helper_check() {
	want $# 1
	local command answer end=$((EPOCHSECONDS + 60))
	check_name=lab-check-$$-$EPOCHSECONDS # not local: the trap needs it
	# shellcheck disable=SC2016 # PHP's variables
	command=$(php -r 'echo json_encode(array_slice($argv, 1));' -- "$@")
	trap 'master_api "objects/checkcommands/$check_name?cascade=1" -X DELETE -o /dev/null' EXIT
	check_object checkcommands "$check_name" "{\"command\":$command}"
	check_object hosts "$check_name" "{\"check_command\":\"$check_name\",\"enable_active_checks\":false}"
	check_object services "$check_name!it" "{\"check_command\":\"$check_name\",\"enable_active_checks\":false}"
	master_api actions/reschedule-check -o /dev/null --json "{\"service\":\"$check_name!it\",\"force\":true}"
	while ((EPOCHSECONDS < end)); do
		answer=$(master_api "objects/services/$check_name!it?attrs=last_check_result")
		[[ $answer == *'"last_check_result":null'* ]] || break
		sleep 0.1
	done
	# shellcheck disable=SC2016 # PHP's variables
	php -r '
		$result = json_decode($argv[1])->results[0]->attrs->last_check_result;
		if ($result === null) { fwrite(STDERR, "lab: the master has not run it within a minute\n"); exit(1); }
		echo json_encode($result, JSON_PRETTY_PRINT | JSON_UNESCAPED_SLASHES), "\n";
	' -- "$answer"
}

# check_object TYPE NAME ATTRS makes an object on the running master.
check_object() {
	local answer
	answer=$(master_api "objects/$1/$2" --no-fail --fail-with-body -X PUT --json "{\"attrs\":$3}") ||
		fail "the master refuses the object: $answer"
}

helper_master_log() { cat "$LAB_MASTER_LOG"; }

helper_icinga2() { icinga master "$@"; }
