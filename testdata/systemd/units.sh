# shellcheck shell=bash
# A container with systemd, in which UNIT is the service. Who uses it has sourced
# container.sh.

is_up() { inside systemctl is-system-running; }
logs() { inside journalctl --no-pager --lines 60; }
show() { inside systemctl show --value --property="$1" "${2:-$UNIT}"; }
running_anew() { [ "$(show ActiveState)" = active ] && [ "$(show MainPID)" != "$1" ]; }
