# shellcheck shell=bash
# Icinga agents for tests: each in a folder of its own, as the package leaves
# one on a machine. Which ones there are is in $LAB_DIR/agents, as links.

helper_agent() {
	want $# 2
	local verb=$1
	shift
	case $1 in /*) ;; *) fail "the agent's folder must be an absolute path, not $1" ;; esac
	case $verb in
		prepare | start | stop | log) "agent_$verb" "$@" ;;
		*) fail "say \`lab agent prepare|start|stop|log DIR\`" ;;
	esac
}

# agent_id DIR is the name of the agent's process here.
agent_id() {
	local sum
	sum=$(sha256 <<<"$1")
	echo "agent-${sum:0:12}"
}

# ---- prepare --------------------------------------------------------------

# agent_prepare DIR [[ADDRESS:]PORT] prints the port.
agent_prepare() {
	local dir=$1 listen
	[ ! -e "$dir/etc" ] || fail "there is an agent in $dir already"
	install -d -m 0755 "$LAB_DIR/agents" "$dir"
	agent_reachable "$dir"
	exec 8>"$LAB_DIR/run/agents.lock" # one at a time chooses a port and takes the stock out of its package
	flock 8
	listen=$(agent_listen "${2:-0}")
	agent_etc "$dir"
	agent_folders "$dir"
	agent_programs "$dir"
	echo "$listen" >"$dir/listen"
	ln -sfn "$dir" "$LAB_DIR/agents/$(agent_id "$dir")"
	exec 8>&-
	echo "${listen##*:}"
}

# agent_reachable lets the agent's account pass through the private folders that
# a test has made above DIR: those of root below a temporary folder.
agent_reachable() {
	local folder=$1
	while [ "$folder" != / ]; do
		case $folder in /tmp/* | /var/tmp/* | "${TMPDIR:-/tmp}"/*) ;; *) break ;; esac
		[ "$(stat -c %u "$folder")" -ne 0 ] || chmod o+x "$folder"
		folder=$(dirname "$folder")
	done
	runuser -u "$ICINGA_OS_USER" -- test -x "$1" ||
		fail "the agent's account $ICINGA_OS_USER can't reach $1: make the folders above it searchable (chmod o+x)"
}

# agent_listen [ADDRESS:]PORT completes it. A port that another agent was told
# to use is taken, although nobody may listen on it yet.
agent_listen() {
	local address=127.0.0.1 port=${1##*:} try
	[ "$1" = "$port" ] || address=${1%:*}
	case $port in '' | *[!0-9]*) fail "not a port or ADDRESS:PORT: $1" ;; esac
	if [ "$port" -ne 0 ]; then
		! port_open "$address" "$port" || fail "port $port of $address is in use by something else"
		echo "$address:$port"
		return
	fi
	for ((try = 0; try < 100; try++)); do
		port=$((28100 + RANDOM % 3900)) # below the ports of outgoing connections
		if ! port_open "$address" "$port" && ! cat "$LAB_DIR"/agents/*/listen 2>/dev/null | grep -q ":$port\$"; then
			echo "$address:$port"
			return
		fi
	done
	fail "no free port found for the agent"
}

# agent_etc makes what the package's files and its scripts make of /etc/icinga2.
agent_etc() {
	local etc=$1/etc owner=$ICINGA_OS_USER feature
	agent_stock
	cp -r "$LAB_DIR/stock/etc/icinga2" "$etc"
	for feature in checker mainlog notification; do
		ln -s "../features-available/$feature.conf" "$etc/features-enabled/$feature.conf"
	done
	chown -hR "$owner:$owner" "$etc"
	chown -R root:root "$etc/scripts" "$etc/zones.d/README"
	chmod 0750 "$etc" "$etc"/{conf.d,features-available,features-enabled,zones.d}
	chmod 0700 "$etc/pki"
	chmod 0640 "$etc"/{icinga2,constants,zones}.conf
}

# agent_stock keeps the package's own files in $LAB_DIR/stock: the machine's
# where nobody has changed them, else those of the package.
agent_stock() {
	local stock=$LAB_DIR/stock
	[ ! -d "$stock" ] || return 0
	rm -rf "$stock.new"
	install -d -m 0755 "$stock.new"/etc/icinga2/{conf.d,features-available,features-enabled,pki,scripts,zones.d}
	agent_stock_of_machine "$stock.new" || agent_stock_of_package "$stock.new"
	mv "$stock.new" "$stock"
}

