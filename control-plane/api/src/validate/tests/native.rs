use serde_json::{Value, json};

use crate::decode::decode;
use crate::validate::validate;

fn check(kind: &str, spec: &str, expect: &[&str]) {
    let spec: Value = serde_saphyr::from_str(spec).expect("the test's YAML is well-formed");
    let value = json!({
        "apiVersion": "novaedge.io/v1alpha1", "kind": kind,
        "metadata": {"name": "a", "namespace": "ns"}, "spec": spec,
    });
    let errors: Vec<String> = match decode(value) {
        Ok(object) => validate(&object).iter().map(ToString::to_string).collect(),
        Err(error) => vec![error.to_string()],
    };
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

#[test]
fn proxy_gateways() {
    let listeners = |listeners: &str, expect: &[&str]| {
        check("ProxyGateway", &format!("listeners: [{listeners}]"), expect);
    };
    listeners(
        "{name: a, port: 80, protocol: HTTP}, {name: b, port: 443, protocol: HTTPS, tls: {}}",
        &[],
    );
    listeners(
        "{name: a, port: 0, protocol: TCP, hostname: a}, {name: a, port: 1, protocol: HTTPS}",
        &[
            "spec.listeners[0].hostname: hostname must not be set",
            "spec.listeners[0].port: must be a port",
            "spec.listeners[1].name: listener name must be unique",
            "spec.listeners[1].tls: tls must be set for the protocols HTTPS and TLS",
        ],
    );
    listeners(
        "{name: a, port: 1, protocol: HTTP, tls: {}}, {name: b, port: 1, protocol: HTTPS, tls: {mode: Passthrough, \
         certificateRefs: [{name: ''}], clientValidation: {caCertificateRefs: [{kind: Pod, name: p}]}}}",
        &[
            "spec.listeners[0].tls: tls must be set for the protocols HTTPS and TLS, and for no other",
            "spec.listeners[1].tls.certificateRefs[0].name: must not be empty",
            "spec.listeners[1].tls.clientValidation.caCertificateRefs[0].kind: must be ConfigMap, Secret",
            "spec.listeners[1].tls.mode: tls.mode must be Terminate",
        ],
    );
    let trusting = |cidrs: &str| format!("{{trustedCIDRs: [{cidrs}]}}");
    let (good, bad) = (trusting("10.0.0.0/8, '::/0'"), trusting("10.0.0.1"));
    listeners(
        &format!(
            "{{name: a, port: 80, protocol: HTTP, proxyProtocol: {good}, forwardedHeaders: {good}}}, \
             {{name: b, port: 81, protocol: TCP, proxyProtocol: {{mode: Optional, trustedCIDRs: [10.0.0.0/8]}}}}"
        ),
        &[],
    );
    listeners(
        &format!(
            "{{name: a, port: 80, protocol: HTTP, proxyProtocol: {good}}}, {{name: b, port: 80, protocol: HTTP, \
             hostname: a.b}}, {{name: c, port: 80, protocol: UDP, proxyProtocol: {good}}}, \
             {{name: d, port: 81, protocol: TCP, proxyProtocol: {bad}, forwardedHeaders: {{trustedCIDRs: []}}}}"
        ),
        &[
            "spec.listeners[1].proxyProtocol: all listeners of a port need the same proxyProtocol, and that of \"a\" \
             differs",
            "spec.listeners[2].proxyProtocol: proxyProtocol must not be set for the protocol UDP",
            "spec.listeners[3].forwardedHeaders: forwardedHeaders must be set for the protocols HTTP and HTTPS only",
            "spec.listeners[3].forwardedHeaders.trustedCIDRs: must have at least 1",
            "spec.listeners[3].proxyProtocol.trustedCIDRs[0]: \"10.0.0.1\" has no prefix length",
        ],
    );
    listeners(
        "{name: a, port: 443, protocol: HTTPS, http3: true, maxConnections: 1, tls: {certificateRefs: [{name: a}]}}",
        &[],
    );
    listeners(
        "{name: a, port: 80, protocol: HTTP, maxConnections: 0}",
        &["spec.listeners[0].maxConnections: must be at least 1, is 0"],
    );
    listeners(
        &format!(
            "{{name: a, port: 80, protocol: HTTP, http3: true}}, {{name: b, port: 443, protocol: HTTPS, http3: true, \
             proxyProtocol: {good}, tls: {{certificateRefs: [{{name: a}}], clientValidation: {{caCertificateRefs: \
             [{{kind: ConfigMap, name: a}}]}}}}}}"
        ),
        &[
            "spec.listeners[0].http3: http3 must be set for the protocol HTTPS only",
            "spec.listeners[1].http3: http3 must not be set beside proxyProtocol",
            "spec.listeners[1].http3: http3 must not be set beside tls.clientValidation",
        ],
    );
    check(
        "ProxyGateway",
        "{listeners: [], addresses: [10.0.0.1, A]}",
        &["spec.addresses[1]: \"A\" is not a DNS name"],
    );
}

#[test]
fn proxy_backends() {
    check("ProxyBackend", "serviceRef: {name: a, port: 80}", &[]);
    check(
        "ProxyBackend",
        "endpoints: [{address: '::1', port: 80}]",
        &[],
    );
    check("ProxyBackend", "invalid: {reason: R, message: M}", &[]);
    check(
        "ProxyBackend",
        "{serviceRef: {name: a, port: 80}, proxyProtocol: V2}",
        &[],
    );
    check(
        "ProxyBackend",
        "{serviceRef: {name: a, port: 80}, proxyProtocol: V1, protocol: HTTP2}",
        &["spec: proxyProtocol must not be set for the protocol HTTP2"],
    );
    check(
        "ProxyBackend",
        "{}",
        &["spec: exactly one of serviceRef and endpoints must be set"],
    );
    check(
        "ProxyBackend",
        "{serviceRef: {name: a, port: 80}, endpoints: [{address: a, port: 0}], tls: {serverName: '*.a', \
         subjectAltNames: [{uri: a}, {hostname: '*.a'}]}}",
        &[
            "spec: exactly one of serviceRef and endpoints must be set",
            "spec.endpoints[0].port: must be a port",
            "spec.tls.serverName: \"*.a\" is not a DNS name",
            "spec.tls.subjectAltNames[0].uri: \"a\" is not an absolute URI",
        ],
    );
    check(
        "ProxyBackend",
        "{serviceRef: {name: a, port: 80}, tls: {serverName: a, subjectAltNames: [{uri: a, hostname: a}]}}",
        &["ProxyBackend/ns/a: spec.tls.subjectAltNames[0]: exactly one field must be set"],
    );
}

#[test]
fn balancing_of_proxy_backends() {
    let backend = |fields: &str, expect: &[&str]| {
        let spec = format!("{{serviceRef: {{name: a, port: 80}}, {fields}}}");
        check("ProxyBackend", &spec, expect);
    };
    backend(
        "lbPolicy: Maglev, hashKey: {header: x-user}, slowStartMs: 30000, zonePreference: Own, panicPercent: 0, \
         outlierDetection: {maxEjectedPercent: 100, successRate: {}}",
        &[],
    );
    backend(
        "hashKey: {header: 'a b'}, panicPercent: 101, outlierDetection: {consecutiveFailures: 0, baseEjectionMs: 0, \
         maxEjectedPercent: 101, successRate: {minEndpoints: 1}}",
        &[
            "spec.hashKey.header: \"a b\" is not a header name",
            "spec.outlierDetection.baseEjectionMs: must be at least 1, is 0",
            "spec.outlierDetection.consecutiveFailures: must be at least 1, is 0",
            "spec.outlierDetection.maxEjectedPercent: must be at most 100, is 101",
            "spec.outlierDetection.successRate.minEndpoints: must be at least 2, is 1",
            "spec.panicPercent: must be at most 100, is 101",
        ],
    );
    backend(
        "healthCheck: {probe: {http: {path: '/ready?full', host: 'a:80', expectedStatuses: [200, 204]}}, port: 81, \
         intervalMs: 100, timeoutMs: 60000, healthyThreshold: 1, unhealthyThreshold: 1}, maxRequests: 1, \
         maxPendingRequests: 1, retryBudget: {percent: 0, minConcurrency: 0}",
        &[],
    );
    backend("healthCheck: {probe: {grpc: {service: a.B}}}", &[]);
    backend("healthCheck: {probe: {tcp: {}}}", &[]);
    backend(
        "healthCheck: {probe: {http: {path: ready, host: a/b, expectedStatuses: [199]}}, port: 0, intervalMs: 99, \
         timeoutMs: 60001, healthyThreshold: 0, unhealthyThreshold: 0}, maxConnections: 0, maxRequests: 0, \
         maxPendingRequests: 0, retryBudget: {percent: 101}",
        &[
            "spec.healthCheck.healthyThreshold: must be at least 1, is 0",
            "spec.healthCheck.intervalMs: must be at least 100, is 99",
            "spec.healthCheck.port: must be a port from 1 to 65535, not 0",
            "spec.healthCheck.probe.http.expectedStatuses[0]: must be at least 200, is 199",
            "spec.healthCheck.probe.http.host: \"a/b\" is not a host with an optional port",
            "spec.healthCheck.probe.http.path: \"ready\" is not a path with an optional query",
            "spec.healthCheck.timeoutMs: must be at most 60000, is 60001",
            "spec.healthCheck.unhealthyThreshold: must be at least 1, is 0",
            "spec.maxConnections: must be at least 1, is 0",
            "spec.maxPendingRequests: must be at least 1, is 0",
            "spec.maxRequests: must be at least 1, is 0",
            "spec.retryBudget.percent: must be at most 100, is 101",
        ],
    );
    backend(
        "healthCheck: {probe: {http: {}, tcp: {}}}",
        &["ProxyBackend/ns/a: spec.healthCheck.probe: exactly one field must be set"],
    );
    backend(
        "hashKey: {header: a, cookie: b}",
        &["ProxyBackend/ns/a: spec.hashKey: exactly one field must be set"],
    );
    check(
        "ProxyBackend",
        "endpoints: [{address: '::1', port: 80, weight: 0}]",
        &["spec.endpoints[0].weight: must be at least 1, is 0"],
    );
}

#[test]
fn proxy_routes() {
    let rule = |rule: &str, expect: &[&str]| {
        check(
            "ProxyRoute",
            &format!("{{parentRefs: [{{name: g}}], rules: [{{{rule}}}]}}"),
            expect,
        );
    };
    rule(
        "backendRefs: [{backend: {name: b}, filters: [{cors: {maxAge: 5}}]}, {invalid: {reason: R, message: M}}]",
        &[],
    );
    rule(
        "backendRefs: [{backend: {name: b}, invalid: {reason: R, message: M}}]",
        &[
            "ProxyRoute/ns/a: spec.rules[0].backendRefs[0]: exactly one of backend and invalid must be set",
        ],
    );
    rule(
        "backendRefs: [{backend: {name: b}, wieght: 3}]",
        &[
            "ProxyRoute/ns/a: spec.rules[0].backendRefs[0].wieght: unknown field (did you mean `weight`?)",
        ],
    );
    rule(
        "backendRefs: [{backend: {name: b, nam: c}}]",
        &["ProxyRoute/ns/a: spec.rules[0].backendRefs[0].backend.nam: unknown field"],
    );
    rule(
        "matches: [{path: {type: Exact, value: a}, grpcMethod: {}, headers: [{name: ':a', value: b}]}], \
         timeouts: {requestMs: 1, backendRequestMs: 2}, retry: {codes: [200], attempts: 1}",
        &[
            "spec.rules[0].matches[0].grpcMethod: at least one of service and method must be set",
            "spec.rules[0].matches[0].headers[0].name: \":a\" is not a header name",
            "spec.rules[0].matches[0].path.value: must be an absolute path",
            "spec.rules[0].retry.codes[0]: must be from 400 to 599, is 200",
            "spec.rules[0].timeouts: backendRequestMs must be at most requestMs",
        ],
    );
    rule(
        "filters: [{requestRedirect: {statusCode: 200}}, {requestHeaderModifier: {remove: ['a b']}}, \
         {requestMirror: {backendRef: {name: b}, numerator: 2, denominator: 1}}]",
        &[
            "spec.rules[0].filters[0].requestRedirect.statusCode: must be 301",
            "spec.rules[0].filters[1].requestHeaderModifier.remove[0]: \"a b\" is not a header name",
            "spec.rules[0].filters[2].requestMirror: numerator must be at most denominator",
        ],
    );
    check(
        "ProxyRoute",
        "{protocol: TCP, parentRefs: [{name: g}], rules: [{matches: [{}]}]}",
        &["spec.rules[0]: matches and filters need the protocol HTTP or GRPC"],
    );
}
