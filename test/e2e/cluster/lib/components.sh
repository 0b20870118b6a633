# The programs of the cluster and their settings, a function each; sourced, not run.
# shellcheck shell=bash disable=SC2154

# In the order in which they start.
components=(etcd containerd apiserver controller-manager scheduler kubelet proxy dns load-balancer)
# Only where a test asks for it: enforces NetworkPolicies while it runs.
extra_components=(policies)
program=$cache/bin/cluster

# start_component NAME
start_component() { "component_${1//-/_}"; }

# stop_component NAME [SIGNAL]: ends it, and removes what it leaves.
stop_component() {
	halt "$@"
	[[ $1 != policies ]] || remove_policies
}

# settings FILE: writes standard input there, unless the same stands there: kube-proxy ends when its settings are written.
settings() {
	local text
	text=$(cat)
	[[ -f $1 && $(<"$1") == "$text" ]] || printf '%s\n' "$text" >"$1"
}

component_etcd() {
	# Nothing is synced to disk: the data is meant to be thrown away.
	launch etcd "$program" etcd --data-dir "$state/etcd" --unsafe-no-fsync --log-level warn \
		--listen-client-urls http://127.0.0.1:12379 --advertise-client-urls http://127.0.0.1:12379 \
		--listen-peer-urls http://127.0.0.1:12380 --initial-advertise-peer-urls http://127.0.0.1:12380 \
		--initial-cluster default=http://127.0.0.1:12380
}

component_containerd() {
	# A root without CAP_SYS_RESOURCE may not lower a process's OOM score, hence restrict_oom_score_adj.
	cat >"$state/containerd.toml" <<-TOML
		version = 2
		root = "$state/containerd"
		state = "$run/containerd"
		disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
		[grpc]
		  address = "$containerd_socket"
		[plugins."io.containerd.internal.v1.opt"]
		  path = "$state/opt"
		[plugins."io.containerd.grpc.v1.cri"]
		  sandbox_image = "novaedge/pause:dev"
		  netns_mounts_under_state_dir = true
		  enable_unprivileged_ports = true
		  disable_apparmor = true
		  restrict_oom_score_adj = true
		  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
		    runtime_type = "io.containerd.runc.v2"
		  [plugins."io.containerd.grpc.v1.cri".cni]
		    bin_dir = "/usr/lib/cni"
		    conf_dir = "$state/cni"
	TOML
	launch containerd containerd --config "$state/containerd.toml"
}

component_apiserver() {
	# The audit log tells who wrote what, which is how "nothing is written in a steady state" is measured.
	cat >"$state/audit.yaml" <<-YAML
		apiVersion: audit.k8s.io/v1
		kind: Policy
		omitStages: [RequestReceived]
		rules:
		  - {level: Metadata, verbs: [create, update, patch, delete, deletecollection]}
		  - {level: None}
	YAML
	# Collecting its garbage less often takes less of the few cores that everything here shares, for more memory, at most about 3 GiB.
	launch apiserver env GOGC=300 GOMEMLIMIT=3GiB "$program" kube-apiserver --bind-address "$node_ip" --advertise-address "$node_ip" --secure-port 6443 \
		--etcd-servers http://127.0.0.1:12379 --service-cluster-ip-range "$service_cidr" \
		--authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction --allow-privileged \
		--client-ca-file "$pki/ca.crt" --tls-cert-file "$pki/apiserver.crt" --tls-private-key-file "$pki/apiserver.key" \
		--kubelet-client-certificate "$pki/admin.crt" --kubelet-client-key "$pki/admin.key" \
		--kubelet-certificate-authority "$pki/ca.crt" --kubelet-preferred-address-types InternalIP \
		--service-account-issuer https://kubernetes.default.svc.cluster.local \
		--service-account-signing-key-file "$pki/service-accounts.key" --service-account-key-file "$pki/service-accounts.pub" \
		--audit-policy-file "$state/audit.yaml" --audit-log-path "$state/log/audit.log" --audit-log-maxsize 100 --audit-log-maxbackup 3
}

