//! `novactl bundle` of a cluster: all that a bug report needs, and none of the secrets that stand everywhere.

use std::{collections::BTreeMap, fs, io::Read as _, path::Path};

use novactl::bundle::REDACTED;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::bed::{Bed, GATEWAY, PODS, list};

/// Every secret has it in it.
const SECRET: &str = "s3cr3t";

/// The files of a bundle, by name below its folder.
fn unpacked(file: &Path) -> BTreeMap<String, String> {
    let bytes = fs::File::open(file).expect("a bundle");
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes));
    let entries = archive.entries().expect("entries");
    entries
        .map(|entry| {
            let mut entry = entry.expect("an entry");
            let path = entry.path().expect("a path").display().to_string();
            let (folder, name) = path.split_once('/').expect("a folder");
            assert!(folder.starts_with("novaedge-bundle-"), "{folder}");
            let name = name.to_owned();
            let mut text = String::new();
            entry.read_to_string(&mut text).expect("text");
            (name, text)
        })
        .collect()
}

/// Metrics of an agent, and where they are.
async fn metrics() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 1024];
            let _ = stream.read(&mut head).await;
            let answer =
                "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nnovaedge_http_requests_total 7\n";
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

/// A route whose filters and matches carry secrets.
fn route() -> Value {
    json!({
        "metadata": {"namespace": "shop", "name": "planted", "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": format!("{{\"x\":\"{SECRET}\"}}"),
            "note": format!("curl -H 'Authorization: Bearer {SECRET}123' https://u:{SECRET}@a.example/"),
        }},
        "spec": {"parentRefs": [{"name": "example-gateway", "namespace": "default"}], "rules": [{
            "matches": [{"headers": [{"name": "X-Api-Key", "value": SECRET}]}],
            "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {
                "set": [{"name": "Authorization", "value": format!("Basic {SECRET}")},
                        {"name": "X-Kept", "value": "kept"}]}}],
        }]},
    })
}

