//! A cluster whose definitions of the Gateway API come, go and change under a running system.

// The numbers that were seen.
#![allow(clippy::print_stderr)]

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use novaedge_e2e::{
    clients::get,
    cluster::{
        Audit, Load, bed, grpc, is_own, kill, kubectl, ready_pods, restarts, rolled_out, route,
        run_as_host, serves, serves_grpc, try_kubectl, within,
    },
};

const HOST: &str = "hello.example.com";
const MINUTE: Duration = Duration::from_mins(1);
const CONTROL_PLANE: &str = "novaedge-control-plane";

/// Puts back the definitions that other tests need.
struct Definitions;

impl Definitions {
    /// Removes all, with every object.
    fn remove() -> Self {
        crds(&["none"]);
        Self
    }

    /// Installs a release's definitions, and the class again.
    fn install(release: &[&str]) {
        crds(release);
        kubectl(&["apply", "-f", &class()]);
        kubectl(&[
            "wait",
            "gatewayclass/novaedge",
            "--for=condition=Accepted",
            "--timeout=60s",
        ]);
    }
}

impl Drop for Definitions {
    fn drop(&mut self) {
        // A test that fails leaves as a cluster what those after it need.
        for arguments in [&["none"][..], &[]] {
            let ended = Command::new(script()).args(arguments).status();
            if !ended.is_ok_and(|status| status.success()) {
                eprintln!(
                    "the definitions are not back: {} {arguments:?}",
                    script().display()
                );
            }
        }
        let back = try_kubectl(&["apply", "-f", &class()], "");
        if let Err(error) = back {
            eprintln!("the class is not back: {error}");
        }
    }
}

fn crds(arguments: &[&str]) {
    run_as_host(Command::new(script()).args(arguments), "");
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster/crds")
}

/// The class as the deployment has it.
fn class() -> String {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/kustomize/base");
    let class = base.join("control-plane/gateway-class.yaml");
    class.to_str().expect("a path in UTF-8").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
async fn definitions_come_late_and_in_every_version() {
    if !is_own() {
        return;
    }
    let _definitions = Definitions::remove();
    // Control planes that start where there is none of them are ready all the same.
    for (pod, _) in ready_pods(CONTROL_PLANE) {
        kill(&pod);
    }
    rolled_out(CONTROL_PLANE);
    let before = restarts();

    // The oldest: no listener sets, no routes for TCP, UDP and TLS, and fewer fields.
    Definitions::install(&["standard", "v1.4.0"]);
    let (namespace, address) = bed("crds", HOST, 2).await;
    namespace.apply(&grpc("grpc.example.com"));
    serves_grpc(address, "grpc.example.com").await;
    nothing_is_written().await;

    // An upgrade while it serves.
    let load = Load::start(address, HOST, 4);
    Definitions::install(&["standard", "v1.7.0"]);
    namespace.apply(&tcp());
    let tcp = namespace.address("tcp", 9000);
    answers_by_tcp(tcp).await;
    namespace.apply(&route("other", "other.example.com"));
    serves(address, "other.example.com").await;
    let (answers, failures) = load.finish().await;
    eprintln!("{answers} answers");
    assert_eq!(failures, Vec::<String>::new());
    nothing_is_written().await;
    assert_eq!(restarts(), before);
    drop(namespace);
}

/// A Gateway `tcp` that leads port 9000 to `hello`.
fn tcp() -> String {
    "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: tcp}\n\
     spec:\n  gatewayClassName: novaedge\n  listeners: [{name: tcp, protocol: TCP, port: 9000}]\n---\n\
     apiVersion: gateway.networking.k8s.io/v1\nkind: TCPRoute\nmetadata: {name: hello}\nspec:\n  \
     parentRefs: [{name: tcp}]\n  rules: [{backendRefs: [{name: hello, port: 80}]}]\n"
        .to_owned()
}

async fn answers_by_tcp(address: SocketAddr) {
    within(MINUTE, "an answer by TCP", async || {
        (get(address, "any.example.com", "/").await.status == 200).then_some(())
    })
    .await;
}

/// What a definition does not keep must not be written again and again.
async fn nothing_is_written() {
    let mut last = BTreeMap::new();
    within(MINUTE, "an end of all writes", async || {
        let audit = Audit::begin();
        tokio::time::sleep(Duration::from_secs(5)).await;
        let writes = audit.writes();
        if writes != last {
            eprintln!("written in 5 s: {writes:?}");
            last = writes;
        }
        last.is_empty().then_some(())
    })
    .await;
}
