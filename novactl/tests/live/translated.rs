//! `novactl translate` and `novactl check`, which need no running system.

use std::fs;

use super::{
    process::{answer, novactl},
    quickstart,
    system::root,
};

#[test]
fn a_folder_is_translated_without_being_served() {
    let folder = quickstart::folder();
    let folder = folder.path().to_str().expect("a path of text");
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

#[test]
fn a_check_fails_on_errors_and_on_warnings_when_it_is_strict() {
    let fixtures = root().join("novactl/tests/check");
    let check = |files: &[&str], more: &[&str]| {
        let folder = tempfile::tempdir().expect("a folder");
        for file in files {
            fs::copy(fixtures.join(file), folder.path().join(file)).expect("a copy");
        }
        let path = folder.path().to_str().expect("a path of text");
        answer(novactl(&[&["check", "-f", path], more].concat()).output())
    };
    let cases: [(&[&str], &[&str], i32); 4] = [
        (&["base.yaml"], &["--strict"], 0),
        (&["base.yaml", "shadowed-rule.yaml"], &[], 0),
        (&["base.yaml", "shadowed-rule.yaml"], &["--strict"], 1),
        (&["base.yaml", "missing-port.yaml"], &["-o", "sarif"], 1),
    ];
    for (files, more, code) in cases {
        let told = check(files, more);
        assert_eq!(told.code, code, "{files:?}: {told:?}");
    }
    let nowhere = answer(novactl(&["check", "-f", "/nowhere"]).output());
    assert_eq!((nowhere.code, nowhere.out.as_str()), (2, ""), "{nowhere:?}");
}
