#!/usr/bin/env bash
# Builds the programs as they are released: static, and optimized for what they have been seen to do.
#
#   deploy/release.sh FOLDER [TARGET]
#
# First an instrumented agent serves a short run of `bench/run.sh soak`, on loopback alone; the compiler then lays the code
# out by what it counted. That takes half an hour on two cores, and a minute when nothing has changed.
# TARGET is a triple of Rust, the machine's own by default; the traffic is always served by programs for the machine.
# A linker for another TARGET comes from the environment, as CARGO_TARGET_*_LINKER.
set -euo pipefail
out=$(realpath -m "${1:?the folder for the programs is missing: deploy/release.sh FOLDER [TARGET]}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
host=$(rustc -vV | awk '/^host:/ {print $2}')
target=${2:-$host}
work=$(realpath -m "${CARGO_TARGET_DIR:-target}/release-build")

tools=$(rustc --print sysroot)/lib/rustlib/$host/bin
if [[ ! -x $tools/llvm-profdata ]]; then
	rustup component add llvm-tools || {
		echo "missing: llvm-profdata; install it with: rustup component add llvm-tools" >&2
		exit 1
	}
fi

# Each set of flags has a folder of its own, so that nothing is compiled again for them. With --target they do not reach
# build scripts and macros, which cannot be static.
build() { # FOLDER FLAGS TARGET ARGUMENTS...
	CARGO_TARGET_DIR=$work/$1 RUSTFLAGS="-C target-feature=+crt-static $2" \
		cargo build --release --locked --target "$3" "${@:4}"
}

counts=$work/counts
build counting "-C profile-generate=$counts" "$host" -p novaedge-agent --bins
counting=$work/counting/$host/release

# What has been counted stays true for the program that counted it.
profile=$work/$(sha256sum <"$counting/novaedge-agent" | cut -d' ' -f1).profdata
if [[ ! -e $profile ]]; then
	echo "serving traffic to learn from (3 minutes)" >&2
	rm -rf "$counts" "$work"/*.profdata
	# What stands around the agent need not be fast.
	cargo build --locked -p novaedge-bench --bin soak -p novaedge-control-plane --bins
	debug=${CARGO_TARGET_DIR:-target}/debug
	cp "$debug/novaedge-control-plane" "$counting/"
	(
		ulimit -n "$(ulimit -H -n)"
		"$debug/soak" --out "$work/soak" --binaries "$counting" --scale 1
	)
	"$tools/llvm-profdata" merge -o "$profile.part" "$counts"
	mv "$profile.part" "$profile"
fi

# The agent by itself, as it was when it counted: beside others, what it depends on would have all that they want of it.
build released "-C profile-use=$profile" "$target" -p novaedge-agent --bins
build released "-C profile-use=$profile" "$target" \
	-p novaedge-control-plane -p novactl -p novaedge --bins
mkdir -p "$out"
for name in novaedge-control-plane novaedge-agent novactl novaedge; do
	# Names of functions stay, for backtraces and profiles.
	"$tools/llvm-strip" --strip-debug -o "$out/$name" "$work/released/$target/release/$name"
done
ls -l "$out" >&2
