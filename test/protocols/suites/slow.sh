#!/usr/bin/env bash
# slow: slowhttptest's four modes, a thousand connections for 25 seconds each, while a normal client goes on asking.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
. "$here/lib.sh"
suite slow
package slowhttptest slowhttptest
# Two descriptors a connection at the gateway, which starts with this limit.
ulimit -n 8192 2>/dev/null || ulimit -n "$(ulimit -Hn)"
gateway
origin
url=http://127.0.0.1:${port[HTTP]}
most_kib=$((64 * 1024)) most_ms=2000

kib() { awk -v field="$1:" '$1 == field { print $2 }' "/proc/$gateway_pid/status"; }

# check NAME CONDITION WHAT: counts for the row.
check() {
	if (($2)); then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		say "$1: $3"
	fi
}

# mode NAME FLAGS...
mode() {
	local name=$1 before answers failures longest most connected log=$logs/$1.txt probe passed=0 failed=0
	shift
	before=$(kib VmRSS)
	# The high-water mark begins anew.
	echo 5 >"/proc/$gateway_pid/clear_refs"
	timeout --foreground --kill-after=5 45 slowhttptest -c 1000 -r 200 -l 25 -p 5 "$@" >"$log" 2>&1 &
	pids+=("$!")
	probe=$(timeout --foreground --kill-after=5 60 "$cache/bin/peers" probe "$url/" 25 2>>"$log") || probe='0 1 0'
	wait "${pids[-1]}" || true
	unset 'pids[-1]'
	read -r answers failures longest <<<"$probe"
	most=$(($(kib VmHWM) - before))
	connected=$(sed 's/\x1b\[[0-9;]*m//g' "$log" | awk '
		$1 == "connected:" { now = $2 } $1 == "closed:" && now + $2 > most { most = now + $2 } END { print most + 0 }')
	say "$name: $answers answers, $failures failures, longest $longest ms; memory +$((most / 1024)) MiB; $connected connections"
	check "$name" "answers > 0 && failures == 0" 'a normal client got no answer'
	check "$name" "longest <= most_ms" "a normal client waited $longest ms, most is $most_ms"
	check "$name" "most <= most_kib" "memory grew by $most KiB, most is $most_kib"
	row "$name" "$passed" "$failed" 0
}

# Memory that the first requests take is no growth.
"$cache/bin/peers" probe "$url/" 2 >/dev/null
mode slow-headers -H -i 5 -u "$url/"
mode slow-body -B -i 5 -s 8192 -u "$url/"
mode slow-range -R -a 5 -b 3000 -u "$url/big"
mode slow-read -X -i 5 -w 256 -y 1024 -n 5 -z 32 -k 3 -u "$url/big"
still_there
