// Package conformance runs the official conformance suite of the Gateway API against a cluster that serves NovaEdge.
// Every flag is the suite's own; run.sh beside this file passes them.
package conformance

import (
	"testing"

	"sigs.k8s.io/gateway-api/conformance"
)

func TestConformance(t *testing.T) {
	conformance.RunConformance(t)
}
