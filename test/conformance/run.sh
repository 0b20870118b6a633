#!/usr/bin/env bash
# run.sh [SUITE FLAG...]: runs the official conformance suite with all profiles and features, and writes its report.
#
# With KUBECONFIG set it uses that cluster, which must have NovaEdge's images and be able to pull the suite's own.
# Otherwise it uses the project's test cluster and brings it up if needed. With DEPLOYED=1 it takes all as it is; without,
# it makes and loads images, and applies the overlay ha. USABLE_ADDRESS and UNUSABLE_ADDRESS are what a Gateway may and
# may not ask for in its spec.addresses. Flags are added to the suite's; with -run-test NAME no report is written.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
own_cluster=${KUBECONFIG:+no} # asked before the settings give it a default
. "$here/../e2e/cluster/lib/settings.sh"
channel=experimental
profiles=GATEWAY-HTTP,GATEWAY-GRPC,GATEWAY-TLS,GATEWAY-TCP,GATEWAY-UDP
usable=${USABLE_ADDRESS:-10.97.0.250}
unusable=${UNUSABLE_ADDRESS:-192.0.2.1}

if [[ ${DEPLOYED:-} != 1 ]]; then
	if [[ $own_cluster != no ]]; then
		"$here/../e2e/cluster/up"
		"$here/../e2e/cluster/novaedge-images"
		"$here/images.sh"
	fi
	"$here/../e2e/cluster/crds" "$channel"
	"$here/../e2e/cluster/deploy" "$root/deploy/kustomize/overlays/ha"
fi
wait_for 60 'GatewayClass novaedge is accepted' kubectl wait --for=condition=Accepted gatewayclass/novaedge --timeout=5s

go_command='go test -c' build conformance.test "$here" .
version=${VERSION:-$(git -C "$root" describe --tags --always)}
flags=(-gateway-class novaedge -conformance-profiles "$profiles"
	-usable-address "$usable" -unusable-address "$unusable"
	-organization novaedge -project novaedge -url https://novaedge.io -version "$version" -contact @novaedge/maintainers)
report=${REPORT:-$here/report/$channel-$version-default-report.yaml}
[[ " $* " == *" -run-test "* ]] || flags+=(-report-output "$report")
# Namespaces of an earlier run may still be ending.
nothing_left() { [[ -z $(kubectl get namespaces -o name | grep gateway-conformance- || true) ]]; }
wait_for 120 'no earlier run is left' nothing_left
cd "$here"
say "running the suite"
exec "$cache/bin/conformance.test" -test.v -test.count=1 -test.timeout=60m "${flags[@]}" "$@"
