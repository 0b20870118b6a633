//! Everything that the leader writes to the API server, but Services and EndpointSlices.
