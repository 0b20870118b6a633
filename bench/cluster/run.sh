#!/usr/bin/env bash
# run.sh [ARGUMENT...]: measures a cluster of 5,000 routes and writes docs/benchmarks/cluster.md and .json.
#
# On KUBECONFIG's cluster, where NovaEdge must be deployed and whose one node must be this machine, or else on the
# project's own, which it brings up with the overlay ha. It takes about 20 minutes and wants a machine that does nothing
# else. OUT is the folder for the results, BINARIES that of release binaries; given BINARIES, nothing is built.
# Arguments go to the program.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cluster=$root/test/e2e/cluster
"$cluster/ready"
# shellcheck source=../../test/e2e/cluster/lib/settings.sh
. "$cluster/lib/settings.sh"
cd "$root"
if [[ -z ${BINARIES:-} ]]; then
	cargo build --release --locked -p novaedge-bench --bin cluster
	BINARIES=${CARGO_TARGET_DIR:-target}/release
fi
exec "$BINARIES/cluster" --out "${OUT:-docs/benchmarks}" "$@"
