use serde_json::{Value, json};

use super::{DecodeError, decode, decode_lenient, items};
use crate::gateway::{FromNamespaces, HttpRoute, ListenerSet, PathMatchType};
use crate::meta::{Kind, Object, Typed};

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).expect("the test's YAML is well-formed")
}

fn route(spec: &str) -> Value {
    let mut route = yaml(
        "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: a, namespace: x}}",
    );
    route["spec"] = yaml(spec);
    route
}

fn errors(value: Value) -> Vec<String> {
    match decode(value) {
        Ok(_) => Vec::new(),
        Err(DecodeError::Invalid { errors, .. }) => {
            errors.iter().map(ToString::to_string).collect()
        }
        Err(error) => vec![error.to_string()],
    }
}

#[test]
fn type_errors_name_the_field() {
    let check = |spec: &str, expect: &str| assert_eq!(errors(route(spec)), [expect], "{spec}");
    check(
        "rules: [{}, {backendRefs: [{name: a, port: http}]}]",
        "spec.rules[1].backendRefs[0].port: invalid type: string \"http\", expected u16 (write a whole number from 0 to 65535)",
    );
    check(
        "rules: [{backendRefs: [{name: a, port: '80'}]}]",
        "spec.rules[0].backendRefs[0].port: invalid type: string \"80\", expected u16 (write 80 without quotes)",
    );
    check(
        "rules: [{backendRefs: [{name: a, port: 70000}]}]",
        "spec.rules[0].backendRefs[0].port: invalid value: integer `70000`, expected u16 (write a whole number from 0 to 65535)",
    );
    check(
        "hostnames: [1.5]",
        "spec.hostnames[0]: invalid type: floating point `1.5`, expected a string (write \"1.5\" with quotes)",
    );
    check(
        "parentRefs: [{namespace: b}]",
        "spec.parentRefs[0].name: required field is missing",
    );
    check(
        "parentRefs: {name: b}",
        "spec.parentRefs: invalid type: map, expected a sequence (write a list, each item behind a dash)",
    );
    check(
        "parentRefs: [b]",
        "spec.parentRefs[0]: invalid type: string \"b\", expected an object",
    );
    check(
        "rules: [{matches: [{method: get}]}]",
        "spec.rules[0].matches[0].method: unknown value \"get\", expected one of \"GET\", \"HEAD\", \"POST\", \"PUT\", \
         \"DELETE\", \"CONNECT\", \"OPTIONS\", \"TRACE\", \"PATCH\" (did you mean \"GET\"?)",
    );
}

#[test]
fn unknown_fields_are_errors_with_a_hint() {
    let check = |spec: &str, expect: &[&str]| assert_eq!(errors(route(spec)), expect, "{spec}");
    check(
        "hostname: [a.example]",
        &["spec.hostname: unknown field (did you mean `hostnames`?)"],
    );
    check(
        "{hostname: [a.example], hostnames: [b.example]}",
        &[
            "spec.hostname: unknown field (remove it; known here: parentRefs, useDefaultGateways, hostnames, rules)",
        ],
    );
    check(
        "rules: [{match: [], filters: [{type: CORS, cors: {allowOrigin: []}}]}]",
        &[
            "spec.rules[0].filters[0].cors.allowOrigin: unknown field (did you mean `allowOrigins`?)",
            "spec.rules[0].match: unknown field (did you mean `matches`?)",
        ],
    );
    check(
        "rules: [{xyzzy: {a: 1}}]",
        &[
            "spec.rules[0].xyzzy: unknown field (remove it; known here: name, matches, filters, backendRefs, timeouts, retry, sessionPersistence)",
        ],
    );
    let mut value = route("{}");
    value["sepc"] = json!({});
    assert_eq!(
        errors(value),
        ["sepc: unknown field (remove it; known here: metadata, spec, status)"]
    );
}

#[test]
fn lenient_decoding_returns_unknown_fields() {
    let (object, unknown) =
        decode_lenient(route("{futureField: 1, hostnames: [a.example]}")).expect("lenient");
    assert_eq!(unknown.len(), 1);
    assert_eq!(
        HttpRoute::of(&object).expect("an HTTPRoute").spec.hostnames,
        ["a.example"]
    );
}

#[test]
fn status_and_metadata_are_not_judged() {
    let mut value = route("{}");
    value["metadata"]["futureField"] = json!(1);
    value["metadata"]["creationTimestamp"] = Value::Null;
    value["status"] = json!({"parents": [{"future": true}]});
    let object = decode(value.clone()).expect("a status that cannot be read counts as none");
    assert_eq!(HttpRoute::of(&object).expect("an HTTPRoute").status, None);
    value["status"] = json!({"parents": [], "future": 1});
    let object = decode(value).expect("unknown fields of a status are ignored");
    assert!(
        HttpRoute::of(&object)
            .expect("an HTTPRoute")
            .status
            .is_some()
    );
}

