#!/usr/bin/env bash
# Makes sure that the tools which build and test NovaEdge are there; says what is missing otherwise.
# With root and apt it installs Debian packages; Rust and Go must come from their own installers.
set -euo pipefail

need_packages=()
command -v cc >/dev/null || need_packages+=(build-essential)
command -v cmake >/dev/null || need_packages+=(cmake)
command -v make >/dev/null || need_packages+=(make)
command -v curl >/dev/null || need_packages+=(curl)

if ((${#need_packages[@]})); then
    if [[ $(id -u) -eq 0 ]] && command -v apt-get >/dev/null; then
        apt-get update -q && apt-get install -y -q --no-install-recommends "${need_packages[@]}"
    else
        echo "missing: ${need_packages[*]}; install them, for instance: sudo apt-get install ${need_packages[*]}" >&2
        exit 1
    fi
fi

if ! command -v cargo >/dev/null; then
    echo "missing: cargo; install Rust with rustup (rust-toolchain.toml names the version)" >&2
    exit 1
fi
if ! command -v go >/dev/null; then
    echo "missing: go; install Go 1.26 or newer (the tests read the upstream Gateway API module)" >&2
    exit 1
fi