component_controller_manager() {
	# After an API server that was away it hears of the only node's lease up to 51 s later than the kubelet renews it, and
	# would call the node and all of its pods not ready meanwhile.
	launch controller-manager "$program" kube-controller-manager --kubeconfig "$state/controller-manager.conf" \
		--bind-address 127.0.0.1 --leader-elect=false --node-monitor-grace-period 10m --use-service-account-credentials --root-ca-file "$pki/ca.crt" \
		--service-account-private-key-file "$pki/service-accounts.key" \
		--cluster-signing-cert-file "$pki/ca.crt" --cluster-signing-key-file "$pki/ca.key"
}

component_scheduler() {
	launch scheduler "$program" kube-scheduler --kubeconfig "$state/scheduler.conf" --bind-address 127.0.0.1 --leader-elect=false
}

component_kubelet() {
	# No image can be pulled, so none is ever collected; settings of the machine stay as they are.
	cat >"$state/kubelet.yaml" <<-YAML
		apiVersion: kubelet.config.k8s.io/v1beta1
		kind: KubeletConfiguration
		address: $node_ip
		authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $pki/ca.crt}}
		authorization: {mode: Webhook}
		tlsCertFile: $pki/kubelet-server.crt
		tlsPrivateKeyFile: $pki/kubelet-server.key
		containerRuntimeEndpoint: unix://$containerd_socket
		cgroupDriver: cgroupfs
		failCgroupV1: false
		failSwapOn: false
		makeIPTablesUtilChains: false
		clusterDomain: cluster.local
		clusterDNS: [$node_ip]
		resolvConf: ""
		podLogsDir: $state/log/pods
		volumePluginDir: $state/volume-plugins
		imageGCHighThresholdPercent: 100
		evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
		maxPods: 250
	YAML
	launch kubelet "$program" kubelet --kubeconfig "$state/kubelet.conf" --config "$state/kubelet.yaml" \
		--root-dir "$state/kubelet" --node-ip "$node_ip" --hostname-override "$node"
}

component_proxy() {
	settings "$state/proxy.yaml" <<-YAML
		apiVersion: kubeproxy.config.k8s.io/v1alpha1
		kind: KubeProxyConfiguration
		mode: nftables
		clusterCIDR: $pod_cidr
		hostnameOverride: $node
		nodePortAddresses: [$node_ip/32]
		clientConnection: {kubeconfig: $state/proxy.conf}
		healthzBindAddress: 127.0.0.1:10256
		metricsBindAddress: 127.0.0.1:10249
		conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
	YAML
	launch proxy "$program" kube-proxy --config "$state/proxy.yaml"
}

component_dns() {
	cat >"$state/Corefile" <<-COREFILE
		.:53 {
			bind $node_ip
			errors
			kubernetes cluster.local in-addr.arpa {
				kubeconfig $state/admin.conf
				pods insecure
				ttl 1
			}
			template ANY ANY . {
				rcode NXDOMAIN
			}
		}
	COREFILE
	launch dns "$program" coredns -conf "$state/Corefile"
}

component_load_balancer() {
	launch load-balancer "$program" load-balancer --kubeconfig "$state/admin.conf" --pool "$load_balancer_cidr"
}

component_policies() {
	local package=github.com/cloudnativelabs/kube-router/v2/cmd/kube-router
	install_packages iptables ipset
	build policies "$cluster_dir/policies" "$package"
	launch policies "$cache/bin/policies" --kubeconfig "$state/admin.conf" --hostname-override "$node" \
		--run-firewall --run-router=false --run-service-proxy=false --run-loadbalancer=false \
		--service-cluster-ip-range "$service_cidr" --service-external-ip-range "$load_balancer_cidr" \
		--metrics-port 0 --health-port 0
}

# Its own --cleanup-config panics in a node whose IPVS it never set up.
remove_policies() {
	local set
	iptables-save -t filter | grep -v 'KUBE-\(ROUTER\|POD-FW\|NWPLCY\)' | iptables-restore
	for set in $(ipset list -name | grep '^KUBE-\(SRC\|DST\)-'); do ipset destroy "$set"; done
}
