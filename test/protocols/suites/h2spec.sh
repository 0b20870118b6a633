#!/usr/bin/env bash
# h2spec: HTTP/2 and HPACK (RFC 7540, RFC 7541), by ALPN over TLS and by prior knowledge in cleartext.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
. "$here/lib.sh"
suite h2spec
go_tool h2spec github.com/summerwind/h2spec/cmd/h2spec
gateway
origin

# against NAME PORT FLAGS...
against() {
	local name=$1 to=$2 counts
	shift 2
	timeout --foreground --kill-after=5 300 "$cache/bin/h2spec" --host 127.0.0.1 --port "$to" --timeout 5 --strict \
		--junit-report "$logs/$name.xml" "$@" >"$logs/$name.txt" 2>&1 || true
	counts=$(sed -nE 's/^([0-9]+) tests, ([0-9]+) passed, ([0-9]+) skipped, ([0-9]+) failed$/\2 \4 \3/p' "$logs/$name.txt")
	read -r passed failed skipped <<<"${counts:-0 1 0}"
	# A skipped case is one that could not be judged.
	row "$name" "$passed" "$((failed + skipped))" 0
	((failed + skipped == 0)) || sed -n '/^Failures:/,$p' "$logs/$name.txt" >&2
}

against h2spec-tls "${port[HTTPS]}" --tls --insecure
against h2spec-cleartext "${port[HTTP]}"
still_there
