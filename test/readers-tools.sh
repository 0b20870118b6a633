#!/usr/bin/env bash
# Builds what the pages of the documentation ask their readers to have, at fixed versions, for the tests that run the
# pages: grpcurl, from its Go module, in one minute.
set -euo pipefail
tools=$(realpath -m "${CARGO_TARGET_DIR:-$(dirname "$0")/../target}")/tools
if [[ ! -x $tools/grpcurl ]]; then
    echo "building grpcurl for the tests"
    GOBIN=$tools GOFLAGS=-mod=mod GOWORK=off go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3
fi
