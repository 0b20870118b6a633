//! The command lines of the product's first document, against a real API server, by the kubeconfig that kubectl goes by.

use std::{fs, path::Path};

use novaedge_e2e::{
    certificates::Ca,
    cluster::{bed, kubectl, ready_pods, try_kubectl, within},
    novactl::{novactl, ok},
};
use serde_json::Value;

/// The example of the first document, in the namespace that it names; gone when this is dropped.
struct Example {
    manifest: String,
}

impl Example {
    fn apply() -> Self {
        let brief = Path::new(env!("CARGO_MANIFEST_DIR")).join("brief");
        let read = |name: &str| fs::read_to_string(brief.join(name)).expect("the example is there");
        let documents = [
            read("gateway.yaml"),
            read("example-httproute.yaml"),
            Ca::new()
                .issue(&["example.com"])
                .secret("example-tls-secret"),
            "apiVersion: v1\nkind: Service\nmetadata: {name: api-service}\n\
             spec: {ports: [{port: 8080}]}\n"
                .to_owned(),
        ];
        let example = Self {
            manifest: documents.join("\n---\n"),
        };
        let applied = try_kubectl(
            &["--namespace", "default", "apply", "-f", "-"],
            &example.manifest,
        );
        applied.unwrap_or_else(|error| panic!("{error}"));
        kubectl(&[
            "--namespace",
            "default",
            "wait",
            "--for=condition=Programmed",
            "--timeout=60s",
            "gateway/example-gateway",
        ]);
        example
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let delete = [
            "--namespace",
            "default",
            "delete",
            "--ignore-not-found",
            "-f",
            "-",
        ];
        // What is left over is applied over by the next run.
        let _ = try_kubectl(&delete, &self.manifest);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
async fn the_lines_of_the_first_document_work_as_they_stand_there() {
    let _example = Example::apply();
    let classes = ok(&["gateway-api", "gatewayclasses"]).await;
    assert!(
        classes.contains("novaedge.io/gateway-controller   True"),
        "{classes}"
    );
    let gateways = ok(&["gateway-api", "gateways"]).await;
    let row = gateways
        .lines()
        .find(|row| row.starts_with("example-gateway "));
    let row = row.unwrap_or_else(|| panic!("{gateways}"));
    assert!(
        row.contains("True") && !row.contains("<unknown>"),
        "{gateways}"
    );
    let routes = ok(&["gateway-api", "httproutes"]).await;
    assert!(
        routes.contains("example-httproute   example.com"),
        "{routes}"
    );
    let text = ok(&["gateway-api", "describe-gateway", "example-gateway"]).await;
    for part in [
        "Programmed     True",
        "default/example-tls-secret   example.com",
        "HTTPRoute   example-httproute",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    assert!(ok(&["conformance"]).await.contains("GATEWAY-HTTP"));
    // Native objects come by and by.
    let yaml = within(
        std::time::Duration::from_mins(1),
        "native objects",
        async || {
            try_kubectl(
                &["get", "proxygateway", "example-gateway", "-o", "yaml"],
                "",
            )
            .ok()
        },
    )
    .await;
    assert!(
        yaml.contains("kind: ProxyGateway") && yaml.contains("port: 443"),
        "{yaml}"
    );
    let yaml = kubectl(&["get", "proxyroute", "example-httproute", "-o", "yaml"]);
    assert!(
        yaml.contains("kind: ProxyRoute") && yaml.contains("value: /api"),
        "{yaml}"
    );
    let backends = kubectl(&["get", "proxybackend", "-l", "novaedge.io/gateway-api-owner"]);
    assert!(backends.contains("api-service"), "{backends}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
async fn control_planes_are_asked_through_the_api_server() {
    const HOST: &str = "hello.example.com";
    let (namespace, _) = bed("novactl", HOST, 2).await;
    let agents = ok(&["agents", "-o", "json"]).await;
    let agents: Value = serde_json::from_str(&agents).expect("JSON");
    let agents = agents["agents"].as_array().expect("a list").clone();
    assert_eq!(
        agents.len(),
        ready_pods("novaedge-agent").len(),
        "agents of all replicas: {agents:?}"
    );
    assert!(
        agents.iter().all(|agent| agent["state"] == "ACK"),
        "{agents:?}"
    );
    let gateway = format!("{}/edge", namespace.name());
    let part = ok(&["snapshot", "get", "--gateway", &gateway]).await;
    assert!(
        part.contains(&format!("route/HTTPRoute/{}/hello/0", namespace.name())),
        "{part}"
    );
    let url = format!("http://{HOST}/");
    let told = ok(&["explain", &url, "--gateway", &gateway]).await;
    assert!(
        told.contains(&format!(
            "Rule      0 of HTTPRoute {}/hello",
            namespace.name()
        )),
        "{told}"
    );
    let none = novactl(&[
        "explain",
        "http://nobody.example.com/",
        "--gateway",
        &gateway,
    ])
    .await;
    assert_eq!(none.code, 1, "{none:?}");
    let status = ok(&["status", "-n", namespace.name()]).await;
    assert!(status.contains("agents at the newest snapshot"), "{status}");
    let all = ok(&["gateway-api", "gateways", "-A"]).await;
    assert!(all.contains(namespace.name()), "{all}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
async fn a_bundle_of_the_cluster_has_no_secrets() {
    let (namespace, _) = bed("bundle", "hello.example.com", 1).await;
    let planted = "s3cr3t-of-the-test";
    namespace.apply(&format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: planted}}\nstringData: {{password: {planted}}}\n---\n\
         apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: planted}}\nspec:\n  \
         parentRefs: [{{name: edge}}]\n  hostnames: [planted.example.com]\n  rules:\n  - filters:\n    \
         - type: RequestHeaderModifier\n      requestHeaderModifier:\n        \
         set: [{{name: Authorization, value: 'Bearer {planted}'}}]\n    backendRefs: [{{name: hello, port: 80}}]\n"
    ));
    within(std::time::Duration::from_mins(1), "the route", async || {
        let snapshot = ok(&["snapshot", "get"]).await;
        snapshot.contains("/planted/0").then_some(())
    })
    .await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("bundle.tar.gz");
    let line = ["bundle", "-o", file.to_str().expect("a path of text")];
    let answer = novactl(&line).await;
    assert_eq!(
        (answer.code, answer.err.as_str()),
        (0, ""),
        "all of it is there"
    );
    let unpack = std::process::Command::new("tar")
        .args(["-xzf", "bundle.tar.gz", "--strip-components=1"])
        .current_dir(folder.path())
        .status();
    assert!(unpack.expect("tar starts").success());
    fs::remove_file(&file).expect("the bundle");
    let mut found = Vec::new();
    let mut folders = vec![folder.path().to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).expect("text");
            for secret in [planted, "PRIVATE KEY"] {
                assert!(!text.contains(secret), "{secret} is in {}", path.display());
            }
            let name = path.strip_prefix(folder.path()).expect("below it");
            found.push((name.display().to_string(), text));
        }
    }
    for (name, part) in [
        ("objects/HTTPRoute.yaml", "planted.example.com"),
        ("objects/ProxyRoute.yaml", "planted.example.com"),
        ("snapshot.yaml", "planted.example.com"),
        ("kubernetes.yaml", "gitVersion"),
        ("system/deployments.yaml", "novaedge-control-plane"),
    ] {
        let file = found.iter().find(|(found, _)| found == name);
        let (_, text) = file.unwrap_or_else(|| panic!("no {name}"));
        assert!(text.contains(part), "no {part} in {name}");
    }
    for pod in ["novaedge-agent", "novaedge-control-plane"] {
        for (start, inside) in [("metrics/", "novaedge_"), ("system/logs/", "INFO")] {
            let of_pod = found
                .iter()
                .find(|(name, _)| name.starts_with(start) && name.contains(pod));
            let (_, text) = of_pod.unwrap_or_else(|| panic!("nothing of {pod} in {start}"));
            assert!(text.contains(inside), "{start} of {pod}: {text}");
        }
    }
}
