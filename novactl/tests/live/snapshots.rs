//! `novactl snapshot`.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use super::system::System;

#[test]
fn a_snapshot_is_shown_whole_by_prefix_and_by_gateway_without_keys() {
    let system = System::quickstart();
    let whole = system.ok(&["snapshot", "get"]);
    assert!(
        whole.contains("certificate/default/example-com-tls"),
        "{whole}"
    );
    assert!(
        whole.contains("listener/default/example-gateway/http"),
        "{whole}"
    );
    let part = system.ok(&["snapshot", "get", "route/TCPRoute/"]);
    assert_eq!(part.lines().count(), 4, "{part}");
    let of_gateway = system.ok(&["snapshot", "get", "--gateway", "default/example-gateway"]);
    assert_eq!(of_gateway, whole, "there is one Gateway only");
    for output in ["json", "yaml"] {
        let text = system.ok(&["snapshot", "get", "-o", output]);
        assert!(text.contains("BEGIN CERTIFICATE"), "{output}");
        assert!(!text.contains("PRIVATE KEY"), "{output}");
    }
    let nothing = system.run(&["snapshot", "get", "--gateway", "nobody"]);
    assert_eq!((nothing.code, nothing.out.as_str()), (1, ""));
}

#[test]
fn differences_are_told_field_by_field() {
    let system = System::quickstart();
    let before = system.path().join("before.txt");
    let saved = system.ok(&["snapshot", "get", "-o", "yaml"]);
    fs::write(&before, &saved).expect("the folder is writable");
    let before = before.to_str().expect("a path of text");
    assert_eq!(system.ok(&["snapshot", "diff", before]), "");
    assert_eq!(system.ok(&["snapshot", "diff", before, before]), "");

    system.edit("canary.yaml", "weight: 90", "weight: 50");
    let diff = system.until(&["snapshot", "diff", before], |answer| answer.code == 1);
    let expect = "~ route/HTTPRoute/default/canary/0\n    route.backends[0].weight: 90 -> 50\n";
    assert_eq!(diff.out, expect);
}

#[test]
fn each_new_snapshot_is_told_as_it_comes() {
    let system = System::quickstart();
    let mut watch = system
        .command(&["snapshot", "watch", "--interval", "50"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("novactl starts");
    let mut lines = BufReader::new(watch.stdout.take().expect("a pipe")).lines();
    let mut next = || lines.next().expect("a line").expect("text");
    assert!(next().ends_with(" resources"));
    system.edit("canary.yaml", "weight: 90", "weight: 50");
    assert!(next().starts_with("Snapshot "));
    assert_eq!(next(), "~ route/HTTPRoute/default/canary/0");
    assert_eq!(next(), "    route.backends[0].weight: 90 -> 50");
    watch.kill().expect("it runs");
    watch.wait().expect("it ends");
}
