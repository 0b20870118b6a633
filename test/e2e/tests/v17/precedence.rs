//! Which of two routes takes a request when both fit the listener's host: the one whose own host is more specific,
//! before its age, its path and its headers.

use novaedge_e2e::{
    certificates::Ca,
    clients::get_tls,
    manifests::service,
    origins::{self, Origin},
    system::System,
};
use novaedge_ports::free_port;

use crate::bed::{DESCRIBE, accepted, call, described, get, rule, start};

const HOST: &str = "abc.example.com";
const ANY: &str = "{path: {value: /}}";

/// A listener's host with the hosts of an older, less specific route and of a newer one.
const HOSTS: [[&str; 3]; 2] = [
    [HOST, "*.example.com", HOST],
    ["*.example.com", "*.com", "*.example.com"],
];

/// Two origins, `older` and `newer`.
async fn two_origins() -> [Origin; 2] {
    [origins::http("older").await, origins::http("newer").await]
}

/// A Gateway `gw` with listeners `l0`, `l1`, … on these hosts, on a port each.
fn gateway(protocol: &str, hosts: &[&str], ports: &[u16], more: &str) -> String {
    let mut text =
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: gw}\nspec:\n  \
                    gatewayClassName: novaedge\n  listeners:\n"
            .to_owned();
    for (index, (host, port)) in hosts.iter().zip(ports).enumerate() {
        let line = format!(
            "  - {{name: l{index}, protocol: {protocol}, port: {port}, hostname: \"{host}\"{more}}}\n"
        );
        text.push_str(&line);
    }
    text
}

/// A route to listener `l{index}` of age `older` or `newer`, named by both.
fn route(kind: &str, index: usize, age: &str, host: &str, rule: &str) -> String {
    let year = if age == "older" { 2025 } else { 2026 };
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\n\
         metadata: {{name: {age}-{index}, creationTimestamp: \"{year}-01-01T00:00:00Z\"}}\nspec:\n  \
         parentRefs: [{{name: gw, sectionName: l{index}}}]\n  hostnames: [\"{host}\"]\n  rules: [{rule}]\n"
    )
}

async fn all_accepted(system: &System, kind: &str, count: usize) {
    for index in 0..count {
        let names = ["older", "newer"].map(|age| format!("{kind}/default/{age}-{index}"));
        accepted(system, &names.each_ref().map(String::as_str)).await;
    }
}

/// HTTPRouteMultipleRoutesAttachmentSameHostnameIntersection.
#[tokio::test]
async fn httproute_with_the_more_specific_host_goes_before_age_path_and_headers() {
    /// Matches of the older and the newer route, and requests with the origin that answers.
    type Case = (
        &'static str,
        &'static str,
        &'static [(
            &'static str,
            &'static [(&'static str, &'static str)],
            &'static str,
        )],
    );
    const CASES: [Case; 3] = [
        (ANY, ANY, &[("/", &[], "newer")]),
        (
            "{path: {value: /path/prefix}}",
            "{path: {value: /path}}",
            &[("/path/prefix/longer", &[], "newer")],
        ),
        // What the more specific route does not match falls through to the other.
        (
            "{path: {value: /path/prefix}, headers: [{name: Header-B, value: B}]}",
            "{path: {value: /path}, headers: [{name: Header-A, value: A}]}",
            &[
                (
                    "/path/prefix/longer",
                    &[("Header-A", "A"), ("Header-B", "B")],
                    "newer",
                ),
                ("/path/prefix/longer", &[("Header-B", "B")], "older"),
                ("/path/prefix/longer", &[], ""),
            ],
        ),
    ];
    let origins = two_origins().await;
    let cases: Vec<_> = HOSTS
        .iter()
        .flat_map(|hosts| CASES.map(|case| (hosts, case)))
        .collect();
    let ports: Vec<u16> = cases.iter().map(|_| free_port()).collect();
    let hosts: Vec<&str> = cases.iter().map(|([listener, ..], _)| *listener).collect();
    let mut documents = vec![
        gateway("HTTP", &hosts, &ports, ""),
        service("older", 80, "TCP", &[origins[0].address]),
        service("newer", 80, "TCP", &[origins[1].address]),
    ];
    for (index, ([_, older, newer], (of_older, of_newer, _))) in cases.iter().enumerate() {
        documents.push(route(
            "HTTPRoute",
            index,
            "older",
            older,
            &rule(of_older, "older"),
        ));
        documents.push(route(
            "HTTPRoute",
            index,
            "newer",
            newer,
            &rule(of_newer, "newer"),
        ));
    }
    let system = start(documents).await;
    all_accepted(&system, "HTTPRoute", cases.len()).await;
    for (port, ([listener, ..], (_, _, requests))) in ports.iter().zip(&cases) {
        for (path, headers, origin) in *requests {
            let answer = get(System::local(*port), HOST, path, headers).await;
            assert_eq!(answer.origin(), *origin, "{listener} {path} {headers:?}");
            assert_eq!(answer.status == 404, origin.is_empty(), "{}", answer.status);
        }
    }
    system.stop().await;
}

