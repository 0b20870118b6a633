//! A change of the folder as a trace, from the source to the agent's acknowledgement.
#![allow(clippy::unwrap_used)] // a harness may panic

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use novaedge::{Config, Standalone, Telemetry};
use novaedge_collector::{Collector, Span, attributes};
use novaedge_control_plane::folder::Watch;
use novaedge_telemetry::{Sampling, TraceConfig};

fn gateway(port: u16) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {{name: novaedge}}\n\
         spec: {{controllerName: novaedge.io/gateway-controller}}\n---\n\
         apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: edge}}\n\
         spec:\n  gatewayClassName: novaedge\n  addresses: [{{value: 127.0.0.1}}]\n  \
         listeners: [{{name: web, port: {port}, protocol: HTTP}}]\n"
    )
}

fn parts<'s>(spans: &'s [Span], root: &Span) -> Vec<&'s Span> {
    let all = spans.iter();
    all.filter(|span| span.parent_span_id == root.span_id)
        .collect()
}

fn named<'s>(spans: &'s [Span], name: &str) -> Vec<&'s Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_followed_from_the_source_to_the_agent() {
    let (collector, address) = Collector::start().await.unwrap();
    let (tracer, export) = novaedge_telemetry::start(TraceConfig {
        endpoint: format!("http://{address}"),
        sampling: Sampling { ratio: 1.0 },
        service: "novaedge",
        version: "0",
        instance: "test".into(),
    })
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let file = folder.path().join("edge.yaml");
    std::fs::write(&file, gateway(novaedge_ports::free_port())).unwrap();
    let system = Standalone::start(Config {
        folder: folder.path().to_owned(),
        watch: Watch::Yes,
        grpc: any,
        admin: any,
        state_dir: folder.path().join(".novaedge"),
        workers: Some(1),
        telemetry: Telemetry {
            tracer: Some(tracer),
            ..Telemetry::default()
        },
    })
    .await
    .unwrap();
    // An agent is there now, which acknowledges what changes.
    let status = folder
        .path()
        .join(".novaedge/status/Gateway/default/edge.yaml");
    for _ in 0..1_000 {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        if text.contains("reason: Programmed") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    std::fs::write(&file, gateway(novaedge_ports::free_port())).unwrap();
    let spans = collector
        .wait(|spans| !named(spans, "acknowledge").is_empty())
        .await;
    let acknowledged = named(&spans, "acknowledge")[0];
    assert_eq!(attributes(acknowledged)["novaedge.node"], "standalone");
    // The root is sent after its parts.
    let spans = collector
        .wait(|spans| {
            let mut all = spans.iter();
            all.any(|span| span.span_id == acknowledged.parent_span_id)
        })
        .await;
    let root = spans
        .iter()
        .find(|span| span.span_id == acknowledged.parent_span_id)
        .unwrap();
    assert_eq!(root.name, "change");
    assert!(root.parent_span_id.iter().all(|byte| *byte == 0));
    let told = attributes(root);
    assert!(told["novaedge.objects"].contains("Gateway"), "{told:?}");
    assert!(told["novaedge.sequence"].parse::<u64>().unwrap() >= 1);
    let parts = parts(&spans, root);
    let names: BTreeSet<_> = parts.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(
        names,
        BTreeSet::from(["acknowledge", "compile", "publish", "translate"])
    );
    for part in parts {
        assert_eq!(part.trace_id, root.trace_id);
        assert!(part.start_time_unix_nano >= root.start_time_unix_nano);
        assert!(part.end_time_unix_nano <= root.end_time_unix_nano);
    }
    system.stop(Duration::from_millis(200)).await;
    export.stop(Duration::from_secs(2)).await;
}