fn agent_pod() -> Value {
    json!({
        "metadata": {"namespace": "novaedge-system", "name": "agent-0",
            "labels": {"app.kubernetes.io/name": "novaedge-agent"}},
        "spec": {"containers": [{"name": "agent", "args": [format!("--token={SECRET}")],
            "env": [{"name": "DB_PASSWORD", "value": SECRET}],
            "ports": [{"name": "admin", "containerPort": 9901}]}]},
        "status": {"conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "agent", "restartCount": 2}]},
    })
}

async fn planted() -> Bed {
    let bed = Bed::start().await;
    let metrics = metrics().await;
    bed.api.change(|answers| {
        list(answers, GATEWAY, "v1", "httproutes", vec![route()]);
        let natives = json!({"versions": [{"version": "v1alpha1"}]});
        answers.values.insert("/apis/novaedge.io".to_owned(), natives);
        let resources = json!({"resources": [{"name": "proxyroutes", "kind": "ProxyRoute"}]});
        answers.values.insert("/apis/novaedge.io/v1alpha1".to_owned(), resources);
        let ingresses = json!({"versions": [{"version": "v1"}]});
        answers.values.insert("/apis/networking.k8s.io".to_owned(), ingresses);
        let resources = json!({"resources": [{"name": "ingresses", "kind": "Ingress"}]});
        answers.values.insert("/apis/networking.k8s.io/v1".to_owned(), resources);
        list(answers, "/apis/networking.k8s.io", "v1", "ingresses", vec![route()]);
        list(answers, "/apis/novaedge.io", "v1alpha1", "proxyroutes", vec![route()]);
        let pods = answers.values.get_mut(PODS).expect("pods");
        pods["items"].as_array_mut().expect("a list").push(agent_pod());
        let pods = pods.clone();
        answers.values.insert("/api/v1/pods".to_owned(), pods);
        answers.forwards.insert("agent-0:9901".to_owned(), metrics);
        answers.forwards.insert("control-plane-0:18001".to_owned(), metrics);
        for path in [
            "/apis/apps/v1/namespaces/novaedge-system/deployments",
            "/api/v1/namespaces/novaedge-system/services",
            "/api/v1/services",
            "/apis/discovery.k8s.io/v1/endpointslices",
        ] {
            answers.values.insert(path.to_owned(), json!({"kind": "List", "items": []}));
        }
        let events = json!({"kind": "EventList", "apiVersion": "v1", "items": [
            {"metadata": {"name": "e"}, "message": format!("refused token={SECRET}")}]});
        answers.values.insert("/api/v1/events".to_owned(), events.clone());
        answers.values.insert("/api/v1/namespaces/novaedge-system/events".to_owned(), events);
        answers.values.insert("/version".to_owned(), json!({"gitVersion": "v1.34.0"}));
        let log = format!(
            "2026-01-01T00:00:00Z INFO ready\nauthorization: Bearer {SECRET}abc\n\
             -----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----\ncookie=sid={SECRET}\n"
        );
        for pod in ["agent-0", "control-plane-0"] {
            answers.texts.insert(format!("{PODS}/{pod}/log"), log.clone());
        }
    });
    bed
}

#[tokio::test(flavor = "multi_thread")]
async fn all_is_in_it_but_secrets() {
    let bed = planted().await;
    bed.replicas[0].agent("agent-0").await;
    let answer = bed.run(&["bundle", "-o", "report.tar.gz"]);
    assert_eq!(answer.out, "report.tar.gz\n", "{answer:?}");
    // The cluster of the test serves no kinds but these of the native ones.
    let missing: Vec<&str> = answer.err.lines().collect();
    assert_eq!(missing.len(), 4, "{answer:?}");
    let files = unpacked(&bed.home.path().join("report.tar.gz"));
    for (name, part) in [
        ("README.txt", "Missing or cut:"),
        ("novactl.yaml", "context: here"),
        ("kubernetes.yaml", "gitVersion: v1.34.0"),
        ("agents.txt", "agent-0"),
        ("agents.yaml", "1.2.3"),
        ("snapshot.yaml", "route/HTTPRoute/default/www/0"),
        ("status.txt", "1 of 1 agents"),
        ("status.yaml", "findings:"),
        ("diagnostics.yaml", "problems:"),
        ("objects/Gateway.yaml", "example-gateway"),
        ("objects/HTTPRoute.yaml", "name: planted"),
        ("objects/ProxyRoute.yaml", "name: planted"),
        ("objects/Ingress.yaml", "name: planted"),
        ("objects/events.yaml", "refused token="),
        ("objects/Service.yaml", "items:"),
        ("objects/EndpointSlice.yaml", "items:"),
        ("system/pods.yaml", "name: agent-0"),
        ("system/deployments.yaml", "items:"),
        ("system/events.yaml", "refused token="),
        (
            "system/logs/novaedge-system/agent-0.agent.log",
            "INFO ready",
        ),
        (
            "system/logs/novaedge-system/agent-0.agent.previous.log",
            "INFO ready",
        ),
        (
            "system/logs/novaedge-system/control-plane-0.control-plane.log",
            "INFO ready",
        ),
        (
            "metrics/novaedge-system/agent-0.txt",
            "novaedge_http_requests_total 7",
        ),
        (
            "metrics/novaedge-system/control-plane-0.txt",
            "novaedge_http_requests_total 7",
        ),
    ] {
        let text = files
            .get(name)
            .unwrap_or_else(|| panic!("no {name} in {:?}", files.keys()));
        assert!(text.contains(part), "no {part:?} in {name}:\n{text}");
    }
    for (name, text) in &files {
        for secret in [SECRET, "token-of-the-user", "PRIVATE KEY", "managedFields"] {
            assert!(!text.contains(secret), "{secret} is in {name}:\n{text}");
        }
        assert!(!name.contains("Secret"), "{name}");
    }
    // What stands beside secrets is kept.
    let route = &files["objects/HTTPRoute.yaml"];
    assert!(
        route.contains("kept") && route.contains(REDACTED),
        "{route}"
    );
    // Nothing is written over.
    let again = bed.run(&["bundle", "-o", "report.tar.gz"]);
    assert_eq!(again.code, 2, "{again:?}");
    assert!(
        again.err.contains("report.tar.gz is there already"),
        "{again:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_had_is_told_and_the_rest_is_there() {
    let bed = planted().await;
    bed.api.change(|answers| {
        answers.forwards.clear();
        answers.forbidden.insert("/api/v1/pods".to_owned());
        answers.forbidden.insert(format!("{PODS}/agent-0/log"));
    });
    let answer = bed.run(&["bundle"]);
    assert_eq!(answer.code, 1, "{answer:?}");
    let name = answer.out.trim();
    assert!(
        name.starts_with("novaedge-bundle-2") && name.ends_with("Z.tar.gz"),
        "{name}"
    );
    let files = unpacked(&bed.home.path().join(name));
    let about = &files["README.txt"];
    for missing in [
        "Snapshot and agents: context here: no connection to port 18000",
        "you may not get pods/log in namespace novaedge-system",
        "metrics/novaedge-system/agent-0.txt: context here: no connection to port 9901",
    ] {
        assert!(about.contains(missing), "no {missing:?} in\n{about}");
        assert!(answer.err.contains(missing), "{answer:?}");
    }
    assert!(files.contains_key("objects/Gateway.yaml") && !files.contains_key("snapshot.yaml"));
}
