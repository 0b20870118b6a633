#!/usr/bin/env bash
# WebSocket (RFC 6455, RFC 7692): cases of the relay itself with a client library, and the Autobahn test suite.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
. "$here/lib.sh"
suite websocket
venv
(cd "$here" && GOWORK=off GOTOOLCHAIN=local go test -c -o "$cache/bin/websocket.test" ./websocket) ||
	die 'cannot build the tests'
gateway
origin

RELAY=127.0.0.1:${port[RELAY]} WS=ws://127.0.0.1:${port[WS]} WSS=wss://127.0.0.1:${port[WSS]} CA_FILE=$work/ca.crt \
	timeout --foreground --kill-after=5 300 "$cache/bin/websocket.test" -test.v -test.timeout 290s >"$logs/relay.txt" 2>&1 || true
# A test that was not begun before the end of time is missing in both counts, so the list of tests is the measure.
all=$("$cache/bin/websocket.test" -test.list . 2>/dev/null | grep -c ^Test || true)
passed=$(grep -c '^--- PASS' "$logs/relay.txt" || true)
((passed == all)) || grep -vE '^ *(=== |--- PASS)' "$logs/relay.txt" >&2 || true
row websocket-relay "$passed" "$((all - passed))" 0

background "$cache/bin/peers" tunnel "127.0.0.1:${port[TUNNEL]}" "127.0.0.1:${port[HTTPS]}" "$work/ca.crt"
wait_for 10 'the tunnel serves' open_port "${port[TUNNEL]}"
timeout --foreground --kill-after=5 540 "$cache/venv/bin/python" "$here/suites/autobahn.py" "ws://127.0.0.1:${port[ORIGIN]}" \
	"autobahn-ws=ws://127.0.0.1:${port[HTTP]}" "autobahn-wss=ws://127.0.0.1:${port[TUNNEL]}" \
	>"$logs/autobahn.txt" 2> >(tee "$logs/autobahn-failed.txt" >&2) || true
for name in autobahn-ws autobahn-wss; do
	read -r _ passed failed skipped < <(grep "^$name " "$logs/autobahn.txt" || echo - 0 1 0)
	row "$name" "$passed" "$failed" "$skipped"
done
still_there
