#!/usr/bin/env bash
# gRPC interop: the official test cases that need no credentials of a cloud, with grpc-go's client and server.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
. "$here/lib.sh"
suite grpc
go_tool grpc-client google.golang.org/grpc/interop/client
go_tool grpc-server google.golang.org/grpc/interop/server
gateway
background "$cache/bin/grpc-server" -port "${port[GRPC_SERVER]}"
background "$cache/bin/grpc-server" -port "${port[GRPC_TLS_SERVER]}" \
	-use_tls -tls_cert_file "$work/ecdsa.crt" -tls_key_file "$work/ecdsa.key"
wait_for 10 'the gRPC servers serve' open_port "${port[GRPC_SERVER]}"
wait_for 10 'the gRPC servers serve' open_port "${port[GRPC_TLS_SERVER]}"

# All cases that the client has, but those with credentials and pick_first_unary, which its own server does not know.
cases=(empty_unary large_unary client_streaming server_streaming ping_pong empty_stream timeout_on_sleeping_server
	cancel_after_begin cancel_after_first_response status_code_and_message special_status_message custom_metadata
	unimplemented_method unimplemented_service orca_per_rpc orca_oob rpc_soak channel_soak)
soak=(-soak_iterations 200 -soak_num_threads 4 -soak_overall_timeout_seconds 60
	-soak_per_iteration_max_acceptable_latency_ms 5000)
tls=(-use_tls -use_test_ca -ca_file "$work/ca.crt" -server_host_override localhost)

# call CASE PORT FLAGS...
call() {
	local flags=("${soak[@]}")
	# Load reports are taken by a balancer of the test's own.
	[[ $1 != orca_* ]] || flags=(-service_config_json '{"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}')
	timeout --foreground --kill-after=5 90 "$cache/bin/grpc-client" -test_case "$1" -server_host 127.0.0.1 -server_port "$2" \
		"${flags[@]}" "${@:3}"
}

# through NAME PORT FLAGS...
through() {
	local name=$1 to=$2 passed=0 failed=0 case
	shift 2
	for case in "${cases[@]}"; do
		if call "$case" "$to" "$@" >"$logs/$name-$case.log" 2>&1; then
			passed=$((passed + 1))
			continue
		fi
		failed=$((failed + 1))
		say "$name: $case failed: $(tail -n 1 "$logs/$name-$case.log")"
		call "$case" "${port[GRPC_SERVER]}" >/dev/null 2>&1 || say "it also fails without the gateway"
	done
	row "$name" "$passed" "$failed" 0
}

through grpc-cleartext "${port[GRPC]}"
through grpc-tls "${port[GRPC_TLS]}" "${tls[@]}"
through grpc-tls-to-tls "${port[GRPC_TLS_TLS]}" "${tls[@]}"
still_there
