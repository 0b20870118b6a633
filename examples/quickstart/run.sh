#!/usr/bin/env bash
# Starts the demo backends and NovaEdge on the manifests beside this script, sends real traffic
# through every kind of route once, prints the lines to try, and serves until it is interrupted.
# With --once it ends after the first traffic, with the number of failed tries as its result.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
bin=${NOVAEDGE_BIN:-$root/target/debug}
state=${QUICKSTART_STATE:-$root/.quickstart}
once=${1:-}
mkdir -p "$state"

"$bin/novaedge-demo-backend" certificates --out "$state" \
    --secret "$here/manifests/generated/tls-secret.yaml"

"$bin/novaedge-demo-backend" serve \
    --http web=127.0.0.1:18081 --http api-v1=127.0.0.1:18082 --http api-v2=127.0.0.1:18083 \
    --grpc 127.0.0.1:18084 --tcp 127.0.0.1:18085 --udp 127.0.0.1:18086 \
    --tls 127.0.0.1:18087 --certificates "$state" &
backends=$!
"$bin/novaedge" run "$here/manifests" --watch --state-dir "$state/state" &
edge=$!
trap 'kill "$edge" "$backends" 2>/dev/null || true; wait || true' EXIT

for _ in $(seq 100); do
    curl --silent --fail --output /dev/null http://127.0.0.1:9901/readyz && break
    kill -0 "$edge" 2>/dev/null || { echo "novaedge ended early" >&2; exit 1; }
    sleep 0.1
done

failed=0
# try WHAT EXPECTED COMMAND...: runs the command, shows it with its answer, checks the answer.
try() {
    local what=$1 expected=$2 answer
    shift 2
    printf '\n\033[1m%s\033[0m\n  %s\n' "$what" "$*"
    if answer=$(bash -c "$*" 2>&1) && [[ $answer == *"$expected"* ]]; then
        printf '  -> %s\n' "${answer:0:160}"
    else
        printf '  !! expected %s, got: %s\n' "$expected" "$answer"
        failed=$((failed + 1))
    fi
}

resolve='--resolve www.example.com:8443:127.0.0.1 --resolve passthrough.example.com:8443:127.0.0.1'
try 'HTTP, by host and path' '"backend":"web"' \
    "curl -s -H 'Host: www.example.com' http://127.0.0.1:8080/hello"
try 'HTTP, prefix rewritten' '"path":"/users"' \
    "curl -s -H 'Host: www.example.com' http://127.0.0.1:8080/api/users"
try 'HTTPS, TLS ends at the gateway' '"backend":"web"' \
    "curl -s --cacert $state/ca.crt $resolve https://www.example.com:8443/hello"
try 'By header' '"backend":"api-v2"' \
    "curl -s -H 'Host: api.example.com' -H 'X-API-Version: v2' http://127.0.0.1:8080/"
try '90/10 split' '90 "backend":"api-v1"' \
    "for i in \$(seq 100); do curl -s -H 'Host: canary.example.com' http://127.0.0.1:8080/; done | grep -o '\"backend\":\"[^\"]*\"' | sort | uniq -c"
try 'gRPC' 'SERVING' \
    "$bin/novaedge-demo-backend grpc-call http://127.0.0.1:8080 --authority grpc.example.com"
try 'TCP' 'hello' \
    "exec 3<>/dev/tcp/127.0.0.1/9000; echo hello >&3; head -n1 <&3"
try 'UDP' 'hello' \
    "exec 3<>/dev/udp/127.0.0.1/9053; echo hello >&3; timeout 2 head -n1 <&3"
try 'TLS passthrough, by SNI' '"backend":"passthrough"' \
    "curl -s --cacert $state/ca.crt $resolve https://passthrough.example.com:8443/"

if [[ $once == --once ]]; then
    printf '\n%s of 9 tries failed\n' "$failed"
    exit "$failed"
fi
cat <<TEXT

Now edit $here/manifests/www.yaml and repeat a request: the change is there at once.
Statuses: $state/state/status.  Snapshot: grpcurl -plaintext 127.0.0.1:18000 list
Press Ctrl-C to stop.
TEXT
wait "$edge"
