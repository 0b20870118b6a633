//! Pages of the documentation about a cluster do what they say.

use std::{
    env, fs,
    os::unix::fs::{PermissionsExt as _, symlink},
};

use novaedge_e2e::{
    pages::{ON_A_CLUSTER, Shell, blocks, page, root, tools},
    programs,
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

/// In a clone of the repository, with kubectl.
fn reader() -> Shell {
    let programs = tempfile::tempdir().expect("a temporary folder").keep();
    let real = env::var("KUBECTL").unwrap_or_else(|_| "kubectl".to_owned());
    let kubectl = programs.join("kubectl");
    // A link would hide from the script where it stands.
    let script = format!("#!/bin/sh\nexec {real} \"$@\"\n");
    fs::write(&kubectl, script).expect("the folder is writable");
    fs::set_permissions(&kubectl, fs::Permissions::from_mode(0o755)).expect("a mode");
    let shell = Shell::start(&[&programs, programs::folder(), &tools()], &[]);
    for folder in ["deploy", "test"] {
        symlink(root().join(folder), shell.home().join(folder)).expect("the home is writable");
    }
    shell
}
