use std::{convert::Infallible, sync::Arc};

use http::{Request, Response};
use kube::client::Body;
use novaedge_api::{decode::decode, native::Transport};
use novaedge_fleet::GatewayState;
use novaedge_publish::{LogLimits, Publisher};
use novaedge_write::{Metrics, WriteConfig, Writer};
use serde_json::json;

use super::*;

const GATEWAY: &str = "gateway.networking.k8s.io/v1";

/// A pipeline whose writers have nobody to write to.
fn pipeline() -> (Pipeline, Publisher, watch::Receiver<Gateways>) {
    let service = tower::service_fn(|_: Request<Body>| async {
        let response = Response::builder().status(503).body(Body::empty());
        Ok::<_, Infallible>(response.expect("a response"))
    });
    let client = kube::Client::new(service, "default");
    let metrics = Arc::new(Metrics::default());
    let (intake, _writer) = Writer::new(client, WriteConfig::default(), metrics);
    let gateways = watch::Sender::new(Gateways::new());
    let wanted = gateways.subscribe();
    let publisher = Publisher::new(LogLimits::default());
    let cluster = Cluster::new(intake, gateways);
    let (pipeline, _) = Pipeline::in_cluster(publisher.clone(), cluster, "novaedge-system");
    (pipeline, publisher, wanted)
}

fn batch() -> Batch {
    let objects = [
        json!({"apiVersion": GATEWAY, "kind": "GatewayClass", "metadata": {"name": "novaedge"},
            "spec": {"controllerName": "novaedge.io/gateway-controller"}}),
        json!({"apiVersion": GATEWAY, "kind": "Gateway",
            "metadata": {"name": "edge", "namespace": "default", "generation": 1},
            "spec": {"gatewayClassName": "novaedge", "listeners": [
                {"name": "http", "protocol": "HTTP", "port": 80}]}}),
    ];
    let changes = objects.map(|object| Change::Upsert(decode(object).expect("an object")));
    Batch {
        changes: changes.into(),
        ..Batch::default()
    }
}

#[tokio::test]
async fn nothing_is_published_before_the_fleet_has_told_local_ports() {
    let (mut pipeline, publisher, wanted) = pipeline();
    let key = ObjectKey::new("default", "edge");
    pipeline.take(batch());
    assert!(wanted.borrow().contains_key(&key));
    assert_eq!(publisher.current().sequence, 0);

    pipeline.hear_fleet(&FleetState::default(), BTreeMap::new());
    assert_eq!(
        publisher.current().sequence,
        0,
        "the fleet knows nothing yet"
    );

    let state = GatewayState {
        ports: [((80, Transport::Tcp), 10_240)].into(),
        ..GatewayState::default()
    };
    let state = FleetState {
        gateways: [(key, state)].into(),
    };
    pipeline.hear_fleet(&state, BTreeMap::new());
    assert_eq!(publisher.current().sequence, 1, "all of it in one step");
}
