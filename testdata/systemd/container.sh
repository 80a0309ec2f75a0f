# shellcheck shell=bash
# A container with an init system of its own. Who uses it sets KIND, PROGRAM where
# the program is to be in it from the start, and NETWORK to nothing where the
# container is to reach this machine's loopback, and defines is_up (has it booted?)
# and logs (what to show after a failure).

[ "$(id -u)" -eq 0 ] || { echo "this needs root" >&2; exit 1; }
CACHE=${CACHE:-/var/tmp/icinga-enroll-systemd}
NSPAWN='' LEADER='' ROOT=''

# ---- Output ---------------------------------------------------------------

began=$EPOCHREALTIME
ms_since() {
	local now=$EPOCHREALTIME
	echo $(((${now/[.,]/} - ${1/[.,]/}) / 1000))
}

ok() { printf 'ok   %6d ms  %s\n' "$(ms_since "$began")" "$*"; }

fail() {
	echo "FAIL $*" >&2
	if [ -n "$LEADER" ] && [ -d "/proc/$LEADER" ]; then
		logs >&2 || true
	elif [ -n "$ROOT" ] && [ -e "$ROOT.console" ]; then
		tail -n 20 "$ROOT.console" >&2
	fi
	exit 1
}

# expect CODE COMMAND… wants this exit code; the output is in $said.
said=''
expect() {
	local want=$1 code=0
	shift
	said=$("$@" 2>&1) || code=$?
	[ "$code" = "$want" ] || fail "$*: exit code $code, not $want: $said"
}

# within SECONDS COMMAND… waits until the command succeeds.
within() {
	local from=$EPOCHREALTIME limit=$(($1 * 1000))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(ms_since "$from")" -lt "$limit" ] || fail "not within $limit ms: $*"
		sleep 0.05
	done
}

# ---- The container --------------------------------------------------------

packages() {
	local tool
	for tool in mmdebstrap systemd-nspawn nsenter systemd-analyze pgrep openssl; do
		command -v "$tool" >/dev/null && continue
		apt-get update -qq
		apt-get install -y -qq --no-install-recommends mmdebstrap systemd systemd-container util-linux procps openssl
		return
	done
}

# mirror prints where this machine's own packages of Debian come from.
mirror() {
	local uri
	# shellcheck disable=SC2016 # apt-get fills it in
	uri=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Identifier: Packages' | sed -n '/security/!{p;q}')
	[ -n "$uri" ] || fail "apt knows no source of Debian: run apt-get update"
	echo "$uri"
}

# base PACKAGES [OPTION…] makes the root that every run starts from a copy of, out
# of packages of RELEASE: unless told, those that this machine itself is made of.
# The options are mmdebstrap's. A mirror that is a snapshot is as old as it is.
base() {
	[ ! -e "$CACHE/$KIND.complete" ] || return 0
	local from
	# shellcheck disable=SC1091
	: "${RELEASE:=$(. /etc/os-release && echo "$VERSION_CODENAME")}"
	from=$(mirror)
	rm -rf -- "${CACHE:?}/$KIND"
	install -d -m 0700 "$CACHE"
	mmdebstrap --quiet --variant=minbase --aptopt="$(apt-config dump Acquire::Check-Valid-Until)" --include="$1" "${@:2}" \
		"$RELEASE" "$CACHE/$KIND" "$from"
	: >"$CACHE/$KIND.complete"
	ok "the root was made"
}

# What installs everything that the Icinga agent needs, and leaves its own packages
# in /debs, for the walk to install.
# shellcheck disable=SC2016,SC2034 # mmdebstrap's shell fills it in; for who sources this
AGENT_DEBS='
	chroot "$1" apt-get clean
	chroot "$1" apt-get install -y -qq --no-install-recommends --download-only icinga2 >/dev/null
	mkdir "$1/debs"
	mv "$1"/var/cache/apt/archives/icinga2*.deb "$1/debs"
	chroot "$1" sh -c "dpkg -i /var/cache/apt/archives/*.deb >/dev/null"'

# copy_root makes the root of this run.
copy_root() {
	ROOT=$(mktemp -d "$CACHE/run.XXXXXX")
	cp -a --reflink=auto "$CACHE/$KIND/." "$ROOT"
	[ -z "${PROGRAM:-}" ] || install_program
}

# install_program puts PROGRAM into it, and a configuration.
install_program() {
	install -m 0755 "$PROGRAM" "$ROOT/usr/bin/icinga-enroll"
	install -d "$ROOT/etc/icinga-enroll" "$ROOT/etc/credstore"
	# Nobody answers: the container's network has no other end.
	cat >"$ROOT/etc/icinga-enroll/config.yml" <<-YAML
		director: {url: "https://192.0.2.1/director"}
		host: {name: container.example.com}
		ca: {trust_on_first_use: true}
	YAML
	(umask 077 && echo 0123456789abcdef0123456789abcdef01234567 >"$ROOT/etc/credstore/template-key")
}

inside() { nsenter --target "$LEADER" --mount --uts --ipc --net --pid --cgroup -- "$@"; }

# find_leader finds the container's first process, and not the helper before it that
# makes its namespaces.
find_leader() {
	local pid
	for pid in $(pgrep -P "$NSPAWN"); do
		LEADER=$pid
		! grep -qP '^NSpid:.*\t1$' "/proc/$pid/status" || return 0
	done
	return 1
}

boot() {
	# shellcheck disable=SC2086 # an empty NETWORK is no argument
	systemd-nspawn --quiet --boot --directory="$ROOT" --register=no --keep-unit ${NETWORK---private-network} \
		--console=pipe </dev/null >>"$ROOT.console" 2>&1 &
	NSPAWN=$!
	within 20 find_leader
	within 60 is_up
}

# end waits for the container to end with this exit code.
end() {
	local code=0
	wait "$NSPAWN" || code=$?
	NSPAWN='' LEADER=''
	[ "$code" = "$1" ] || fail "the container ended with $code, not $1"
}

remove_root() {
	[ -z "$ROOT" ] || rm -rf --one-file-system -- "$ROOT" "$ROOT".* "$CACHE/.#${ROOT##*/}.lck"
	ROOT=''
}

# The container's first process takes all others with it.
kill_container() {
	[ -z "$LEADER" ] || kill -KILL "$LEADER" 2>/dev/null || true
	[ -z "$NSPAWN" ] || kill -KILL "$NSPAWN" 2>/dev/null || true
	[ -z "$NSPAWN" ] || wait "$NSPAWN" 2>/dev/null || true
}

# clean_up is for every exit.
clean_up() {
	local code=$?
	trap - EXIT
	kill_container
	remove_root
	exit "$code"
}

# container PACKAGES [OPTION…] makes the root of this run.
container() {
	packages
	trap clean_up EXIT
	trap 'exit 1' INT TERM
	base "$@"
	copy_root
}