#[test]
fn defaults_of_the_schema_are_applied() {
    let object = decode(route(
        "{parentRefs: [{name: g, sectionName: null}], rules: null}",
    ))
    .expect("valid");
    let route = HttpRoute::of(&object).expect("an HTTPRoute");
    assert_eq!(route.spec.parent_refs[0].kind, "Gateway");
    let path = &route.spec.rules[0].matches[0].path;
    assert_eq!(
        (&path.type_, path.value.as_str()),
        (&PathMatchType::PathPrefix, "/")
    );
}

#[test]
fn every_version_reads_as_one_type() {
    let check = |api_version: &str, kind: &str, expect: Result<Kind, &str>| {
        let rules = json!([{"backendRefs": []}]);
        let mut value = json!({
            "apiVersion": api_version, "kind": kind, "metadata": {"name": "a"},
            "spec": {"rules": rules, "parentRefs": []},
        });
        if kind == "TLSRoute" {
            value["spec"]["hostnames"] = json!(["a"]);
        }
        let got = decode(value)
            .map(|object| object.kind())
            .map_err(|error| error.to_string());
        assert_eq!(got, expect.map_err(str::to_owned), "{api_version} {kind}");
    };
    check(
        "gateway.networking.k8s.io/v1",
        "HTTPRoute",
        Ok(Kind::HttpRoute),
    );
    check(
        "gateway.networking.k8s.io/v1beta1",
        "HTTPRoute",
        Ok(Kind::HttpRoute),
    );
    check(
        "gateway.networking.k8s.io/v1alpha3",
        "TLSRoute",
        Ok(Kind::TlsRoute),
    );
    check(
        "gateway.networking.k8s.io/v1alpha2",
        "TCPRoute",
        Ok(Kind::TcpRoute),
    );
    check(
        "gateway.networking.k8s.io/v1alpha2",
        "HTTPRoute",
        Err("HTTPRoute has no version v1alpha2: use v1 or v1beta1"),
    );
    check(
        "gateway.networking.k8s.io/v1",
        "HttpRoutes",
        Err("gateway.networking.k8s.io/v1 has no kind HttpRoutes; did you mean HTTPRoute?"),
    );
    check(
        "gateway.networking.x-k8s.io/v1alpha1",
        "XMesh",
        Err("gateway.networking.x-k8s.io/v1alpha1 XMesh is not read"),
    );
    check(
        "apps/v1",
        "Deployment",
        Err("apps/v1 Deployment is not read"),
    );
}

#[test]
fn limits_that_v1alpha2_did_not_have() {
    let check = |kind: &str, version: &str, spec: Value, expect: &[&str]| {
        let value = json!({
            "apiVersion": format!("gateway.networking.k8s.io/{version}"), "kind": kind,
            "metadata": {"name": "a"}, "spec": spec,
        });
        assert_eq!(errors(value), expect, "{kind} {version}");
    };
    let no_hostname = "spec.hostnames: must have at least 1 element, has 0 (name the servers, or use a TCPRoute for \
                       every connection)";
    let two_rules = "spec.rules: must have at most 1 element, has 2 (split the route)";
    check("TLSRoute", "v1", json!({"rules": []}), &[no_hostname]);
    check(
        "TLSRoute",
        "v1alpha3",
        json!({"rules": [], "hostnames": []}),
        &[no_hostname],
    );
    check(
        "TLSRoute",
        "v1",
        json!({"rules": [{}, {}], "hostnames": ["a"]}),
        &[two_rules],
    );
    check("TLSRoute", "v1alpha2", json!({"rules": [{}, {}]}), &[]);
    for kind in ["TCPRoute", "UDPRoute"] {
        check(kind, "v1", json!({"rules": [{}]}), &[]);
        check(kind, "v1", json!({"rules": [{}, {}]}), &[two_rules]);
        check(kind, "v1alpha2", json!({"rules": [{}, {}]}), &[]);
    }
    let typo = "spec.hostname: unknown field (did you mean `hostnames`?)";
    check(
        "TLSRoute",
        "v1",
        json!({"rules": [], "hostname": ["a"]}),
        &[typo, no_hostname],
    );
}

#[test]
fn errors_name_the_object_and_the_field() {
    let check = |api_version: &str, kind: &str, object: &str, field: &str| {
        let value =
            json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}, "spec": 1});
        let error = decode(value).expect_err("a mistake");
        assert_eq!(error.object().as_deref(), Some(object));
        assert_eq!(error.field(), field);
    };
    let group = "gateway.networking.k8s.io";
    check(
        &format!("{group}/v1"),
        "HttpRoute",
        "HttpRoute/default/a",
        "kind",
    );
    check(
        &format!("{group}/v9"),
        "HTTPRoute",
        "HTTPRoute/default/a",
        "apiVersion",
    );
    check(
        &format!("{group}/v9"),
        "GatewayClass",
        "GatewayClass/a",
        "apiVersion",
    );
    check(
        &format!("{group}/v1"),
        "HTTPRoute",
        "HTTPRoute/default/a",
        "",
    );
}

