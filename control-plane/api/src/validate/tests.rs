//! Each table holds specs and the errors that an API server would find in them.

mod gateways;
mod http;
mod native;
mod others;

use serde_json::{Value, json};

use super::validate;
use crate::decode::decode;

/// Checks a spec of a kind: each error must begin as expected, and there must be no other.
fn check(kind: &str, spec: &str, expect: &[&str]) {
    let spec: Value = serde_saphyr::from_str(spec).expect("the test's YAML is well-formed");
    let value = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": kind,
        "metadata": {"name": "a", "namespace": "n"}, "spec": spec,
    });
    let object = decode(value).expect("the test's object decodes");
    let errors: Vec<String> = validate(&object).iter().map(ToString::to_string).collect();
    let fits = errors.len() == expect.len()
        && errors
            .iter()
            .zip(expect)
            .all(|(error, expect)| error.starts_with(expect));
    assert!(
        fits,
        "{kind} {spec}\n  found:    {errors:#?}\n  expected: {expect:#?}"
    );
}

/// Checks many specs of one kind.
fn table(kind: &str, cases: &[(&str, &[&str])]) {
    for (spec, expect) in cases {
        check(kind, spec, expect);
    }
}

#[test]
fn names_are_dns_names() {
    let value = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "A_b", "namespace": "n.m"}, "spec": {},
    });
    let errors = validate(&decode(value).expect("decodes"));
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [
            "metadata.name: \"A_b\" is not a DNS name: expected lower-case letters, digits, '-' and '.'",
            "metadata.namespace: \"n.m\" is not a DNS label: expected lower-case letters, digits and '-'",
        ]
    );
}
