#!/usr/bin/env bash
# Builds the images that the suite's manifests name, and gives them to the project's own test cluster: its echo server,
# and a DNS server for the UDPRoute tests. The names are read from the manifests of the suite's module.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cluster=$here/../e2e/cluster
. "$cluster/lib/settings.sh"

module=sigs.k8s.io/gateway-api/conformance
suite=$(cd "$here" && go mod download "$module" && go list -m -f '{{.Dir}}' "$module")
# named PROGRAM: the images of that program in the manifests, comma separated.
named() { grep -rhoE "image: *\S*/$1:\S+" "$suite/base" "$suite/tests" | awk '{print $2}' | sort -u | paste -sd,; }
build echo-basic "$here" "$module/echo-basic" -ldflags '-s -w'
ENTRYPOINT='["/echo-basic"]' "$cluster/image" "$(named echo-basic)" "$cache/bin/echo-basic"
ENTRYPOINT='["/cluster", "coredns"]' "$cluster/image" "$(named coredns)" "$cache/bin/cluster"
say "the suite's images are loaded"
