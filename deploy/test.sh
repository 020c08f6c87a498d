#!/bin/sh
# Runs the checks and tests and closes with "N passed, N failed".
# Usage: test.sh check|all|long
set -u
cd "$(dirname "$0")/.."
GO=${GO:-go}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
passed=0
failed=0

# step NAME COMMAND...: one check that counts as one test.
step() {
	name=$1
	shift
	began=$(date +%s)
	if "$@" >"$tmp/out" 2>&1; then
		passed=$((passed + 1))
		echo "ok    $name in $(($(date +%s) - began)) s"
	else
		failed=$((failed + 1))
		echo "FAIL  $name"
		sed 's/^/      /' "$tmp/out"
	fi
}

# counted NAME COMMAND...: a runner that writes "N passed, N failed" as its last line.
counted() {
	name=$1
	shift
	began=$(date +%s)
	"$@" >"$tmp/out" 2>&1
	status=$?
	last=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$tmp/out" | tail -n 1)
	if [ -z "$last" ]; then # node's own test runner
		last=$(sed -nE 's/^[^a-z]*pass ([0-9]+)$/\1 passed/p' "$tmp/out" | tail -n 1)
		[ -z "$last" ] || last="$last, $(sed -nE 's/^[^a-z]*fail ([0-9]+)$/\1/p' "$tmp/out" | tail -n 1) failed"
	fi
	p=$(echo "$last" | sed -nE 's/^([0-9]+) passed.*/\1/p')
	f=$(echo "$last" | sed -nE 's/^[0-9]+ passed, ([0-9]+) failed.*/\1/p')
	passed=$((passed + ${p:-0}))
	failed=$((failed + ${f:-0}))
	if [ "$status" -ne 0 ] || [ -z "$last" ]; then
		[ "${f:-0}" -gt 0 ] || failed=$((failed + 1))
		echo "FAIL  $name: ${last:-ended with $status}"
		sed 's/^/      /' "$tmp/out" | tail -n 400
	else
		echo "ok    $name: $last in $(($(date +%s) - began)) s"
		grep -E '^story .* in [0-9]+ s$' "$tmp/out" | sed 's/^/      /'
		sed -nE 's/^ok +([^ ]+) ([0-9]+)\.[0-9]s$/\2 \1/p' "$tmp/out" | sort -rn | head -n 8 | sed -E 's/^([0-9]+) (.*)$/      \2 in \1 s/'
	fi
}

formatted() {
	unformatted=$(git ls-files '*.go' | xargs gofmt -l)
	[ -z "$unformatted" ] || { echo "gofmt: $unformatted"; return 1; }
}

generated() {
	$GO tool templ generate -path web -log-level error && git diff --exit-code --stat -- '*_templ.go'
}

types() { (cd web/ts && npm run --silent check); }
bundle() { make --silent web; }

gotest() { $GO test -json "$@" 2>&1 | $GO run ./deploy/testreport; }

browser() { (cd web/ts && npm run --silent story "$@"); }

unit() { (cd web/ts && npm run --silent test); }

checks() {
	step "format" formatted
	step "vet" $GO vet ./...
	step "staticcheck" $GO tool staticcheck ./...
	step "templ components are up to date" generated
	step "browser code bundles" bundle
	step "browser code types" types
}

case "${1:-all}" in
check) checks ;;
all)
	sh deploy/need.sh postgres chromium openssl || exit 1
	checks
	step "build" $GO build -o bin/ ./cmd/consilium ./cmd/consultbot
	counted "credentialing and scheduling vectors" ./bin/consilium vectors credentialing/testdata/credentialing.json scheduling/testdata/scheduling.json
	counted "browser code, alone" unit
	counted "go test" gotest -race -shuffle=on -timeout 20m ./...
	counted "stories in the browser" browser
	;;
long)
	sh deploy/need.sh postgres chromium openssl redis || exit 1
	counted "resume, and a lost server, on a LiveKit cluster" gotest -tags promise -run 'TestResumeContract|TestPromise11' ./sfu/livekit
	step "browser code bundles" bundle
	step "build" $GO build -o bin/ ./cmd/consilium ./cmd/consultbot
	counted "the main job on a LiveKit server" browser mainJobOnLiveKit
	counted "times with interpreters in relay and by turns" browser times
	counted "Arabic to German through English" browser a4
	counted "promises, soak, long fuzzing" gotest -tags promise -race -timeout 8h ./...
	;;
*)
	echo "usage: test.sh check|all|long" >&2
	exit 2
	;;
esac

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
