//! What `novactl conformance` tells is what the report says and what the control plane claims.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use novactl::conformance::{Conformance, Shown, core_features};
use novaedge_translate::TranslateConfig;
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect("the repository has it")
}

/// The published report, by the README that names it.
fn published() -> String {
    let readme = read("test/conformance/README.md");
    let name = readme
        .split("](report/")
        .nth(1)
        .and_then(|rest| rest.split(')').next());
    read(&format!(
        "test/conformance/report/{}",
        name.expect("a link to the report")
    ))
}

fn novactl(arguments: &[&str], folder: &Path, path: Option<&Path>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_novactl"));
    command.args(arguments).current_dir(folder);
    if let Some(path) = path {
        command.env("PATH", path);
    }
    command.output().expect("novactl starts")
}

fn told() -> Value {
    let output = novactl(&["conformance", "-o", "json"], &root(), None);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn strings(value: &Value) -> BTreeSet<&str> {
    let items = value.as_array().expect("a list").iter();
    items.map(|item| item.as_str().expect("text")).collect()
}

/// Features in the words of the report, read without novactl's own types: extended ones that it lists, and the core ones
/// of the profiles whose core it calls a success.
fn reported(report: &Value) -> BTreeSet<&str> {
    let mut features = BTreeSet::new();
    for profile in report["profiles"].as_array().expect("profiles") {
        assert_eq!(profile["core"]["result"], "success");
        assert_eq!(profile["extended"]["result"], "success");
        features.extend(core_features(profile["name"].as_str().expect("a name")));
        features.extend(strings(&profile["extended"]["supportedFeatures"]));
    }
    features
}

#[test]
fn gatewayclass_report_and_novactl_tell_the_same_features() {
    let report: Value = serde_saphyr::from_str(&published()).expect("YAML");
    let reported = reported(&report);
    let told = told();
    let mut by_report = BTreeSet::new();
    let mut beyond = BTreeSet::new();
    for feature in told["features"].as_array().expect("features") {
        let name = feature["name"].as_str().expect("a name");
        let set = if feature["shownBy"] == "report" {
            &mut by_report
        } else {
            &mut beyond
        };
        assert!(set.insert(name), "{name} is told twice");
    }
    assert_eq!(by_report, reported, "the report and novactl");

    // What no report of v1.6.3 can hold, and why.
    let expect = BTreeSet::from([
        "GRPCRouteNamedRouteRule",
        "GRPCRouteRequestHeaderModifier",
        "GatewayRouteHostnameIntersectionPrecedence",
        "HTTPRouteBackendURLRewrite",
        "HTTPRouteRetryCodes",
    ]);
    assert_eq!(beyond, expect);

    let claimed = TranslateConfig::cluster(BTreeSet::new()).supported_features;
    let claimed: BTreeSet<&str> = claimed.iter().map(String::as_str).collect();
    let told: BTreeSet<&str> = by_report.union(&beyond).copied().collect();
    assert_eq!(claimed, told, "the GatewayClass and novactl");
    let claimed_and_reported: BTreeSet<&str> = claimed.difference(&beyond).copied().collect();
    assert_eq!(
        claimed_and_reported, reported,
        "the GatewayClass and the report"
    );
}

#[test]
fn results_are_told_as_the_suite_wrote_them() {
    let report: Value = serde_saphyr::from_str(&published()).expect("YAML");
    let told = told();
    assert_eq!(
        told["suite"]["gatewayAPIVersion"],
        report["gatewayAPIVersion"]
    );
    assert_eq!(told["suite"]["date"], report["date"]);
    assert_eq!(told["implementation"], report["implementation"]);
    let profiles = report["profiles"].as_array().expect("profiles");
    assert_eq!(
        told["profiles"].as_array().expect("profiles").len(),
        profiles.len()
    );
    let table = novactl(&["conformance"], &root(), None);
    let table = String::from_utf8(table.stdout).expect("text");
    for profile in profiles {
        let mut all = told["profiles"].as_array().expect("profiles").iter();
        let found = all
            .find(|found| found["name"] == profile["name"])
            .expect("the profile");
        for level in ["core", "extended"] {
            let (found, expect) = (&found[level], &profile[level]);
            assert_eq!(found["result"], expect["result"]);
            let mut row = vec![
                profile["name"].as_str().expect("a name").to_owned(),
                level.to_owned(),
            ];
            row.push(expect["result"].as_str().expect("a result").to_owned());
            for (name, field) in [
                ("passed", "Passed"),
                ("failed", "Failed"),
                ("skipped", "Skipped"),
            ] {
                let number = &expect["statistics"][field];
                assert_eq!(&found[name], number, "{name}");
                row.push(number.to_string());
            }
            let row = row.join(" ");
            let mut lines = table
                .lines()
                .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
            assert!(lines.any(|line| line.starts_with(&row)), "{row}");
        }
    }
    for version in ["v1.6.3", "v1.7.0", "14a6c30"] {
        assert!(table.contains(version), "{version}");
    }
}

#[test]
fn every_stand_in_is_a_test_and_stands_in_the_table_of_the_docs() {
    let conformance = Conformance::shipped().expect("the report");
    let page = read("docs/gateway-api.md");
    let tests = &conformance.beyond.next.tests;
    assert!(tests.len() > 15, "{}", tests.len());
    for test in tests {
        let (binary, name) = test.shown_by.split_once(' ').expect("a binary and a test");
        let (module, function) = name.split_once("::").unwrap_or(("", name));
        let path = if module.is_empty() {
            format!("test/e2e/tests/{binary}.rs")
        } else {
            format!("test/e2e/tests/{binary}/{module}.rs")
        };
        assert!(
            read(&path).contains(&format!("async fn {function}()")),
            "{path}: {function}"
        );
        let row = format!(
            "| {} | {} | {} | [{}](../{path}) |",
            test.name, test.behaviour, test.specification, name
        );
        assert!(page.contains(&row), "no row {row}");
    }
    let features = conformance.features();
    let stand_ins = features
        .values()
        .filter(|feature| matches!(feature.shown, Shown::StandIns(_)));
    assert_eq!(stand_ins.count(), 4);
}

#[test]
fn another_report_is_judged_by_what_it_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("report.yaml");
    let failed = published().replacen("Failed: 0", "Failed: 1", 1).replacen(
        "result: success",
        "result: failure",
        1,
    );
    fs::write(&file, failed).expect("writable");
    let output = novactl(
        &["conformance", "--report", "report.yaml"],
        folder.path(),
        None,
    );
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("failure"));
    fs::write(&file, "kind: Other\n").expect("writable");
    let output = novactl(
        &["conformance", "--report", "report.yaml"],
        folder.path(),
        None,
    );
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("is not a report"));
}

