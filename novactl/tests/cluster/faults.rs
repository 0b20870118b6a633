//! What goes wrong is told with context, place and fix, and exit code 2.

use super::{
    bed::{BUNDLE, Bed, GATEWAY, PODS},
    control_plane::Authority,
    process::{answer, novactl},
};

/// Checks the words on standard error, and the exit code.
#[track_caller]
fn told(bed: &Bed, line: &[&str], words: &[&str]) {
    let answer = bed.run(line);
    assert_eq!((answer.code, answer.out.as_str()), (2, ""), "{answer:?}");
    for word in words {
        assert!(answer.err.contains(word), "no {word:?}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_that_are_lacking_are_named() {
    let bed = Bed::start().await;
    let forbid = |path: &str| {
        bed.api.change(|answers| {
            answers.forbidden.clear();
            answers.forbidden.insert(path.to_owned());
        });
    };
    forbid(&format!("{GATEWAY}/v1/gateways"));
    told(
        &bed,
        &["gateway-api", "gateways", "-A"],
        &[
            "context here: you may not list gateways.gateway.networking.k8s.io in all namespaces",
            "name a namespace that you may look into with -n",
        ],
    );
    forbid(&format!("{GATEWAY}/v1/namespaces/shop/gateways"));
    told(
        &bed,
        &["gateway-api", "gateways", "-n", "shop"],
        &[
            "in namespace shop: ask for the verb list on gateways.gateway.networking.k8s.io in a Role of namespace shop",
        ],
    );
    forbid(PODS);
    told(
        &bed,
        &["agents"],
        &["context here: you may not list pods in namespace novaedge-system"],
    );
    forbid(&format!("{PODS}/control-plane-0"));
    told(
        &bed,
        &["agents"],
        &[
            "context here: you may not open pods/portforward in namespace novaedge-system",
            "ask for the verbs get and create on pods/portforward in a Role of namespace novaedge-system",
        ],
    );
    forbid(BUNDLE);
    told(
        &bed,
        &["explain", "http://a.example/"],
        &["you may not get configmaps in namespace novaedge-system"],
    );
    bed.api.change(|answers| answers.knows_nobody = true);
    told(
        &bed,
        &["snapshot", "get"],
        &[
            "context here: the API server does not take your credentials",
            "log in again",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_cluster_lacks_is_named() {
    let bed = Bed::start().await;
    bed.api.change(|answers| {
        answers.values.remove(&format!("{GATEWAY}/v1alpha2"));
    });
    told(
        &bed,
        &["gateway-api", "tcproutes"],
        &["context here: the cluster does not serve TCPRoute"],
    );
    // A kind that is not there is nothing to fix.
    let status = bed.run(&["status"]);
    assert!(status.err.is_empty() && status.code < 2, "{status:?}");
    told(
        &bed,
        &["agents", "--system-namespace", "elsewhere"],
        &[
            "no pod of a control plane is ready in namespace elsewhere",
            "--system-namespace",
        ],
    );
    let other = Authority::new().bundle;
    bed.api.change(|answers| {
        answers.values.get_mut(BUNDLE).expect("a ConfigMap")["data"]["ca.crt"] = other.into();
    });
    told(
        &bed,
        &["agents"],
        &[
            "port 18000 of pod novaedge-system/control-plane-0: TLS: ",
            "invalid peer certificate",
        ],
    );
    bed.api.change(|answers| {
        answers.values.get_mut(BUNDLE).expect("a ConfigMap")["data"]["ca.crt"] = "none".into();
    });
    told(
        &bed,
        &["agents"],
        &["ConfigMap novaedge-ca-bundle in namespace novaedge-system has no certificate"],
    );
    bed.api.change(|answers| {
        answers.values.remove(BUNDLE);
    });
    told(
        &bed,
        &["agents"],
        &["novaedge-ca-bundle", "it is not there"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_is_none_is_told() {
    let bed = Bed::start().await;
    told(
        &bed,
        &["agents", "--context", "nowhere"],
        &["has no context nowhere: name one of here, shop with --context"],
    );
    told(
        &bed,
        &["agents", "--kubeconfig", "missing"],
        &["kubeconfig missing cannot be used", "--kubeconfig"],
    );
    told(
        &bed,
        &[
            "agents",
            "--context",
            "here",
            "--server",
            "http://127.0.0.1:1",
        ],
        &["--context names a cluster and --server a standalone system: give one of them"],
    );
    std::fs::write(bed.home.path().join("broken"), "clusters: 7\n").expect("a file");
    told(
        &bed,
        &["agents", "--kubeconfig", "broken"],
        &["kubeconfig broken cannot be used ("],
    );
    let gone = "apiVersion: v1\nkind: Config\ncurrent-context: gone\n\
        clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\n\
        contexts: [{name: gone, context: {cluster: c}}]\n";
    std::fs::write(bed.home.path().join("gone"), gone).expect("a file");
    told(
        &bed,
        &["gateway-api", "gateways", "--kubeconfig", "gone"],
        &[
            "context gone: the API server at http://127.0.0.1:1/ does not answer",
            "refused",
        ],
    );
    // Without a kubeconfig, a folder or a server there is nothing to look at.
    let mut command = novactl(&["gateway-api", "gateways"]);
    command.current_dir(bed.home.path());
    let nothing = answer(command.output());
    assert_eq!(nothing.code, 2);
    assert!(
        nothing.err.contains("no folder to look at") && nothing.err.contains("--kubeconfig"),
        "{nothing:?}"
    );
}
