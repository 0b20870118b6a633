# The cluster's network: one bridge, of which nothing leaves this machine; sourced, not run.
# shellcheck shell=bash disable=SC2154

network_up() {
	# The kubelet changes the kernel's settings too; network_down puts all of them back.
	[[ -f $state/sysctl ]] ||
		sysctl net.ipv4.ip_forward vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops >"$state/sysctl"
	# Pods on one bridge reach each other through service addresses only if the bridge calls the packet filter.
	sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1
	if ! ip link show "$bridge" &>/dev/null; then
		# The address is fixed, as a bridge else takes a new one with each port.
		ip link add "$bridge" address 02:6e:65:00:00:01 type bridge
		ip address add "$node_ip/${pod_cidr#*/}" dev "$bridge"
		ip link set "$bridge" up
	fi
	# A service address that no rule rewrites ends at the bridge and not at the default route. A blackhole would not do:
	# packets of this machine are routed before they are rewritten.
	local range
	for range in "$service_cidr" "$load_balancer_cidr"; do
		ip route replace "$range" dev "$bridge" src "$node_ip"
	done
	nft -f - <<-RULES
		table inet novaedge-cluster
		delete table inet novaedge-cluster
		table inet novaedge-cluster {
			chain forward {
				type filter hook forward priority -5
				iifname "$bridge" oifname != "$bridge" counter reject
				iifname != "$bridge" oifname "$bridge" counter drop
			}
			chain output {
				type filter hook output priority 5
				oifname != { "lo", "$bridge" } ip daddr { $pod_cidr, $service_cidr, $load_balancer_cidr } counter reject
			}
		}
	RULES
	cat >"$state/cni/10-bridge.conflist" <<-JSON
		{"cniVersion": "0.4.0", "name": "novaedge", "plugins": [{
		  "type": "bridge", "bridge": "$bridge", "isGateway": true, "hairpinMode": true,
		  "ipam": {"type": "host-local", "dataDir": "$run/ipam",
		    "ranges": [[{"subnet": "$pod_cidr", "rangeStart": "$first_pod_ip", "gateway": "$node_ip"}]],
		    "routes": [{"dst": "0.0.0.0/0"}]}
		}]}
	JSON
}

network_down() {
	! ip link show "$bridge" &>/dev/null || ip link delete "$bridge" # its routes go with it
	local table
	for table in 'inet novaedge-cluster' 'ip kube-proxy' 'ip6 kube-proxy'; do
		# shellcheck disable=SC2086
		nft delete table $table 2>/dev/null || true
	done
	[[ ! -f $state/sysctl ]] || sysctl -qp "$state/sysctl"
}
