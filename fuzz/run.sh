#!/bin/sh
# Fuzzes every target for FUZZ_SECONDS (default 30): `fuzz/run.sh`, or `fuzz/run.sh client_hello`.
#
# Nothing of ours is unsafe, so there is no sanitizer. The fuzzers need a nightly compiler and cargo-fuzz:
#   rustup toolchain install nightly --profile minimal
#   cargo install cargo-fuzz --locked
set -eu
cd "$(dirname "$0")/.."
seconds=${FUZZ_SECONDS:-30}
targets=${*:-client_hello http1_head http1_body proxy_protocol certificates manifest_to_snapshot snapshot_decode last_good_format request_match incremental_edits}

if ! cargo +nightly fuzz --version >/dev/null 2>&1; then
    echo "cargo-fuzz on a nightly toolchain is missing:" >&2
    echo "  rustup toolchain install nightly --profile minimal && cargo install cargo-fuzz --locked" >&2
    exit 1
fi

# Where fuzzing begins: golden cases and broken manifests; the corpus keeps what is found besides.
cargo run -q --locked -p novaedge-fuzz-targets --bin seeds -- fuzz/corpus

for target in $targets; do
    echo "== $target, $seconds s" >&2
    dictionary=fuzz/dictionaries/$target.dict
    set -- -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 -max_len=16384 -print_final_stats=1
    if [ -f "$dictionary" ]; then
        set -- "$@" -dict="$dictionary"
    fi
    cargo +nightly fuzz run --fuzz-dir fuzz --sanitizer none "$target" -- "$@"
done
