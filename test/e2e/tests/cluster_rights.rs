//! What novactl needs to be allowed on a cluster, and what it says to whom it is not.

use std::{fs, path::Path};

use novaedge_e2e::{
    cluster::{SYSTEM, bed, kubectl, try_kubectl},
    novactl::novactl,
};
use serde_json::Value;

/// The rights that `docs/kubernetes.md` tells, for an account of a test; gone when this is dropped.
struct Rights(String);

impl Rights {
    fn give(namespace: &str) -> Self {
        let manifest = format!(
            "{}\n---\n{}",
            role(
                "Role",
                SYSTEM,
                namespace,
                "- {apiGroups: [''], resources: [pods], verbs: [list]}\n\
                 - {apiGroups: [''], resources: [configmaps, pods/log], verbs: [get]}\n\
                 - {apiGroups: [''], resources: [pods/portforward], verbs: [get, create]}\n\
                 - {apiGroups: [apps], resources: [deployments], verbs: [list]}\n"
            ),
            role(
                "ClusterRole",
                "",
                namespace,
                "- {apiGroups: [gateway.networking.k8s.io, novaedge.io], resources: ['*'], verbs: [list]}\n\
                 - {apiGroups: [''], resources: [services, events], verbs: [list]}\n\
                 - {apiGroups: [networking.k8s.io], resources: [ingresses, ingressclasses], verbs: [list]}\n\
                 - {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list]}\n"
            )
        );
        let applied = try_kubectl(&["apply", "-f", "-"], &manifest);
        applied.unwrap_or_else(|error| panic!("{error}"));
        Self(manifest)
    }
}

impl Drop for Rights {
    fn drop(&mut self) {
        // What is left over is applied over by the next run.
        let _ = try_kubectl(&["delete", "--ignore-not-found", "-f", "-"], &self.0);
    }
}

/// A role, and its binding to the default account of a namespace.
fn role(kind: &str, within: &str, namespace: &str, rules: &str) -> String {
    let name = if within.is_empty() {
        "{name: novaedge-e2e-looker}".to_owned()
    } else {
        format!("{{name: novaedge-e2e-looker, namespace: {within}}}")
    };
    format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata: {name}\nrules:\n{rules}---\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}Binding\nmetadata: {name}\n\
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: {kind}, name: novaedge-e2e-looker}}\n\
         subjects: [{{kind: ServiceAccount, name: default, namespace: {namespace}}}]\n"
    )
}

/// A kubeconfig for the cluster with a token in place of its credentials, and the name of its context.
fn kubeconfig(token: &str, file: &Path) -> String {
    let config = kubectl(&["config", "view", "--raw", "--minify", "-o", "json"]);
    let mut config: Value = serde_json::from_str(&config).expect("JSON");
    config["users"][0]["user"] = serde_json::json!({"token": token});
    fs::write(file, config.to_string()).expect("the folder is writable");
    let context = config["current-context"].as_str().expect("a context");
    context.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
async fn the_rights_that_the_page_tells_are_enough() {
    let (namespace, _) = bed("looker", "hello.example.com", 1).await;
    let _rights = Rights::give(namespace.name());
    let token = namespace.kubectl(&["create", "token", "default"]);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config");
    kubeconfig(&token, &file);
    let file = file.to_str().expect("a path of text");
    let bundle = folder.path().join("bundle.tar.gz");
    let bundle = bundle.to_str().expect("a path of text");
    let gateway = format!("{}/edge", namespace.name());
    for line in [
        &["gateway-api", "gateways", "-A"][..],
        &[
            "gateway-api",
            "describe-gateway",
            "edge",
            "-n",
            namespace.name(),
        ],
        &["status", "-n", namespace.name()],
        &["agents"],
        &["snapshot", "get", "--gateway", &gateway],
        &[
            "explain",
            "http://hello.example.com/",
            "--gateway",
            &gateway,
        ],
    ] {
        let answer = novactl(&[line, &["--kubeconfig", file]].concat()).await;
        assert_eq!(
            (answer.code, answer.err.as_str()),
            (0, ""),
            "{line:?}: {answer:?}"
        );
    }
    let answer = novactl(&["bundle", "-o", bundle, "--kubeconfig", file]).await;
    assert_eq!((answer.code, answer.err.as_str()), (0, ""), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
async fn who_lacks_a_right_is_told_which() {
    // This account has no rights but to look at snapshots from within the cluster.
    let token = kubectl(&[
        "--namespace",
        SYSTEM,
        "create",
        "token",
        "novaedge-inspector",
    ]);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config");
    let context = kubeconfig(&token, &path);
    let file = path.to_str().expect("a path of text");
    for (line, words) in [
        (
            &["gateway-api", "gateways"][..],
            "you may not list gateways.gateway.networking.k8s.io in namespace default",
        ),
        (
            &["agents"],
            "you may not list pods in namespace novaedge-system",
        ),
    ] {
        let answer = novactl(&[line, &["--kubeconfig", file]].concat()).await;
        assert_eq!(answer.code, 2, "{answer:?}");
        let words = format!("context {context}: {words}");
        assert!(answer.err.contains(&words), "{answer:?}");
    }
    kubeconfig("nobody's", &path);
    let answer = novactl(&["gateway-api", "gateways", "--kubeconfig", file]).await;
    assert!(
        answer.err.contains("does not take your credentials"),
        "{answer:?}"
    );
}
