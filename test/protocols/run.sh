#!/usr/bin/env bash
# run.sh [SUITE...]: runs public protocol suites through a NovaEdge that it starts itself, and prints a table.
# NOVAEDGE names the program under test, LOGS a folder for what the suites say.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/lib.sh"

# The longest a suite may take, in seconds, installing included.
declare -A limit=([h2spec]=900 [grpc]=900 [websocket]=900 [tls]=900 [slow]=600)
suites=("$@")
((${#suites[@]})) || suites=(h2spec grpc websocket tls slow)
for suite in "${suites[@]}"; do
	[[ -n ${limit[$suite]:-} ]] || die "usage: run.sh [h2spec|grpc|websocket|tls|slow ...]"
done

export LOGS=${LOGS:-$cache/logs} RESULTS
mkdir -p "$LOGS"
RESULTS=$(mktemp)
running=
trap '[[ -z $running ]] || kill "$running" 2>/dev/null || true; rm -f "$RESULTS"' EXIT
trap 'exit 130' INT TERM
for suite in "${suites[@]}"; do
	say "running $suite"
	start=$SECONDS
	rm -rf "${LOGS:?}/$suite"
	# It ends the whole group of processes, so that nothing is left of a suite that hangs.
	timeout --kill-after=20 "${limit[$suite]}" "$here/suites/$suite.sh" </dev/null &
	running=$!
	wait "$running" || row "$suite-did-not-end-well" 0 1 0
	running=
	say "$suite took $((SECONDS - start)) s"
done

awk -F '\t' '
	BEGIN { form = "%-28s %7s %7s %7s\n"; printf form, "suite", "passed", "failed", "skipped" }
	{ printf form, $1, $2, $3, $4; passed += $2; failed += $3; skipped += $4 }
	END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped; exit failed > 0 }' "$RESULTS" || {
	say "what failed is in $LOGS"
	exit 1
}
