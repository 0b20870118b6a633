#!/usr/bin/env bash
# Puts the releases of the Gateway API that the tests read into Go's module cache. Go checks their sums.
set -euo pipefail

# The conformance suite is part of the first module until v1.4.
modules=(
    sigs.k8s.io/gateway-api@v1.4.1
    sigs.k8s.io/gateway-api@v1.6.3
    sigs.k8s.io/gateway-api@v1.7.0
    sigs.k8s.io/gateway-api/conformance@v1.6.3
    sigs.k8s.io/gateway-api/conformance@v1.7.0
)
export GOTOOLCHAIN=local GOFLAGS=-mod=mod GOWORK=off
cache=$(go env GOMODCACHE)

# Outside of any module, so that no go.mod is read or written.
cd "$(mktemp -d)"
for module in "${modules[@]}"; do
    directory=$cache/$module
    [[ -d $directory ]] && continue
    # A release that asks for a newer Go than this one is unpacked all the same; the exit status is no guide.
    answer=$(go mod download -json "$module" 2>&1) || true
    if [[ ! -d $directory ]]; then
        printf '%s\n' "$answer" >&2
        echo "cannot download $module" >&2
        exit 1
    fi
done
echo "the Gateway API's releases are in $cache"
