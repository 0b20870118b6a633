use super::table;

#[test]
fn gateway_classes() {
    table(
        "GatewayClass",
        &[
            ("controllerName: a.b/c", &[]),
            (
                "controllerName: a",
                &["spec.controllerName: \"a\" is not a controller name"],
            ),
            (
                "controllerName: ''",
                &["spec.controllerName: must not be empty"],
            ),
            (
                "{controllerName: a.b/c, parametersRef: {group: A, kind: '', name: ''}}",
                &[
                    "spec.parametersRef.group: \"A\" is not an API group",
                    "spec.parametersRef.kind: must not be empty",
                    "spec.parametersRef.name: must not be empty",
                ],
            ),
        ],
    );
}

fn listeners(cases: &[(&str, &[&str])]) {
    for (listeners, expect) in cases {
        let gateway = format!("{{gatewayClassName: c, listeners: {listeners}}}");
        super::check("Gateway", &gateway, expect);
        super::check(
            "ListenerSet",
            &format!("{{parentRef: {{name: g}}, listeners: {listeners}}}"),
            expect,
        );
    }
}

#[test]
fn listeners_are_distinct() {
    listeners(&[
        (
            "[]",
            &["spec.listeners: must have at least 1 element, has 0"],
        ),
        (
            "[{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: HTTP, hostname: a.example}]",
            &[],
        ),
        (
            "[{name: a, port: 80, protocol: HTTP}, {name: a, port: 81, protocol: HTTP}]",
            &["spec.listeners[1].name: listener name must be unique, and [0] has the same"],
        ),
        (
            "[{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: HTTP}]",
            &[
                "spec.listeners[1]: combination of port, protocol and hostname must be unique, and [0] has the same",
            ],
        ),
        (
            "[{name: a, port: 53, protocol: TCP}, {name: b, port: 53, protocol: UDP}]",
            &[],
        ),
        (
            "[{name: A, port: 80, protocol: HTTP}]",
            &["spec.listeners[0].name: \"A\" is not a DNS name"],
        ),
        (
            "[{name: a, port: 0, protocol: HTTP}]",
            &["spec.listeners[0].port: must be a port from 1 to 65535"],
        ),
        (
            "[{name: a, port: 1, protocol: a_b}]",
            &["spec.listeners[0].protocol: \"a_b\" is not a protocol"],
        ),
        ("[{name: a, port: 1, protocol: example.com/x}]", &[]),
        (
            "[{name: a, port: 80, protocol: HTTP, hostname: 'a.*'}]",
            &["spec.listeners[0].hostname: \"a.*\" is not a host name"],
        ),
        (
            "[{name: a, port: 80, protocol: TCP, hostname: a}]",
            &["spec.listeners[0].hostname: hostname must not be specified for protocol TCP"],
        ),
    ]);
}

#[test]
fn tls_fits_the_protocol() {
    listeners(&[
        ("[{name: a, port: 1, protocol: HTTPS}]", &[]),
        (
            "[{name: a, port: 1, protocol: HTTPS, tls: {certificateRefs: [{name: s}]}}]",
            &[],
        ),
        (
            "[{name: a, port: 1, protocol: HTTPS, tls: {}}]",
            &[
                "spec.listeners[0].tls: certificateRefs or options must be specified when mode is Terminate",
            ],
        ),
        (
            "[{name: a, port: 1, protocol: HTTPS, tls: {mode: Passthrough}}]",
            &["spec.listeners[0].tls.mode: tls mode must be Terminate for protocol HTTPS"],
        ),
        (
            "[{name: a, port: 1, protocol: HTTP, tls: {certificateRefs: [{name: s}]}}]",
            &["spec.listeners[0].tls: tls must not be specified for protocol HTTP"],
        ),
        (
            "[{name: a, port: 1, protocol: UDP, tls: {mode: Passthrough}}]",
            &["spec.listeners[0].tls: tls must not be specified for protocol UDP"],
        ),
        (
            "[{name: a, port: 1, protocol: TLS}]",
            &["spec.listeners[0].tls: tls mode must be set for protocol TLS"],
        ),
        (
            "[{name: a, port: 1, protocol: TLS, tls: {mode: Passthrough}}]",
            &[],
        ),
    ]);
}

