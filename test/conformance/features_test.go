package conformance

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/conformance"
	"sigs.k8s.io/gateway-api/pkg/features"
)

// TestEveryFeatureIsClaimed compares what the GatewayClass's status claims with all features that the suite's version
// knows for gateways. The suite takes its claims from that status, so that status and report cannot differ; this test
// makes sure that the status leaves out none. Features that only later versions know may stand there as well.
func TestEveryFeatureIsClaimed(t *testing.T) {
	options := conformance.DefaultOptions(t)
	class := &gatewayv1.GatewayClass{}
	name := options.GatewayClassName
	if err := options.Client.Get(t.Context(), client.ObjectKey{Name: name}, class); err != nil {
		t.Fatalf("reading GatewayClass %s: %v", name, err)
	}
	claimed := sets.New[features.FeatureName]()
	for _, feature := range class.Status.SupportedFeatures {
		claimed.Insert(features.FeatureName(feature.Name))
	}
	mesh := features.SetsToNamesSet(features.MeshCoreFeatures, features.MeshExtendedFeatures)
	known := features.SetsToNamesSet(features.AllFeatures).Difference(mesh)
	for _, feature := range slices.Sorted(slices.Values(known.Difference(claimed).UnsortedList())) {
		t.Errorf("GatewayClass %s does not claim %s", name, feature)
	}
	for _, feature := range slices.Sorted(slices.Values(claimed.Difference(known).UnsortedList())) {
		t.Logf("claimed, and unknown to this version of the suite: %s", feature)
	}
}