/// GRPCRouteMultipleRoutesAttachmentSameHostnameIntersection.
#[tokio::test]
async fn grpcroute_with_the_more_specific_host_goes_before_an_older_one() {
    let origins = two_origins().await;
    let ports = [free_port(), free_port()];
    let mut documents = vec![
        gateway("HTTP", &HOSTS.map(|[listener, ..]| listener), &ports, ""),
        service("older", 80, "TCP", &[origins[0].address]),
        service("newer", 80, "TCP", &[origins[1].address]),
    ];
    for (index, [_, older, newer]) in HOSTS.iter().enumerate() {
        documents.push(route(
            "GRPCRoute",
            index,
            "older",
            older,
            &rule("", "older"),
        ));
        documents.push(route(
            "GRPCRoute",
            index,
            "newer",
            newer,
            &rule("", "newer"),
        ));
    }
    let system = start(documents).await;
    all_accepted(&system, "GRPCRoute", HOSTS.len()).await;
    for (port, [listener, ..]) in ports.iter().zip(&HOSTS) {
        let answer = call(System::local(*port), HOST, DESCRIBE, &[]).await;
        assert_eq!(described(&answer).origin, "newer", "{listener}");
    }
    system.stop().await;
}

/// TLSRouteMultipleRoutesAttachmentSameHostnameIntersection.
#[tokio::test]
async fn tlsroute_with_the_more_specific_host_goes_before_an_older_one() {
    let ca = Ca::new();
    let server = || ca.issue(&["*.example.com", "*.com"]).server(&["h2"]);
    let origins = [
        origins::http_tls("older", server()).await,
        origins::http_tls("newer", server()).await,
    ];
    let ports = [free_port(), free_port()];
    let hosts = HOSTS.map(|[listener, ..]| listener);
    let mut documents = vec![
        gateway("TLS", &hosts, &ports, ", tls: {mode: Passthrough}"),
        service("older", 80, "TCP", &[origins[0].address]),
        service("newer", 80, "TCP", &[origins[1].address]),
    ];
    let rule = |backend| format!("{{backendRefs: [{{name: {backend}, port: 80}}]}}");
    for (index, [_, older, newer]) in HOSTS.iter().enumerate() {
        documents.push(route("TLSRoute", index, "older", older, &rule("older")));
        documents.push(route("TLSRoute", index, "newer", newer, &rule("newer")));
    }
    let system = start(documents).await;
    all_accepted(&system, "TLSRoute", HOSTS.len()).await;
    for (port, [listener, ..]) in ports.iter().zip(&HOSTS) {
        let answer = get_tls(System::local(*port), HOST, "/", ca.client(&["h2"])).await;
        assert_eq!(answer.origin(), "newer", "{listener}");
    }
    system.stop().await;
}
