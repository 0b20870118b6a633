//! `novactl translate`, which needs no running system.

use std::fs;

use super::system::{answer, novactl, root};

#[test]
fn a_folder_is_translated_without_being_served() {
    let folder = root().join("examples/quickstart/manifests");
    let folder = folder.to_str().expect("a path of text");
    let parts = ["--only", "natives,diagnostics", "-o", "json"];
    let line = [&["translate", "-f", folder], &parts[..]].concat();
    let told = answer(novactl(&line).output());
    assert_eq!(told.code, 0, "{told:?}");
    assert!(told.out.contains("\"ProxyGateway\""), "{told:?}");
    assert!(!told.out.contains("\"snapshot\""), "{told:?}");

    let broken = tempfile::tempdir().expect("a folder");
    fs::write(broken.path().join("a.yaml"), "kind: [").expect("the folder is writable");
    let path = broken.path().to_str().expect("a path of text");
    let told = answer(novactl(&["translate", "-f", path]).output());
    assert_eq!(told.code, 1, "{told:?}");
    assert!(told.out.contains("a.yaml"), "{told:?}");

    let nowhere = answer(novactl(&["translate"]).output());
    assert_eq!((nowhere.code, nowhere.out.as_str()), (2, ""), "{nowhere:?}");
}
