//! `novactl gateway-api`.

use serde_json::Value;

use super::system::System;

/// Commands that list, with the kind, an alias, and whether the quickstart has such objects.
const LISTS: [(&str, &str, &str, bool); 9] = [
    ("gatewayclasses", "gc", "GatewayClass", true),
    ("gateways", "gw", "Gateway", true),
    ("listenersets", "ls", "ListenerSet", false),
    ("httproutes", "hr", "HTTPRoute", true),
    ("grpcroutes", "gr", "GRPCRoute", true),
    ("tlsroutes", "tlsroute", "TLSRoute", true),
    ("tcproutes", "tcproute", "TCPRoute", true),
    ("udproutes", "udproute", "UDPRoute", true),
    ("backendtlspolicies", "btp", "BackendTLSPolicy", false),
];

#[test]
fn every_kind_is_listed_in_every_output() {
    let system = System::quickstart();
    for (command, alias, kind, there) in LISTS {
        let table = system.run(&["gateway-api", command]);
        assert_eq!(table.code, 0, "{command}: {table:?}");
        assert_eq!(table.out.is_empty(), !there, "{command}: {table:?}");
        assert_eq!(
            table.err.contains(&format!("No {kind}")),
            !there,
            "{table:?}"
        );
        assert_eq!(system.ok(&["gwapi", alias]), table.out);
        let wide = system.ok(&["gateway-api", command, "-A", "-o", "wide"]);
        assert_eq!(wide.contains("   REASONS"), there, "{wide}");
        let json = system.ok(&["gateway-api", command, "-o", "json"]);
        let list: Value = serde_json::from_str(&json).expect("JSON");
        let items = list["items"].as_array().expect("items");
        assert_eq!(items.is_empty(), !there, "{command}");
        for item in items {
            assert_eq!(item["kind"], kind);
            assert!(
                item["spec"].is_object() && item["status"].is_object(),
                "{item}"
            );
        }
        let yaml = system.ok(&["gateway-api", command, "-o", "yaml"]);
        let list: Value = serde_saphyr::from_str(&yaml).expect("YAML");
        assert_eq!(list["items"], Value::from(items.clone()));
    }
}

#[test]
fn one_object_by_name_is_given_by_itself() {
    let system = System::quickstart();
    let yaml = system.ok(&["gateway-api", "httproutes", "www", "-o", "yaml"]);
    let route: Value = serde_saphyr::from_str(&yaml).expect("YAML");
    assert_eq!(route["metadata"]["name"], "www");
    assert_eq!(
        route["status"]["parents"][0]["conditions"][0]["type"],
        "Accepted"
    );
    let two = system.ok(&["gateway-api", "httproutes", "www", "canary"]);
    assert_eq!(two.lines().count(), 3, "{two}");
    let none = system.run(&["gateway-api", "httproutes", "www", "-n", "other"]);
    assert_eq!(none.code, 1);
    assert!(none.err.contains("HTTPRoute www is not there"), "{none:?}");
}

#[test]
fn a_gateway_is_described_with_all_that_hangs_on_it() {
    let system = System::quickstart();
    let text = system.ok(&["gateway-api", "describe-gateway", "example-gateway"]);
    for part in [
        "Name:        example-gateway\n",
        "Class:       novaedge\n",
        "\nConditions:\n",
        "  Programmed     True     Programmed",
        "  passthrough   Accepted",
        "  HTTPRoute   www              <all>",
        "  TCPRoute    echo             tcp",
        "  https      default/example-com-tls   *.example.com",
        "\nProblems: <none>\n",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    let none = system.run(&["gateway-api", "describe-gateway", "nobody"]);
    assert_eq!((none.code, none.out.as_str()), (1, ""));
}

#[test]
fn with_the_state_folder_alone_statuses_are_known() {
    let system = System::quickstart();
    let state = system.path().join(".novaedge");
    let state = state.to_str().expect("a path of text");
    let elsewhere = tempfile::tempdir().expect("a folder");
    let mut command = system.command(&["gateway-api", "gateways", "--state-dir", state]);
    let output = super::process::answer(command.current_dir(elsewhere.path()).output());
    let row = output.out.lines().nth(1).expect("a Gateway").to_owned();
    assert!(
        row.contains("<unknown>") && row.contains("True"),
        "{output:?}"
    );
}