agent_stock_of_machine() {
	local files
	# shellcheck disable=SC2016 # dpkg-query's field
	files=$(dpkg-query -W -f '${Conffiles}\n' icinga2-common | sed -n 's|^ \(/etc/icinga2/.*\) \([0-9a-f]*\)$|\2  \1|p')
	[ -n "$files" ] || return 1
	md5sum --check --status <<<"$files" 2>/dev/null || return 1
	cut -c 35- <<<"$files" | xargs -d '\n' cp --parents -t "$1" # behind the sum of 32 digits and two spaces
}

agent_stock_of_package() {
	local version
	version=$(dpkg-query -W -f '${Version}' icinga2-common)
	# A mirror has only the newest of a release.
	(cd "$1" && { apt_run apt-get download "icinga2-common=$version" || apt_run apt-get download icinga2-common; }) ||
		fail "/etc/icinga2 was edited, and its package can't be downloaded (see $LAB_DIR/log/packages.out)"
	dpkg-deb -x "$1"/icinga2-common_*.deb "$1/package"
	cp -r "$1/package/etc/icinga2" "$1/etc/"
	rm -r "$1"/icinga2-common_*.deb "$1/package"
}

# The other folders have the owners and modes of the package's, and certs those
# that `icinga2 node setup` gives it.
agent_folders() {
	local dir=$1 user=$ICINGA_OS_USER
	install -d -m 0750 -o "$user" -g "$user" \
		"$dir"/data "$dir"/data/api{,/log,/repository,/zones} "$dir"/spool{,/perfdata,/tmp}
	install -d -m 0700 -o "$user" -g "$user" "$dir/data/certs"
	install -d -m 2751 -o "$user" -g adm "$dir/log"
	install -d -m 0750 -o "$user" -g "$WEB_OS_USER" "$dir/cache"
	install -d -m 0755 -o "$user" -g "$user" "$dir/run"
}

# shellcheck disable=SC2034 # the templates use the variables
agent_programs() {
	AGENT_DIR=$1
	AGENT_PROGRAM=$(command -v icinga2) # its path: DIR may come first in a test's PATH
	render agent/icinga2 "$1/icinga2" 0755
	render agent/reload "$1/reload" 0755
}

# ---- start, stop, log -----------------------------------------------------

agent_known() { [ -x "$1/icinga2" ] && [ -L "$LAB_DIR/agents/$(agent_id "$1")" ]; }

agent_start() {
	local dir=$1 id
	agent_known "$dir" || fail "there is no agent of this lab in $dir: \`lab agent prepare $dir\`"
	id=$(agent_id "$dir")
	! process_alive "$id" || return 0
	: >"$LAB_DIR/log/$id.out"
	start_process "$id" "$dir/icinga2" daemon
	# The process id is written before the configuration is read.
	wait_until "$id" 60 grep -q 'ConfigItem: Activated all objects' "$LAB_DIR/log/$id.out"
}

agent_stop() { stop_process "$(agent_id "$1")"; }

# agent_log prints what it has said since its last start. DIR/log/icinga2.log has
# the same a moment later, and not what kept it from starting.
agent_log() { cat "$LAB_DIR/log/$(agent_id "$1").out"; }

# agents_stop stops them all, also those whose folder is gone.
agents_stop() {
	local link
	for link in "$LAB_DIR"/agents/agent-*; do
		[ ! -L "$link" ] || stop_process "${link##*/}"
		[ -d "$link/etc" ] || rm -f "$link" "$LAB_DIR/log/${link##*/}.out"
	done
}

# ---- What becomes of it ---------------------------------------------------

# connected NAME [SECONDS] [--at INSTANCE]
helper_connected() {
	want $# 1
	local name=$1 seconds=60 at=master end answer
	shift
	while [ $# -gt 0 ]; do
		case $1 in
			--at) want $# 2; at=$2; shift 2 ;;
			*) seconds=$1; shift ;;
		esac
	done
	case $at in master | satellite | satellite2) ;; *) fail "say --at master, satellite or satellite2" ;; esac
	end=$((EPOCHSECONDS + seconds))
	while :; do
		answer=$(endpoint_at "$at" "$name" 2>&1 || true)
		[[ $answer != *'"connected":true'* ]] || break
		((EPOCHSECONDS < end)) || fail "$name is not connected to the $at after $seconds s: $answer"
		sleep 0.2
	done
	printf '%s\n' "$answer"
}

