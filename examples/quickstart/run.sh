#!/usr/bin/env bash
# Starts the demo backends and NovaEdge on the manifests beside this script, sends real traffic
# through every kind of route once, prints the lines to try, and serves until it is interrupted.
# With --once it ends after the first traffic, with the number of failed tries as its result.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
bin=${NOVAEDGE_BIN:-${CARGO_TARGET_DIR:-$root/target}/debug}
state=${QUICKSTART_STATE:-$root/.quickstart}
once=${1:-}
if [[ -t 1 ]]; then bold=$'\033[1m' plain=$'\033[0m'; else bold='' plain=''; fi
edited=$here/manifests/generated/edited.yaml
mkdir -p "$state"
rm -f "$edited"

"$bin/novaedge-demo-backend" certificates --out "$state" \
    --secret "$here/manifests/generated/tls-secret.yaml"

"$bin/novaedge-demo-backend" serve \
    --http web=127.0.0.1:18081 --http api-v1=127.0.0.1:18082 --http api-v2=127.0.0.1:18083 \
    --grpc 127.0.0.1:18084 --tcp 127.0.0.1:18085 --udp 127.0.0.1:18086 \
    --tls 127.0.0.1:18087 --certificates "$state" &
backends=$!
"$bin/novaedge" run "$here/manifests" --watch --state-dir "$state/state" &
edge=$!
trap 'kill "$edge" "$backends" 2>/dev/null || true; wait || true; rm -f "$edited"' EXIT

for _ in $(seq 100); do
    curl --silent --fail --output /dev/null http://127.0.0.1:9901/readyz && break
    kill -0 "$edge" 2>/dev/null || { echo "novaedge ended early" >&2; exit 1; }
    sleep 0.1
done

tried=0
failed=0
# try WHAT EXPECTED COMMAND...: runs the command, shows it with its answer, checks the answer.
try() {
    local what=$1 expected=$2 answer
    shift 2
    tried=$((tried + 1))
    printf '\n%s%s%s\n  %s\n' "$bold" "$what" "$plain" "$*"
    if answer=$(bash -c "$*" 2>&1) && [[ $answer == *"$expected"* ]]; then
        printf '  -> %s\n' "${answer:0:160}"
    else
        printf '  !! expected %s, got: %s\n' "$expected" "$answer"
        failed=$((failed + 1))
    fi
}

resolve='--resolve www.example.com:8443:127.0.0.1 --resolve passthrough.example.com:8443:127.0.0.1'
try 'HTTP, by host and path' '"backend":"web"' \
    "curl -s -m 5 -H 'Host: www.example.com' http://127.0.0.1:8080/hello"
try 'HTTP, prefix rewritten' '"path":"/users"' \
    "curl -s -m 5 -H 'Host: www.example.com' http://127.0.0.1:8080/api/users"
try 'HTTPS, TLS ends at the gateway' '"backend":"web"' \
    "curl -s -m 5 --cacert $state/ca.crt $resolve https://www.example.com:8443/hello"
try 'By header' '"backend":"api-v2"' \
    "curl -s -m 5 -H 'Host: api.example.com' -H 'X-API-Version: v2' http://127.0.0.1:8080/"
try '90/10 split' '90 "backend":"api-v1"' \
    "for i in \$(seq 100); do curl -s -m 5 -H 'Host: canary.example.com' http://127.0.0.1:8080/; done | grep -o '\"backend\":\"[^\"]*\"' | sort | uniq -c"
try 'gRPC' 'SERVING' \
    "$bin/novaedge-demo-backend grpc-call http://127.0.0.1:8080 --authority grpc.example.com"
try 'TCP' 'hello' \
    "exec 3<>/dev/tcp/127.0.0.1/9000; echo hello >&3; head -n1 <&3"
try 'UDP' 'hello' \
    "exec 3<>/dev/udp/127.0.0.1/9053; echo hello >&3; timeout 2 head -n1 <&3"
try 'TLS passthrough, by SNI' '"backend":"passthrough"' \
    "curl -s -m 5 --cacert $state/ca.crt $resolve https://passthrough.example.com:8443/"

# A new file, then an edit of it, each asked for until it is seen.
until_seen() {
    printf '%s' "for n in \$(seq 100); do curl -s -m 5 -H 'Host: edited.example.com' http://127.0.0.1:8080/" \
        " | grep -q '\"$1\"' && echo seen by request \$n && break; done"
}
try 'A new file' 'seen by request' \
    "sed 's/www/edited/' $here/manifests/www.yaml > $edited; $(until_seen web)"
try 'An edit of a file' 'seen by request' \
    "sed -i 's/name: web/name: api-v2/' $edited; $(until_seen api-v2)"

if [[ $once == --once ]]; then
    printf '\n%s of %s tries failed\n' "$failed" "$tried"
    exit "$failed"
fi
cat <<TEXT

Now edit $here/manifests/www.yaml and repeat a request: the change is there at once.
Statuses: $bin/novactl status -f $here/manifests --state-dir $state/state
Agents and snapshot: $bin/novactl agents; $bin/novactl snapshot get
Press Ctrl-C to stop.
TEXT
wait "$edge"