#[test]
fn foreign_and_malformed_values_are_told_apart() {
    let foreign = decode(
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n"}}),
    );
    assert!(matches!(foreign, Err(DecodeError::Foreign { key, .. }) if key.to_string() == "n/p"));
    assert_eq!(
        decode(json!({"kind": "Pod"})),
        Err(DecodeError::NotAnObject {
            field: "apiVersion"
        })
    );
    assert_eq!(
        decode(json!(3)),
        Err(DecodeError::NotAnObject {
            field: "apiVersion"
        })
    );
    let nameless = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {}});
    assert_eq!(
        errors(nameless),
        ["metadata.name: missing name (give the object a name)"]
    );
}

#[test]
fn experimental_listener_sets_are_listener_sets() {
    let value = yaml(
        "{apiVersion: gateway.networking.x-k8s.io/v1alpha1, kind: XListenerSet, metadata: {name: a}, \
         spec: {parentRef: {name: g}, listeners: [{name: l, port: 80, protocol: HTTP}]}}",
    );
    let object = decode(value).expect("an XListenerSet");
    let set = ListenerSet::of(&object).expect("a ListenerSet");
    assert_eq!(set.metadata.namespace.as_deref(), Some("default"));
    assert_eq!(
        set.spec.listeners[0].allowed_routes.namespaces.from,
        FromNamespaces::Same
    );
}

#[test]
fn string_data_of_secrets_is_merged() {
    let value = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
        "data": {"a": "b2xk", "b": "a2VwdA=="}, "stringData": {"a": "new"},
    });
    let object = decode(value).expect("a Secret");
    let Object::Secret(secret) = &object else {
        panic!("a Secret")
    };
    let data = secret.data.as_ref().expect("data");
    assert_eq!(
        (data["a"].0.as_slice(), data["b"].0.as_slice()),
        (b"new".as_slice(), b"kept".as_slice())
    );
    assert_eq!(secret.string_data, None);
}

#[test]
fn core_kinds_are_strict_too() {
    let value = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
        "spec": {"port": [], "ports": [{"port": 80, "targetPort": "http"}]},
    });
    assert_eq!(
        errors(value),
        ["spec.port: unknown field (remove it, or move it to where it belongs)"]
    );
    let value = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "s"}, "dta": {},
    });
    assert_eq!(errors(value), ["dta: unknown field (did you mean `data`?)"]);
    let value = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "s"},
        "addressType": "IPv4", "endpoints": null,
    });
    assert_eq!(errors(value), Vec::<String>::new());
}

#[test]
fn namespaces_are_normalized() {
    let check = |kind: &str, namespace: Value, expect: &str| {
        let value = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": kind,
            "metadata": {"name": "a", "namespace": namespace}, "spec": {"controllerName": "a/b", "from": [], "to": []},
        });
        let object = decode_lenient(value).expect("decodes").0;
        assert_eq!(object.key().to_string(), expect);
    };
    check("GatewayClass", json!("x"), "a");
    check("ReferenceGrant", json!("x"), "x/a");
    check("ReferenceGrant", json!(""), "default/a");
    check("ReferenceGrant", Value::Null, "default/a");
}

#[test]
fn lists_are_unpacked_in_order() {
    let value = json!({"kind": "List", "items": [
        {"kind": "A"}, {"kind": "BList", "items": [{"kind": "B"}, {"kind": "C"}]}, {"kind": "D"},
    ]});
    let kinds: Vec<_> = items(value)
        .iter()
        .map(|item| item["kind"].clone())
        .collect();
    assert_eq!(kinds, ["A", "B", "C", "D"]);
    assert_eq!(items(json!({"kind": "A"})), [json!({"kind": "A"})]);
}

#[test]
fn no_message_repeats_a_secret() {
    let check = |field: &str, value: Value, expect: &str| {
        let mut secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}});
        secret[field] = value;
        assert_eq!(errors(secret), [expect]);
    };
    let words = json!("my \"key\", open");
    check(
        "stringData",
        words.clone(),
        "stringData: invalid type: a string, expected a map",
    );
    check(
        "immutable",
        words.clone(),
        "immutable: invalid type: a string, expected a boolean",
    );
    check(
        "data",
        json!({"tls.key": words}),
        "data[\"tls.key\"]: Invalid symbol 32, offset 2. (encode it in base64, or write it below stringData)",
    );
}

#[test]
fn messages_repeat_the_beginning_of_a_long_text() {
    let long = "\u{e9}".repeat(100_000);
    let found = errors(route(&format!("parentRefs: [{long}]")));
    assert_eq!(
        found,
        [format!(
            "spec.parentRefs[0]: invalid type: string \"{}...\", expected an object",
            "\u{e9}".repeat(64)
        )]
    );
}