#[test]
fn the_suite_is_run_where_its_sources_and_go_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |path: &Path, arguments: &[&str]| {
        let line = [&["conformance", "--run"], arguments].concat();
        let output = novactl(&line, folder.path(), Some(path));
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            error,
        )
    };
    let programs = folder.path().join("programs");
    let (code, _, error) = run(&programs, &[]);
    assert_eq!(code, Some(2));
    assert!(
        error.contains("test/conformance/run.sh") && error.contains("clone"),
        "{error}"
    );

    script(&folder.path().join("test/conformance/run.sh"), "exit 0");
    let (code, _, error) = run(&programs, &[]);
    assert_eq!(code, Some(2));
    assert!(
        error.contains("Go 1.26") && error.contains("install"),
        "{error}"
    );

    script(&programs.join("go"), "exit 0");
    fs::write(folder.path().join("published"), published()).expect("writable");
    let suite = "echo \"the suite runs $*\"\nwhile read -r line; do echo \"$line\"; done < published > \"$REPORT\"";
    // A shell's `read` takes indentation away.
    let suite = suite.replace("while read", "while IFS= read");
    script(&folder.path().join("test/conformance/run.sh"), &suite);
    let (code, out, error) = run(&programs, &["--", "-debug"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(error.contains("the suite runs -debug"), "{error}");
    assert!(
        out.contains("GATEWAY-HTTP") && !out.contains("the suite runs"),
        "{out}"
    );
    assert!(folder.path().join("conformance-report.yaml").is_file());

    script(&folder.path().join("test/conformance/run.sh"), "exit 3");
    let (code, out, error) = run(&programs, &["--", "-run-test", "Any"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(error.contains("no report"), "{error}");

    let suite = "echo \"on $KUBECONFIG\"";
    script(&folder.path().join("test/conformance/run.sh"), suite);
    let (_, _, error) = run(&programs, &["--kubeconfig", "edge.conf"]);
    let file = folder.path().join("edge.conf");
    let file = file.file_name().expect("a name").to_string_lossy();
    assert!(error.contains("on /") && error.contains(&*file), "{error}");
    let (code, _, error) = run(&programs, &["--context", "edge"]);
    assert_eq!(code, Some(2));
    assert!(error.contains("kubectl config use-context edge"), "{error}");
}

fn script(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
    fs::write(path, format!("#!/bin/sh\n{text}\n")).expect("writable");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("writable");
}
