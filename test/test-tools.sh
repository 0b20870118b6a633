#!/usr/bin/env bash
# Makes sure of what the tests run besides NovaEdge, and nobody else needs: grpcurl, which pages of the documentation ask
# their readers to have, is built from its Go module in one minute; Prometheus is Debian's.
set -euo pipefail
tools=$(realpath -m "${CARGO_TARGET_DIR:-$(dirname "$0")/../target}")/tools
if [[ ! -x $tools/grpcurl ]]; then
    echo "building grpcurl for the tests"
    GOBIN=$tools GOFLAGS=-mod=mod GOWORK=off go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3
fi
if ! command -v prometheus >/dev/null; then
    if [[ $(id -u) -eq 0 ]] && command -v apt-get >/dev/null; then
        apt-get update -q && apt-get install -y -q --no-install-recommends prometheus
    else
        echo "missing: prometheus; install it, for instance: sudo apt-get install prometheus" >&2
        exit 1
    fi
fi
