# shellcheck shell=bash
# The walk through the installer (packaging/msi). "test" uses it.

INSTALLED='C:\Program Files\icinga-enroll\icinga-enroll.exe'
PROGRAM_FOLDER="/root/wine/drive_c/Program Files/icinga-enroll"
TEMPLATE_KEY=00112233445566778899aabbccddeeff00112233
PIN=spki:4cd9c1501d881d93e2c575b5ee5addd49a0f2b8f9f66fe4bcbca23d4a9148ca5

installer_packages() {
	command -v wixl >/dev/null && command -v msibuild >/dev/null && return
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends wixl msitools
}

# compile_installers makes those of two versions.
compile_installers() {
	local version
	for version in 1.2.3 1.2.4; do
		go build -trimpath -ldflags "-s -w -X main.released=$version" -o "$WORK/$version.exe" ./cmd/icinga-enroll
		"$SOURCE/packaging/msi/build" "v$version" "$WORK/$version.exe" "$WORK/$version.msi"
	done
	"$SOURCE/packaging/msi/build" v1.2.4 "$WORK/1.2.4.exe" "$WORK/again.msi"
	cmp "$WORK/1.2.4.msi" "$WORK/again.msi" || fail "the installer isn't made the same twice"
}

# msi OPTION FILE [PROPERTY…] installs (/i) or removes (/x).
msi() {
	local option=$1 file=$2
	shift 2
	inside env "${ENVIRONMENT[@]}" "$WINE" msiexec "$option" "Z:\\srv\\$file" /qn /l\*v 'Z:\srv\out\msi.log' "$@" </dev/null
}

installed() { inside env "${ENVIRONMENT[@]}" "$WINE" "$INSTALLED" "$@" </dev/null; }

# nothing_there: no program, no service.
nothing_there() {
	! inside test -e "$PROGRAM_FOLDER/icinga-enroll.exe" || fail "the program is there"
	expect 4 enroll service status
}

has_version() {
	expect 0 installed version
	[[ $said = "icinga-enroll $1"[,\ ]* ]] || fail "not version $1: $said"
}

without_configuration() {
	inside mv "$FOLDER" "$FOLDER.kept"
	expect 0 msi /i 1.2.3.msi
	has_version 1.2.3
	expect 4 enroll service status
	inside test -d "$FOLDER"
	inside sh -c "! ls -A $FOLDER | grep ." || fail "something was written"
	expect 0 installed setup
	[[ $said = *'service is off: director.url is not set'*'service install'* ]] || fail "setup said: $said"
	expect 0 msi /x 1.2.3.msi
	nothing_there
	ok "without a configuration the service is off"
}

with_properties() {
	local given=(DIRECTORURL=https://127.0.0.1:1/director "TEMPLATEKEY=$TEMPLATE_KEY" 'ENDPOINTS=master1.example.com@127.0.0.1:1,master2.example.com@127.0.0.1:1')
	if msi /i 1.2.3.msi "${given[@]}" CAFINGERPRINT=nonsense; then
		fail "a wrong fingerprint is taken"
	fi
	nothing_there
	inside sh -c "! ls -A $FOLDER | grep ." || fail "a configuration that doesn't do is left"
	expect 0 msi /i 1.2.3.msi "${given[@]}" "CAFINGERPRINT=$PIN"
	expect 0 installed service status
	expect 0 installed config
	[[ $said = *127.0.0.1:1/director*'C:\ProgramData\icinga-enroll\template-key'*'[master1.example.com@127.0.0.1:1 master2.example.com@'*"[$PIN]"* ]] || fail "config said: $said"
	inside grep -qx "$TEMPLATE_KEY" "$FOLDER/template-key"
	key_is_hidden
	expect 0 msi /x 1.2.3.msi
	nothing_there
	inside test -s "$FOLDER/config.yml"
	ok "properties make a configuration, which stays"
}

# Wine logs the properties that are to be hidden, too: that they are named is all
# that can be seen here.
key_is_hidden() {
	! grep -rahF "$TEMPLATE_KEY" "$WORK/out" | grep -v '^Property(S): TEMPLATEKEY = ' || fail "the key is in the log"
	! inside grep -qF "$TEMPLATE_KEY" "$FOLDER/config.yml" || fail "the key is in the configuration"
	msiinfo export "$WORK/1.2.3.msi" Property | grep '^MsiHiddenProperties.*TEMPLATEKEY' >/dev/null || fail "the key isn't hidden"
}

# What was enrolled before goes on, with its configuration and state.
over_what_is_there() {
	inside sh -c "rm -r $FOLDER && mv $FOLDER.kept $FOLDER && cp $FOLDER/config.yml $FOLDER/certs/web1.example.com.crt /run"
	expect 0 msi /i 1.2.3.msi DIRECTORURL=https://127.0.0.1:1/other
	expect 0 installed service status
	kept
	ok "what is there is kept, and its service started"
}

kept() {
	inside cmp /run/config.yml "$FOLDER/config.yml"
	inside cmp /run/web1.example.com.crt "$FOLDER/certs/web1.example.com.crt"
	expect 0 enroll status
}

upgrades() {
	expect 0 msi /i 1.2.4.msi
	has_version 1.2.4
	expect 0 installed service status
	kept
	if msi /i 1.2.3.msi; then
		fail "a downgrade is taken"
	fi
	has_version 1.2.4
	expect 0 installed service status
	ok "upgraded; a downgrade is refused"
}

# Wine's service manager reads the registry when it starts, and has no other way.
switched_off() {
	inside env "${ENVIRONMENT[@]}" "$WINE" reg add 'HKLM\System\CurrentControlSet\Services\icinga-enroll' \
		/v Start /t REG_DWORD /d 3 /f >/dev/null
	inside env "${ENVIRONMENT[@]}" /usr/lib/wine/wineserver64 -k
	expect 0 installed setup
	[[ $said = *'somebody has switched it off'* ]] || fail "setup said: $said"
	expect 3 installed service status
	[[ $said = *'not started at boot'* ]] || fail "it was switched on: $said"
	ok "what somebody has switched off stays off"
}

leaves() {
	expect 0 msi /x 1.2.4.msi
	nothing_there
	kept
	ok "removed; configuration and state stay"
}

installer() {
	without_configuration
	with_properties
	over_what_is_there
	upgrades
	switched_off
	leaves
}
