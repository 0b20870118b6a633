//! Pages of the documentation about a cluster do what they say.

use std::{env, fs, os::unix::fs::symlink};

use novaedge_e2e::{
    cluster::{bed, kubectl},
    pages::{ON_A_CLUSTER, Shell, blocks, page, root},
};

/// What stands on the pages, and what is meant on a cluster without the internet that other tests use, too.
const MEANT: [(&str, &str); 5] = [
    (
        "kubectl apply --server-side -f https://github.com/kubernetes-sigs/gateway-api/releases/download/v1.6.3/experimental-install.yaml",
        "test/e2e/cluster/crds",
    ),
    ("overlays/dev", "overlays/ha"),
    (
        "--image=nginx",
        "--image=novaedge/box:dev -- /box serve :80",
    ),
    (
        "    novaedge-control-plane.novaedge-system.svc:18000",
        "    -authority novaedge-control-plane.novaedge-system.svc 127.0.0.1:18000",
    ),
    ("port-forward", "port-forward --address 127.0.0.1"),
];

#[test]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
fn pages_about_a_cluster_do_what_they_say() {
    let quickstart = page("docs/quickstart.md");
    let (_, chapter) = quickstart.split_once(ON_A_CLUSTER).expect("both chapters");
    for (path, text) in [
        ("docs/quickstart.md", chapter.to_owned()),
        ("docs/kubernetes.md", page("docs/kubernetes.md")),
    ] {
        let mut reader = reader();
        let mut count = 0;
        for mut block in blocks(&text) {
            if block.not_run.is_some() {
                continue;
            }
            for (written, meant) in MEANT {
                block.commands = block.commands.replace(written, meant);
            }
            reader.follow(path, &block);
            count += 1;
        }
        assert!(count >= 4, "{path}: only {count} blocks");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
async fn pages_about_a_folder_tell_the_truth_about_a_cluster() {
    let (namespace, _) = bed("pages", "pages.example.com", 1).await;
    // Native objects come by and by.
    for object in ["proxygateway/edge", "proxyroute/hello"] {
        namespace.kubectl(&["wait", "--for=create", "--timeout=60s", object]);
    }
    for path in ["docs/security.md", "docs/troubleshooting.md"] {
        let mut reader = reader_in(&["--namespace", namespace.name()]);
        let mut blocks = blocks(&page(path));
        blocks.retain(|one| one.needs_a_cluster() && one.not_run.is_none());
        assert!(blocks.len() >= 4, "{path}: only {} blocks", blocks.len());
        for mut block in blocks {
            let objects = [("NAME", "edge"), ("ROUTE", "hello")];
            for (written, meant) in objects.into_iter().chain(MEANT) {
                block.commands = block.commands.replace(written, meant);
            }
            reader.follow(path, &block);
        }
    }
}

/// What a page calls the base, which is in the repository.
const BASE: &str = "github.com/ORGANISATION/novaedge//deploy/kustomize/base?ref=v0.1.0";

#[test]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
fn the_patch_for_the_access_log_applies() {
    let page = page("docs/observability.md");
    let (_, chapter) = page
        .split_once("\n### On a cluster\n")
        .expect("it is there");
    let (_, text) = chapter.split_once("```yaml\n").expect("a block of YAML");
    let (text, _) = text.split_once("```").expect("its end");
    assert!(text.contains(BASE), "{text}");
    let folder = tempfile::tempdir().expect("a folder");
    // Kustomize takes no absolute paths.
    symlink(root().join("deploy"), folder.path().join("deploy")).expect("the folder is writable");
    let text = text.replace(BASE, "deploy/kustomize/base");
    fs::write(folder.path().join("kustomization.yaml"), text).expect("the folder is writable");
    let all = kubectl(&["kustomize", &folder.path().to_string_lossy()]);
    let agent =
        |one: &&str| one.contains("kind: Deployment\n") && one.contains("name: novaedge-agent\n");
    let agent = all.split("\n---\n").find(agent).expect("the agents");
    for lines in [
        "- name: NOVAEDGE_ACCESS_LOG\n          value: '-'\n",
        "- name: NOVAEDGE_OTLP_ENDPOINT\n          value: http://otel-collector.monitoring.svc:4317\n",
        "- name: POD_NAME\n",
    ] {
        assert!(agent.contains(lines), "{lines}: {agent}");
    }
}

/// In a clone of the repository, with kubectl.
fn reader() -> Shell {
    reader_in(&[])
}

/// The same, whose kubectl goes by these flags where the page does not say otherwise.
fn reader_in(flags: &[&str]) -> Shell {
    let real = env::var("KUBECTL").unwrap_or_else(|_| "kubectl".to_owned());
    // A link would hide from the script where it stands.
    let command = format!("{real} {} \"$@\"", flags.join(" "));
    let shell = Shell::start(("kubectl", &command), &[]);
    for folder in ["deploy", "test"] {
        symlink(root().join(folder), shell.home().join(folder)).expect("the home is writable");
    }
    shell
}
