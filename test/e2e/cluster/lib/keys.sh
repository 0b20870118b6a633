# Keys, certificates and kubeconfig files of the cluster's programs; sourced, not run.
# shellcheck shell=bash disable=SC2154

pki=$state/pki

# certificate NAME SUBJECT [SUBJECT-ALT-NAMES]: a key and a certificate that the cluster's authority has signed.
certificate() {
	[[ ! -s $pki/$1.crt ]] || return 0
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$pki/$1.key" -subj "$2" 2>/dev/null |
		openssl x509 -req -days 365 -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -out "$pki/$1.crt" 2>/dev/null \
			-extfile <(printf 'keyUsage=digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\n%s\n' "${3:+subjectAltName=$3}")
}

# client NAME SUBJECT: a certificate and the kubeconfig file that uses it.
client() {
	certificate "$1" "$2"
	[[ ! -s $state/$1.conf ]] || return 0
	(
		umask 077
		cat >"$state/$1.conf" <<-CONF
			apiVersion: v1
			kind: Config
			current-context: novaedge
			clusters: [{name: novaedge, cluster: {server: "https://$node_ip:6443", certificate-authority-data: $(base64 -w0 "$pki/ca.crt")}}]
			contexts: [{name: novaedge, context: {cluster: novaedge, user: $1}}]
			users: [{name: $1, user: {client-certificate-data: $(base64 -w0 "$pki/$1.crt"), client-key-data: $(base64 -w0 "$pki/$1.key")}}]
		CONF
	)
}

keys() {
	if [[ ! -s $pki/ca.crt ]]; then
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -subj /CN=novaedge-cluster \
			-addext keyUsage=critical,keyCertSign,digitalSignature -keyout "$pki/ca.key" -out "$pki/ca.crt" 2>/dev/null
		openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$pki/service-accounts.key" 2>/dev/null
		openssl pkey -in "$pki/service-accounts.key" -pubout -out "$pki/service-accounts.pub"
	fi
	local name=DNS:kubernetes
	certificate apiserver /CN=kube-apiserver \
		"DNS:localhost,$name,$name.default,$name.default.svc,$name.default.svc.cluster.local,IP:127.0.0.1,IP:$node_ip,IP:$kubernetes_service_ip"
	certificate kubelet-server "/CN=$node" "DNS:$node,IP:$node_ip"
	client admin /O=system:masters/CN=admin
	client kubelet "/O=system:nodes/CN=system:node:$node"
	client controller-manager /CN=system:kube-controller-manager
	client scheduler /CN=system:kube-scheduler
	client proxy /CN=system:kube-proxy
}
