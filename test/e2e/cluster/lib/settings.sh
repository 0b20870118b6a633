# Settings and small functions that every script of the cluster shares; sourced, not run.
# shellcheck shell=bash disable=SC2034
cluster_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# What is built once and kept; the cluster's data, keys, logs and settings; its sockets and mounts.
cache=${NOVAEDGE_CLUSTER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/novaedge-cluster}
state=${NOVAEDGE_CLUSTER_STATE:-/var/lib/novaedge-cluster}
run=${NOVAEDGE_CLUSTER_RUN:-/run/novaedge-cluster}
containerd_socket=$run/containerd.sock

# The node's address is the bridge's own: the API server, the kubelet and DNS listen there.
node=novaedge-node
bridge=novaedge0
node_ip=10.244.0.1
pod_cidr=10.244.0.0/16
first_pod_ip=10.244.1.1
service_cidr=10.96.0.0/16
kubernetes_service_ip=10.96.0.1
load_balancer_cidr=10.97.0.0/24

export KUBECONFIG=${KUBECONFIG:-$state/admin.conf}

kubectl() { "$cache/bin/cluster" kubectl "$@"; }
ctr() { command ctr --address "$containerd_socket" --namespace k8s.io "$@"; }
say() { printf '%4ds  %s\n' "$SECONDS" "$*"; }

# wait_for SECONDS WHAT COMMAND...: repeats the command until it succeeds; its last output tells why it did not.
wait_for() {
	local deadline=$((SECONDS + $1)) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		if ((SECONDS >= deadline)); then
			"$@" || true
			echo "gave up on: $what; logs are in $state/log" >&2
			exit 1
		fi
		sleep 0.2
	done
	say "$what"
}

# build NAME FOLDER PACKAGE [FLAG...]: builds a static Go program into the cache, and again only when its sources, the
# flags or the version of Go change. With go_command='go test -c' it builds a test binary.
build() {
	local name=$1 folder=$2 package=$3 digest
	shift 3
	digest=$( (cd "$folder" && go version && echo "${go_command:-}" "$package" "$@" &&
		find . -name '*.go' -o -name 'go.*' | LC_ALL=C sort | xargs cat) | sha256sum | cut -c1-16)
	mkdir -p "$cache/bin"
	if [[ ! -x $cache/bin/$name-$digest ]]; then
		say "building $name"
		find "$cache/bin" -name "$name-????????????????" -delete
		(cd "$folder" && CGO_ENABLED=0 ${go_command:-go build} -trimpath "$@" -o "$cache/bin/$name-$digest" "$package")
	fi
	ln -sfn "$name-$digest" "$cache/bin/$name"
}

# install_packages PACKAGE...: installs those of these Debian packages that are missing.
install_packages() {
	local package missing=()
	for package in "$@"; do
		dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
	done
	if ((${#missing[@]})); then
		say "installing ${missing[*]}"
		apt-get update -q >/dev/null
		DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" >/dev/null
	fi
}
