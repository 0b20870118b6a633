//! `novaedge-control-plane translate` as a process.
#![allow(clippy::unwrap_used)] // a harness may panic

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};
use tempfile::TempDir;

const GOOD: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: novaedge}
spec: {controllerName: novaedge.io/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  gatewayClassName: novaedge
  listeners: [{name: http, protocol: HTTP, port: 8080}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  parentRefs: [{name: edge}]
  rules: [{backendRefs: [{name: shop, port: 80}]}]
---
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: shop, labels: {kubernetes.io/service-name: shop}}
addressType: IPv4
ports: [{port: 9000}]
endpoints: [{addresses: [127.0.0.1]}]
";

fn folder(text: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("all.yaml"), text).unwrap();
    folder
}

fn run(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_novaedge-control-plane"))
        .arg("translate")
        .args(arguments)
        .arg("-f")
        .arg(folder)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn yaml(output: &Output) -> Value {
    serde_saphyr::from_str(&text(&output.stdout)).unwrap()
}

#[test]
fn a_good_folder_is_printed_part_by_part_and_exits_with_0() {
    let folder = folder(GOOD);
    let output = run(&[], folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let value = yaml(&output);
    let parts: Vec<&String> = value.as_object().unwrap().keys().collect();
    assert_eq!(parts, ["diagnostics", "natives", "snapshot", "statuses"]);
    assert_eq!(value["natives"][0]["kind"], "ProxyGateway");
    assert_eq!(value["statuses"][1]["kind"], "Gateway");
    assert_eq!(value["statuses"][1]["metadata"]["name"], "edge");
    assert_eq!(value["diagnostics"], json!([]));
    let names = value["snapshot"].as_array().unwrap().iter();
    let names: Vec<_> = names.map(|r| r["name"].as_str().unwrap()).collect();
    assert!(
        names.contains(&"route/HTTPRoute/default/shop/0"),
        "{names:?}"
    );
    let mut endpoints = value["snapshot"].as_array().unwrap().iter();
    let endpoints = endpoints.find(|r| r["name"].as_str().unwrap().starts_with("endpoints/"));
    assert!(endpoints.unwrap().to_string().contains("127.0.0.1"));
}

#[test]
fn json_holds_the_same_as_yaml_and_both_are_the_same_each_time() {
    let folder = folder(GOOD);
    let first = run(&[], folder.path());
    let json = run(&["-o", "json"], folder.path());
    assert_eq!(
        yaml(&first),
        serde_json::from_slice::<Value>(&json.stdout).unwrap()
    );
    assert_eq!(first.stdout, run(&[], folder.path()).stdout);
}

#[test]
fn one_file_and_some_parts_are_enough() {
    let folder = folder(GOOD);
    let file = folder.path().join("all.yaml");
    let value = yaml(&run(&["--only", "natives,diagnostics"], &file));
    let parts: Vec<&String> = value.as_object().unwrap().keys().collect();
    assert_eq!(parts, ["diagnostics", "natives"]);
}

#[test]
fn errors_name_file_line_object_and_field_and_exit_with_1() {
    let folder = folder(&GOOD.replace("rules: [{", "rulez: [{"));
    let output = run(&["--only", "diagnostics"], folder.path());
    assert_eq!(output.status.code(), Some(1));
    let problem = &yaml(&output)["diagnostics"][0];
    assert_eq!(problem["file"], "all.yaml");
    assert_eq!(problem["line"], 18);
    assert_eq!(problem["object"], "HTTPRoute/default/shop");
    assert_eq!(problem["field"], "spec.rulez");
    assert_eq!(problem["severity"], "error");
}

#[test]
fn warnings_alone_are_no_failure() {
    let folder = folder(&GOOD.replace("gatewayClassName: novaedge", "gatewayClassName: other"));
    let output = run(&["--only", "diagnostics"], folder.path());
    let problems = yaml(&output)["diagnostics"].clone();
    let errors = problems.as_array().unwrap().iter();
    let errors = errors
        .filter(|problem| problem["severity"] == "error")
        .count();
    assert_eq!(
        output.status.code(),
        Some(i32::from(errors > 0)),
        "{problems}"
    );
}

#[test]
fn what_cannot_be_read_and_wrong_usage_exit_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let output = run(&[], &missing);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("missing cannot be read"));
    assert!(output.stdout.is_empty());
    let other = folder.path().join("other.txt");
    fs::write(&other, "").unwrap();
    assert_eq!(run(&[], &other).status.code(), Some(2));
    assert_eq!(run(&["-o", "toml"], folder.path()).status.code(), Some(2));
    assert_eq!(run(&[], folder.path()).status.code(), Some(0), "empty");
}

#[test]
fn a_folder_that_is_misspelt_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let output = Command::new(env!("CARGO_BIN_EXE_novaedge-control-plane"))
        .args(["serve", "--grpc", "127.0.0.1:0", "--folder"])
        .arg(&missing)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = text(&output.stderr);
    assert!(error.contains("missing cannot be read"), "{error}");
    assert!(!error.contains('\u{1b}'), "no colours in a file: {error}");
    assert!(!missing.exists());
}

#[test]
fn help_shows_examples_and_exit_codes() {
    let output = run(&["--help"], Path::new("."));
    assert_eq!(output.status.code(), Some(0));
    let help = text(&output.stdout);
    assert!(help.contains("translate -f examples/quickstart"), "{help}");
    assert!(help.contains("Exit codes:"), "{help}");
}

#[test]
fn private_keys_are_never_printed() {
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["shop.example".to_owned()];
    let certificate = rcgen::CertificateParams::new(names).unwrap();
    let certificate = certificate.self_signed(&key).unwrap();
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tls"},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": certificate.pem(), "tls.key": key.serialize_pem()}});
    let https = "{name: http, protocol: HTTPS, port: 8443, tls: {certificateRefs: [{name: tls}]}}";
    let gateway = GOOD.replace("{name: http, protocol: HTTP, port: 8080}", https);
    let folder = folder(&format!("{gateway}---\n{secret}\n"));
    let output = run(&[], folder.path());
    let shown = text(&output.stdout);
    assert!(shown.contains("certificate/default/tls"), "{shown}");
    assert!(shown.contains("BEGIN CERTIFICATE"));
    assert!(!shown.contains("PRIVATE KEY"));
    let pem = key.serialize_pem();
    let line = pem.lines().nth(1).unwrap();
    assert!(!shown.contains(line));
}
