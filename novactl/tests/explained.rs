//! What `novactl explain` tells of a request that no rule takes.

#[path = "support/quickstart.rs"]
mod quickstart;

use std::collections::BTreeMap;

use novactl::explain::{Asked, Words, explain};
use novaedge_control_plane::translate::translate;

/// What each rule of the quickstart differs by.
fn misses(url: &str, method: &str, headers: &[&str]) -> BTreeMap<String, String> {
    let folder = quickstart::folder();
    let snapshot = translate(folder.path(), 1_800_000_000)
        .expect("a translation")
        .snapshot;
    let headers: Vec<String> = headers.iter().map(|line| (*line).to_owned()).collect();
    let asked = Asked::new(&Words {
        url,
        method,
        headers: &headers,
        ..Words::default()
    });
    let told = explain(&snapshot, &asked.expect("a request")).expect("one Gateway");
    let rules = told.candidates.expect("no rule takes it").rules;
    rules
        .into_iter()
        .map(|one| (one.rule, one.misses.join(", ")))
        .collect()
}

#[test]
fn the_fewest_parts_that_must_be_others_are_told() {
    let told = misses("http://nobody.example.com:8080/", "GET", &[]);
    let differs = |rule: &str| told.get(rule).map(String::as_str);
    assert_eq!(differs("1 of HTTPRoute default/www"), Some("host"));
    assert_eq!(differs("0 of HTTPRoute default/www"), Some("host, path"));
    assert_eq!(
        differs("0 of HTTPRoute default/header-routing"),
        Some("host, headers")
    );
    assert_eq!(differs("0 of GRPCRoute default/grpc"), Some(""));
    let told = misses(
        "https://nobody.example.com:8443/api",
        "GET",
        &["X-API-Version: v2"],
    );
    let differs = |rule: &str| told.get(rule).map(String::as_str);
    assert_eq!(differs("0 of HTTPRoute default/www"), Some("host"));
    assert_eq!(
        differs("0 of HTTPRoute default/header-routing"),
        Some("host")
    );
}
