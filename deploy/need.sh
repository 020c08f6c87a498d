#!/bin/sh
# Brings what a fresh Debian, Ubuntu or macOS machine lacks. Usage: need.sh postgres|chromium|openssl|redis ...
set -eu

# found_postgres: a server of version 15 or newer where consilium looks for it.
found_postgres() {
	for dir in "$(pg_config --bindir 2>/dev/null || true)" /usr/lib/postgresql/*/bin \
		/opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin; do
		[ -x "$dir/initdb" ] && [ -x "$dir/postgres" ] && [ -x "$dir/pg_basebackup" ] || continue
		major=$("$dir/postgres" --version | sed -E 's/[^0-9]*([0-9]+).*/\1/')
		[ "$major" -ge 15 ] && return 0
	done
	return 1
}

found_chromium() {
	[ -n "${CONSILIUM_CHROMIUM:-}" ] && return 0
	for name in chromium chromium-browser google-chrome-stable google-chrome; do
		command -v "$name" >/dev/null 2>&1 && return 0
	done
	[ -x "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" ] || [ -x "/Applications/Chromium.app/Contents/MacOS/Chromium" ]
}

# install DEBIAN-PACKAGES -- BREW-ARGUMENTS
install() {
	apt=""
	while [ "$1" != "--" ]; do
		apt="$apt $1"
		shift
	done
	shift
	echo "installing:$apt" >&2
	if command -v apt-get >/dev/null 2>&1; then
		sudo=""
		[ "$(id -u)" = 0 ] || sudo=sudo
		# shellcheck disable=SC2086 # a list of packages
		{
			$sudo apt-get update -qq
			$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $apt
		} >/dev/null
	elif command -v brew >/dev/null 2>&1; then
		brew install --quiet "$@"
	else
		echo "neither apt-get nor brew is here: install$apt by hand" >&2
		return 1
	fi
}

for what in "$@"; do
	case "$what" in
	postgres) found_postgres || install postgresql -- postgresql@17 ;;
	chromium)
		found_chromium || install chromium fonts-noto-core -- --cask chromium
		;;
	openssl) command -v openssl >/dev/null 2>&1 || install openssl -- openssl ;;
	redis) command -v redis-server >/dev/null 2>&1 || install redis-server -- redis ;;
	*)
		echo "need.sh: unknown: $what" >&2
		exit 2
		;;
	esac
done
