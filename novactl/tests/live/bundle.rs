//! `novactl bundle` of a standalone system.

use std::{os::unix::fs::PermissionsExt as _, process::Command};

use super::{
    process::{answer, novactl},
    system::System,
};

/// A route that sends a secret along.
const PLANTED: &str = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: planted}\nspec:\n  \
    parentRefs: [{name: example-gateway}]\n  hostnames: [planted.example.com]\n  rules:\n  - filters:\n    \
    - type: RequestHeaderModifier\n      requestHeaderModifier: {set: [{name: Authorization, value: Bearer s3cr3t-token}]}\n    \
    backendRefs: [{name: web, port: 80}]\n";

#[test]
fn a_standalone_system_is_bundled_without_its_keys() {
    let system = System::quickstart();
    system.write("planted.yaml", PLANTED);
    system.until(&["snapshot", "get"], |answer| {
        answer.out.contains("/planted/0")
    });
    assert_eq!(system.ok(&["bundle", "-o", "b.tar.gz"]), "b.tar.gz\n");
    let file = std::fs::metadata(system.path().join("b.tar.gz")).expect("a bundle");
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    let unpacked = tempfile::tempdir().expect("a folder");
    let archive = system.path().join("b.tar.gz");
    let status = Command::new("tar")
        .args(["--strip-components=1", "-xzf"])
        .arg(archive)
        .current_dir(unpacked.path())
        .status();
    assert!(status.expect("tar starts").success());
    let read = |name: &str| {
        let text = std::fs::read_to_string(unpacked.path().join(name));
        text.unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    for (name, part) in [
        ("README.txt", "Nothing is missing."),
        ("novactl.yaml", "server: "),
        ("status.txt", "1 of 1 agents at the newest snapshot"),
        ("status.yaml", "findings:"),
        ("diagnostics.yaml", "problems:"),
        ("agents.txt", "standalone"),
        ("agents.yaml", "state: ACK"),
        ("snapshot.yaml", "planted.example.com"),
        ("objects/Gateway.yaml", "example-gateway"),
        ("objects/HTTPRoute.yaml", "planted.example.com"),
    ] {
        let text = read(name);
        assert!(text.contains(part), "no {part:?} in {name}:\n{text}");
        for secret in ["s3cr3t", "PRIVATE KEY"] {
            assert!(!text.contains(secret), "{secret} is in {name}");
        }
    }
    assert!(read("objects/HTTPRoute.yaml").contains("<redacted>"));
}

#[test]
fn nothing_is_no_bundle() {
    let folder = tempfile::tempdir().expect("a folder");
    let line = ["bundle", "--server", "http://127.0.0.1:1"];
    let nothing = answer(novactl(&line).current_dir(folder.path()).output());
    assert_eq!((nothing.code, nothing.out.as_str()), (2, ""), "{nothing:?}");
    assert!(nothing.err.contains("no folder to look at"), "{nothing:?}");
    let left = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(left, 0, "no file is left behind");
}