#[test]
fn allowed_routes_and_filters() {
    listeners(&[
        (
            "[{name: a, port: 1, protocol: HTTP, allowedRoutes: {namespaces: {from: None}}}]",
            &["spec.listeners[0].allowedRoutes.namespaces.from: unknown value \"None\""],
        ),
        (
            "[{name: a, port: 1, protocol: HTTP, allowedRoutes: {kinds: [{kind: '9'}]}}]",
            &["spec.listeners[0].allowedRoutes.kinds[0].kind: \"9\" is not a kind"],
        ),
        (
            "[{name: a, port: 1, protocol: TCP, filters: {requests: [{type: ExternalAuth}]}}]",
            &[
                "spec.listeners[0].filters: filters may only be set when protocol is HTTP or HTTPS",
                "spec.listeners[0].filters.requests[0].externalAuth: externalAuth must be specified for type",
            ],
        ),
        (
            "[{name: a, port: 1, protocol: HTTP, filters: {requests: [{type: CORS}]}}]",
            &["spec.listeners[0].filters.requests[0].type: unknown type CORS"],
        ),
    ]);
}

fn gateway(rest: &str, expect: &[&str]) {
    let spec = format!(
        "{{gatewayClassName: c, listeners: [{{name: a, port: 1, protocol: HTTP}}], {rest}}}"
    );
    super::check("Gateway", &spec, expect);
}

#[test]
fn addresses() {
    gateway(
        "addresses: [{value: 10.0.0.1}, {value: '::1'}, {type: Hostname, value: a.example}, {}]",
        &[],
    );
    gateway(
        "addresses: [{value: a.example}]",
        &["spec.addresses[0].value: \"a.example\" is not an IP address"],
    );
    gateway(
        "addresses: [{value: 10.0.0.1}, {value: 10.0.0.1}]",
        &["spec.addresses[1].value: IPAddress values must be unique, and [0] has the same"],
    );
    gateway(
        "addresses: [{type: Hostname, value: A}]",
        &["spec.addresses[0].value: \"A\" is not a host name"],
    );
    gateway(
        "addresses: [{type: Foo, value: A}]",
        &["spec.addresses[0].type: \"Foo\" is not an address type"],
    );
    gateway(
        "addresses: [{type: a.b/foo, value: A, routability: Cluster}]",
        &[],
    );
    gateway(
        "addresses: [{routability: k8s.io/x}]",
        &["spec.addresses[0].routability: routability must be empty"],
    );
}

#[test]
fn infrastructure() {
    gateway(
        "infrastructure: {labels: {a.b/c: d}, annotations: {e: f g}}",
        &[],
    );
    gateway(
        "infrastructure: {labels: {a: '-'}, annotations: {'-': ''}, parametersRef: {group: '', kind: a, name: ''}}",
        &[
            "spec.infrastructure.annotations[\"-\"]: the key must be an optional DNS name",
            "spec.infrastructure.labels[\"a\"]: \"-\" is not a label value",
            "spec.infrastructure.parametersRef.name: must not be empty",
        ],
    );
}

#[test]
fn client_certificates() {
    gateway(
        "tls: {backend: {clientCertificateRef: {name: s}}, frontend: {default: {}}}",
        &[],
    );
    gateway(
        "tls: {frontend: {default: {validation: {caCertificateRefs: []}}, perPort: [\
           {port: 1, tls: {}}, {port: 1, tls: {validation: {caCertificateRefs: [\
             {group: certificates.k8s.io, kind: ClusterTrustBundle, name: b, namespace: ns}]}}}]}}",
        &[
            "spec.tls.frontend.default.validation.caCertificateRefs: must have at least 1 element",
            "spec.tls.frontend.perPort[1].port: port must be unique, and [0] has the same",
            "spec.tls.frontend.perPort[1].tls.validation.caCertificateRefs[0].namespace: ClusterTrustBundle references",
        ],
    );
}
