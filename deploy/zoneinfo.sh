#!/bin/sh
# Makes scheduling/zoneinfo/zoneinfo.zip and VERSION, the IANA zone data that the
# binary carries (design: scheduling, section 10), from an installed tzdata.
#
#   deploy/zoneinfo.sh [DIRECTORY]     DIRECTORY defaults to /usr/share/zoneinfo
#
# Only TZif files are taken: not posix/ and right/, not tables, not the machine's
# own localtime. The result depends on the zone data alone: names are sorted and
# times fixed. Refuses to replace newer data by older.
set -eu

src=${1:-/usr/share/zoneinfo}
out=$(cd "$(dirname "$0")/../scheduling/zoneinfo" && pwd)

version=$(sed -n '1s/^# version //p' "$src/tzdata.zi")
if [ -z "$version" ]; then
	echo "zoneinfo.sh: $src/tzdata.zi does not name its version" >&2
	exit 1
fi
if [ -f "$out/VERSION" ]; then
	have=$(cat "$out/VERSION")
	newest=$(printf '%s\n%s\n' "$have" "$version" | LC_ALL=C sort | tail -n 1)
	if [ "$newest" != "$version" ]; then
		echo "zoneinfo.sh: $src has $version, older than $have" >&2
		exit 1
	fi
fi

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$src"
find -L . -type f ! -path './posix/*' ! -path './right/*' ! -name localtime ! -name posixrules |
	sed 's|^\./||' | LC_ALL=C sort |
	while IFS= read -r name; do
		[ "$(head -c 4 "$name")" = TZif ] || continue
		mkdir -p "$tmp/$(dirname "$name")"
		cp "$name" "$tmp/$name" # follows links: each name stands alone
		TZ=UTC touch -t 198001010000 "$tmp/$name"
		echo "$name" >>"$tmp/.names"
	done

cd "$tmp"
rm -f "$out/zoneinfo.zip"
TZ=UTC zip -q -X -9 -D "$out/zoneinfo.zip" -@ <.names
printf '%s\n' "$version" >"$out/VERSION"
echo "zoneinfo.sh: $version, $(wc -l <.names) names"
