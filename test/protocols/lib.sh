# For run.sh and the suites: where things are, tools of pinned versions, a gateway of the suite's own, results.
# shellcheck shell=bash disable=SC2153,SC2154
root=$(cd "$here/../.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/novaedge-protocols
novaedge=${NOVAEDGE:-${CARGO_TARGET_DIR:-$root/target}/debug/novaedge}

say() { printf '%s\n' "$*" >&2; }
die() {
	say "$*"
	exit 1
}

# package COMMAND PACKAGE: makes sure that a command of a Debian package is there.
package() {
	command -v "$1" >/dev/null && return
	if [[ $(id -u) -ne 0 ]] || ! command -v apt-get >/dev/null; then
		die "missing: $1; install the package $2"
	fi
	{ apt-get update -q && apt-get install -y -q --no-install-recommends "$2"; } >&2 || die "cannot install $2"
}

# go_tool NAME PACKAGE: builds a program; go.mod and go.sum pin its version.
go_tool() {
	command -v go >/dev/null || die 'missing: go; install Go 1.26 or newer'
	mkdir -p "$cache/bin"
	(cd "$here" && GOWORK=off GOTOOLCHAIN=local go build -o "$cache/bin/$1" "$2") || die "cannot build $1"
}

# venv: makes sure that the programs of requirements.txt are in $cache/venv.
venv() {
	local wanted=$here/requirements.txt has=$cache/venv/requirements.txt
	cmp -s "$wanted" "$has" && return
	command -v python3 >/dev/null || die 'missing: python3; install Python 3.10 or newer with venv'
	rm -rf "$cache/venv"
	mkdir -p "$cache"
	{ python3 -m venv "$cache/venv" && "$cache/venv/bin/pip" install -q --no-deps -r "$wanted"; } >&2 ||
		die 'cannot install what requirements.txt lists'
	cp "$wanted" "$has"
}

# row SUITE PASSED FAILED SKIPPED: a row of the table.
row() { printf '%s\t%s\t%s\t%s\n' "$@" >>"$RESULTS"; }

# A suite's own processes end with it, whatever ends it.
pids=()
work=
finish() {
	local status=$? pid
	trap - EXIT
	for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
	for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
	[[ -z $work ]] || rm -rf "$work"
	exit "$status"
}

# background COMMAND...: starts a process that ends with the suite; its output is in $logs.
background() {
	"$@" >>"$logs/$(basename "$1").log" 2>&1 &
	pids+=("$!")
}

# wait_for SECONDS WHAT COMMAND...
wait_for() {
	local end=$((SECONDS + $1)) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		((SECONDS < end)) || die "not in time: $what; see $logs"
		sleep 0.1
	done
}

open_port() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# suite NAME: begins a suite.
suite() {
	[[ -n ${RESULTS:-} ]] || die "start it by run.sh $1"
	trap finish EXIT
	trap 'exit 143' TERM INT
	work=$(mktemp -d)
	logs=$LOGS/$1
	mkdir -p "$logs"
	go_tool peers ./peers
}

# certificate NAME KEY_FLAGS...: a leaf of the authority, for 90 days.
certificate() {
	local name=$1
	shift
	openssl req -new -newkey "$@" -nodes -keyout "$work/$name.key" -subj "/CN=localhost" -out "$work/$name.csr"
	openssl x509 -req -in "$work/$name.csr" -CA "$work/ca.crt" -CAkey "$work/ca.key" -CAcreateserial -sha256 -days 90 \
		-extfile <(printf '%s\n' 'subjectAltName=DNS:localhost,IP:127.0.0.1' 'basicConstraints=critical,CA:FALSE' \
			'keyUsage=critical,digitalSignature' 'extendedKeyUsage=serverAuth' 'authorityKeyIdentifier=keyid') \
		-out "$work/$name.crt"
	cat >"$work/manifests/$name.yaml" <<-YAML
		{apiVersion: v1, kind: Secret, type: kubernetes.io/tls, metadata: {name: $name}, data: {
		  tls.crt: $(base64 -w0 "$work/$name.crt"), tls.key: $(base64 -w0 "$work/$name.key")}}
	YAML
}

certificates() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/ca.key" -out "$work/ca.crt" \
		-days 365 -sha256 -subj '/CN=Test authority' \
		-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
	certificate ecdsa ec -pkeyopt ec_paramgen_curve:P-256
	certificate rsa rsa:2048
	printf '{apiVersion: v1, kind: Secret, metadata: {name: ca}, data: {ca.crt: %s}}\n' \
		"$(base64 -w0 "$work/ca.crt")" >"$work/manifests/ca.yaml"
}

# gateway: starts NovaEdge on the manifests, with ports in the array $port.
declare -A port
gateway() {
	local names=(HTTP HTTPS HTTPS_RSA WS WSS GRPC GRPC_TLS GRPC_TLS_TLS ORIGIN RELAY GRPC_SERVER GRPC_TLS_SERVER
		TUNNEL CONTROL ADMIN) numbers name edit=()
	[[ -x $novaedge ]] || die "missing: $novaedge; build it or set NOVAEDGE"
	package openssl openssl
	package curl curl
	mapfile -t numbers < <("$cache/bin/peers" ports "${#names[@]}")
	for name in "${names[@]}"; do
		port[$name]=${numbers[0]}
		numbers=("${numbers[@]:1}")
		edit+=(-e "s/@$name@/${port[$name]}/")
	done
	mkdir -p "$work/manifests"
	certificates >"$logs/openssl.log" 2>&1
	sed "${edit[@]}" "$here/manifests.yaml" >"$work/manifests/manifests.yaml"
	background "$novaedge" run "$work/manifests" --state-dir "$work/state" --workers 2 --drain-timeout 2 \
		--grpc "127.0.0.1:${port[CONTROL]}" --admin "127.0.0.1:${port[ADMIN]}"
	gateway_pid=${pids[-1]}
	wait_for 20 'NovaEdge serves' curl -sf "http://127.0.0.1:${port[ADMIN]}/readyz"
	wait_for 10 'the last listener is open' open_port "${port[GRPC_TLS_TLS]}"
}

origin() {
	background "$cache/bin/peers" origin "127.0.0.1:${port[ORIGIN]}"
	wait_for 10 'the origin serves' open_port "${port[ORIGIN]}"
}

# A gateway that ended by itself has failed, whatever the suite says.
still_there() { kill -0 "$gateway_pid" 2>/dev/null || die "NovaEdge ended by itself, see $logs"; }
