# shellcheck shell=bash
# What every part of the lab uses: phases, files from templates, processes.

fail() {
	echo "lab: $*" >&2
	exit 1
}

need_root() {
	[ "$(id -u)" -eq 0 ] || fail "this command needs root"
}

# take_lock lets one command at a time change the lab. The folder may be
# purged while we wait for its lock: then the lock is not the current one.
take_lock() {
	[ "${#LAB_DIR}" -le 80 ] || fail "LAB_DIR is too long for the path of a unix socket"
	case $LAB_DIR in /*) ;; *) fail "LAB_DIR must be an absolute path" ;; esac
	if [ -d "$LAB_DIR" ] && [ ! -e "$LAB_DIR/.icinga-enroll-lab" ] && [ -n "$(ls -A "$LAB_DIR")" ]; then
		fail "$LAB_DIR is not empty and not a lab's folder"
	fi
	while :; do
		install -d -m 0755 "$LAB_DIR"
		exec 9>"$LAB_DIR/.icinga-enroll-lab"
		flock 9
		[ "$LAB_DIR/.icinga-enroll-lab" -ef /proc/self/fd/9 ] && return
	done
}

seconds_since() {
	local now=$EPOCHREALTIME
	local us=$((${now/[.,]/} - ${1/[.,]/}))
	printf '%d.%02d s' $((us / 1000000)) $((us % 1000000 / 10000))
}

# phase TITLE FUNCTION runs one step of `up` and says how long it took. (No
# `|| …` after the function: that would switch off `set -e` inside of it.)
current_phase=
phase() {
	local begin=$EPOCHREALTIME
	current_phase=$1
	"$2"
	printf '%-28s %s\n' "$1" "$(seconds_since "$begin")"
	current_phase=
}

at_exit() {
	local status=$?
	services_allowed_again
	[ -z "$current_phase" ] || echo "lab: failed in the phase: $current_phase (logs: $LAB_DIR/log)" >&2
	exit "$status"
}

# Steps whose result lasts are marked when they are complete, so that an `up`
# that was killed in the middle of one does it again.
is_done() { [ -e "$LAB_DIR/done/$1" ]; }
mark_done() { : >"$LAB_DIR/done/$1"; }

# put_file TARGET MODE OWNER writes standard input to TARGET, at once or not
# at all, and sets changed=1 if that made a difference.
changed=0
# shellcheck disable=SC2034 # those who restart a server read changed
put_file() {
	local target=$1 mode=$2 owner=$3
	cat >"$target.new"
	chmod "$mode" "$target.new"
	chown "$owner" "$target.new"
	if [ -e "$target" ] && cmp -s "$target" "$target.new"; then
		rm "$target.new"
	else
		mv "$target.new" "$target"
		changed=1
	fi
}

# render TEMPLATE TARGET [MODE [OWNER]] fills in every @NAME@ with the value of
# the variable of that name.
render() {
	local text name
	text=$(<"$HERE/conf/$1")
	while [[ $text =~ @([A-Za-z][A-Za-z0-9_]*)@ ]]; do
		name=${BASH_REMATCH[1]}
		text=${text//"@$name@"/"${!name}"}
	done
	put_file "$2" "${3:-0644}" "${4:-root:root}" <<<"$text"
}

# ---- Processes ------------------------------------------------------------
# run/NAME.process holds "PID STARTTIME BOOT". All three together name a process;
# a process id alone may have a new owner.

BOOT=$(</proc/sys/kernel/random/boot_id)

start_time() {
	local stat fields
	stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
	read -ra fields <<<"${stat##*) }" # what follows "PID (NAME) ": state is field 0
	[ "${fields[0]}" != Z ] || return 1
	echo "${fields[19]}"
}

process_pid() {
	local pid begun boot
	[ -e "$LAB_DIR/run/$1.process" ] || return 1
	read -r pid begun boot <"$LAB_DIR/run/$1.process" || return 1
	[ "$boot" = "$BOOT" ] && [ "$(start_time "$pid")" = "$begun" ] || return 1
	echo "$pid"
}

process_alive() { process_pid "$1" >/dev/null; }

# start_process NAME COMMAND… starts a server in a session of its own. It notes
# its own process id before it becomes the server, so that no moment exists in
# which it runs unknown to us.
start_process() {
	local name=$1 # in no folder that somebody removes: icinga2 makes no stage there
	shift
	stop_process "$name"
	# shellcheck disable=SC2016 # the inner shell expands these
	setsid bash -c '
		read -r stat </proc/$$/stat; read -ra fields <<<"${stat##*) }"
		echo "$$ ${fields[19]} $2" >"$1.new" && mv "$1.new" "$1" && shift 2 && cd / && exec "$@"
	' start "$LAB_DIR/run/$name.process" "$BOOT" "$@" </dev/null >>"$LAB_DIR/log/$name.out" 2>&1 9>&- &
	disown
}

# wait_until NAME SECONDS COMMAND… waits until the command succeeds; the server
# NAME must not end meanwhile.
wait_until() {
	local name=$1 tries=$(($2 * 20)) try
	shift 2
	for ((try = 0; try < tries; try++)); do
		if "$@" >/dev/null 2>&1; then return; fi
		if ((try > 20)) && ! process_alive "$name"; then break; fi
		sleep 0.05
	done
	tail -n 15 "$LAB_DIR/log/$name.out" >&2
	fail "$name did not come up (its output: $LAB_DIR/log/$name.out)"
}

# stop_process NAME ends the server and whatever a killed server left in its
# session (a dead nginx leaves its workers, a dead Icinga its worker).
stop_process() {
	local pid leader begun boot try
	[ -e "$LAB_DIR/run/$1.process" ] || return 0
	if pid=$(process_pid "$1"); then
		kill -TERM "$pid" 2>/dev/null || true
		for ((try = 0; try < 400; try++)); do
			process_alive "$1" || break
			sleep 0.05
		done
	fi
	read -r leader begun boot <"$LAB_DIR/run/$1.process" || true
	if [ "$boot" = "$BOOT" ]; then
		for pid in $(session_members "$leader" "$1" "$begun"); do
			kill -KILL "$pid" 2>/dev/null || true
		done
		for ((try = 0; try < 100; try++)); do
			[ -n "$(session_members "$leader" "$1" "$begun")" ] || break
			sleep 0.05
		done
	fi
	rm -f "$LAB_DIR/run/$1.process"
}

# session_members LEADER NAME BEGUN prints the processes of the session that
# run the server's own program and are not older than its leader.
session_members() {
	local leader=$1 name=$2 begun=$3 dir stat fields program
	case $name in
		master | satellite | satellite2 | agent-*) name=icinga2 ;;
		database) name=mariadbd ;;
	esac
	for dir in /proc/[0-9]*; do
		stat=$(cat "$dir/stat" 2>/dev/null) || continue
		read -ra fields <<<"${stat##*) }"
		if [ "${fields[3]}" != "$leader" ] || [ "${fields[0]}" = Z ] || ((fields[19] < begun)); then
			continue
		fi
		program=$(readlink "$dir/exe") || continue
		case ${program##*/} in "$name"*) echo "${dir#/proc/}" ;; esac
	done
}

port_open() { (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null; }

port_must_be_free() {
	! port_open "$1" "$2" || fail "port $2 of $1 is in use by something else: set $3"
}

has_ipv6() { grep -qs '^0\{31\}1 ' /proc/net/if_inet6; }