# agent_check NAME lets the agent run a check by way of its deployed host, and
# prints the result. The agent's own "icinga" check needs no plugin, and answers
# with the version and the uptime of the Icinga that runs it.
helper_agent_check() {
	want $# 1
	local name=$1 zone answer service result
	zone=$(deployed_zone "$name")
	service="$name!lab-agent-check-$$-$EPOCHSECONDS"
	agent_check_path="objects/services/$(url_escape "$service")" # not local: the trap needs it
	trap 'patient_api "$agent_check_path?cascade=1" -X DELETE -o /dev/null' EXIT
	answer=$(patient_api "$agent_check_path" --no-fail --fail-with-body -X PUT --json "{\"attrs\":{
		\"check_command\":\"icinga\",\"command_endpoint\":\"$name\",\"zone\":\"$zone\",\"enable_active_checks\":false}}") ||
		fail "the master refuses the check: $answer"
	result=$(checked_by "$name" "$service")
	printf '%s\n' "$result"
	grep -q '^    "state": 0,' <<<"$result" || fail "$name was asked, but did not answer with OK"
}

# service_check NAME SERVICE has the agent of a deployed host run that host's
# deployed service now, and prints the result, whatever the state.
helper_service_check() {
	want $# 2
	checked_by "$1" "$1!$2"
}

# checked_by NAME SERVICE asks until the agent has run the check. Meanwhile another
# test may deploy: a master that does not answer for a moment is asked again.
checked_by() {
	local name=$1 service=$2 path answer='' result='' end=$((EPOCHSECONDS + 60)) again=0 since
	path="objects/services/$(url_escape "$service")"
	since=$EPOCHSECONDS
	while ((EPOCHSECONDS < end)); do
		if ((EPOCHSECONDS >= again)); then # nothing comes of it while the agent is not connected
			again=$((EPOCHSECONDS + 3))
			master_api actions/reschedule-check -o /dev/null --json "{\"service\":\"$service\",\"force\":true}" 2>/dev/null || true
		fi
		answer=$(master_api "$path?attrs=last_check_result" 2>/dev/null || true)
		! result=$(result_of "$name" "$since" "$answer") || break
		sleep 0.2
	done
	[ -n "$result" ] || fail "$name has not run the check within a minute: $answer, $(endpoint_at master "$name" || true)"
	printf '%s\n' "$result"
}

# agent_checks_forgotten removes the checks of an agent-check that was killed: no
# configuration without the endpoint of such a check could be deployed.
agent_checks_forgotten() {
	local answer path name pid begun
	answer=$(master_api objects/services -G --data-urlencode 'filter=match("lab-agent-check-*", service.name)' -d attrs=name)
	grep -o '[^"]*!lab-agent-check-[0-9]*-[0-9]*' <<<"$answer" | while read -r name; do
		IFS=- read -r pid begun <<<"${name##*lab-agent-check-}"
		[ ! -d "/proc/$pid" ] || ((EPOCHSECONDS - begun > 120)) || continue
		path=objects/services/$(url_escape "$name")
		master_api "$path?cascade=1" -X DELETE -o /dev/null || true
	done || true
}

patient_api() { master_api "$@" --retry 10 --retry-delay 1 --retry-connrefused; }

# deployed_zone NAME prints the zone of a host of the running master.
deployed_zone() {
	local answer
	answer=$(patient_api "objects/hosts/$(url_escape "$1")?attrs=zone") ||
		fail "the master does not run with a host $1: is it in the Director, and deployed (\`lab deploy\`)?"
	sed -n 's/.*"zone":"\([^"]*\)".*/\1/p' <<<"$answer"
}

# result_of NAME SINCE ANSWER prints the check result in it, if NAME has run the
# command since then. An agent that was not sent the command yet says so, and
# names none.
result_of() {
	# shellcheck disable=SC2016 # PHP's variables
	php -r '
		$result = json_decode($argv[3])->results[0]->attrs->last_check_result ?? null;
		if ($result === null || $result->check_source !== $argv[1] || $result->execution_start < $argv[2] ||
			$result->command === null) { exit(1); }
		echo json_encode($result, JSON_PRETTY_PRINT | JSON_UNESCAPED_SLASHES);
	' -- "$@"
}
