//! `novactl agents` and `novactl status`.

use std::net::{Ipv4Addr, TcpListener};

use super::system::System;

/// A route to a Service that does not exist.
const BROKEN: &str = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n\
    metadata: {name: broken}\nspec:\n  parentRefs: [{name: example-gateway}]\n  \
    hostnames: [broken.example.com]\n  rules:\n  - backendRefs: [{name: nobody, port: 80}]\n";
const FOREIGN: &str = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
    metadata: {name: foreign}\nspec:\n  gatewayClassName: nobodys\n  listeners:\n  \
    - {name: http, port: 80, protocol: HTTP}\n";

#[test]
fn an_agent_is_shown_with_what_it_holds() {
    let system = System::quickstart();
    let table = system.ok(&["agents"]);
    let row = table.lines().nth(1).expect("an agent");
    assert!(row.starts_with("standalone   "), "{table}");
    assert!(row.contains("   ACK     0   "), "{table}");
    let json = system.ok(&["agents", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["agents"][0]["state"], "ACK");
    assert_eq!(json["newest"], json["agents"][0]["acknowledged"]);
    assert!(
        system
            .ok(&["agents", "-o", "yaml"])
            .contains("node: standalone")
    );
}

#[test]
fn status_names_what_needs_a_fix_and_goes_back_to_well() {
    let system = System::quickstart();
    let well = system.ok(&["status"]);
    assert!(well.starts_with("0 to fix, 0 to look at, "), "{well}");
    assert!(
        well.contains("1 of 1 agents at the newest snapshot"),
        "{well}"
    );

    system.write("broken.yaml", BROKEN);
    let ill = system.until(&["status"], |answer| answer.code == 1);
    assert!(
        ill.out.contains("error HTTPRoute/default/broken\n"),
        "{ill:?}"
    );
    assert!(ill.out.contains("spec.rules[0].backendRefs[0]"), "{ill:?}");
    assert!(ill.out.contains("(BackendNotFound)"), "{ill:?}");
    assert!(ill.out.contains("\n1 to fix, 0 to look at, "), "{ill:?}");
    let json = system.run(&["status", "-o", "json"]);
    assert_eq!(json.code, 1);
    let json: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(json["toFix"], 1);
    assert_eq!(json["findings"][0]["reason"], "BackendNotFound");

    std::fs::remove_file(system.path().join("broken.yaml")).expect("the file is there");
    system.until(&["status"], |answer| answer.code == 0);
}

#[test]
fn status_tells_of_a_file_that_does_not_parse_and_of_what_nobody_serves() {
    let system = System::quickstart();
    system.write(
        "half.yaml",
        "apiVersion: gateway.networking.k8s.io/v1\nkind: [HTTPR",
    );
    let ill = system.until(&["status"], |answer| answer.code == 1);
    assert!(ill.out.contains("half.yaml:"), "{ill:?}");
    system.write("half.yaml", FOREIGN);
    let ill = system.until(&["status"], |answer| answer.code == 0);
    assert!(
        ill.out.contains("warning Gateway/default/foreign\n"),
        "{ill:?}"
    );
    assert!(ill.out.contains("\n0 to fix, 1 to look at, "), "{ill:?}");
}

#[test]
fn what_an_agent_refuses_is_told_in_its_words_until_it_serves_it() {
    let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let system = System::quickstart();
    system.edit(
        "gateway.yaml",
        "  listeners:\n",
        &format!("  listeners:\n  - {{name: taken, protocol: HTTP, port: {port}}}\n"),
    );
    let refusing = system.until(&["agents"], |answer| answer.out.contains("   NACK   "));
    let words = "\nstandalone refuses:\n  listener/default/example-gateway/taken\n    ";
    assert!(refusing.out.contains(words), "{refusing:?}");
    assert!(refusing.out.contains(&port.to_string()), "{refusing:?}");
    let ill = system.until(&["status"], |answer| answer.code == 1);
    assert!(
        ill.out.contains("error Gateway/default/example-gateway\n"),
        "{ill:?}"
    );
    assert!(ill.out.contains("1 refusing a part of it"), "{ill:?}");
    drop(taken);
    system.until(&["agents"], |answer| !answer.out.contains("NACK"));
    system.until(&["status"], |answer| answer.code == 0);
}
