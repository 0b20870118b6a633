use super::table;

#[test]
fn grpc_routes() {
    table(
        "GRPCRoute",
        &[
            ("{}", &[]),
            (
                "rules: [{matches: [{method: {service: a.b.C, method: D}}, {headers: [{name: a, value: b}]}]}]",
                &[],
            ),
            (
                "rules: [{matches: [{method: {type: RegularExpression, service: '[a-z]+'}}]}]",
                &[],
            ),
            (
                "rules: [{matches: [{method: {}}]}]",
                &[
                    "spec.rules[0].matches[0].method: one or both of 'service' or 'method' must be specified",
                ],
            ),
            (
                "rules: [{matches: [{method: {service: /a, method: b/c}}]}]",
                &[
                    "spec.rules[0].matches[0].method.method: \"b/c\" is not a gRPC method",
                    "spec.rules[0].matches[0].method.service: \"/a\" is not a gRPC service",
                ],
            ),
            (
                "rules: [{name: a, filters: [{type: URLRewrite}]}, {name: a, backendRefs: [{name: b}]}]",
                &[
                    "spec.rules[0].filters[0].type: unknown type URLRewrite",
                    "spec.rules[1].backendRefs[0].port: must have port for Service reference",
                    "spec.rules[1].name: rule name must be unique within the route",
                ],
            ),
            (
                "rules: [{filters: [{type: RequestHeaderModifier, requestHeaderModifier: {}}, \
                 {type: RequestHeaderModifier, requestHeaderModifier: {}}]}]",
                &["spec.rules[0].filters[1]: RequestHeaderModifier filter cannot be repeated"],
            ),
        ],
    );
}

#[test]
fn stream_routes() {
    for kind in ["TCPRoute", "UDPRoute"] {
        table(
            kind,
            &[
                ("rules: [{backendRefs: [{name: a, port: 1}]}]", &[]),
                (
                    "rules: []",
                    &["spec.rules: must have at least 1 element, has 0"],
                ),
                (
                    "rules: [{backendRefs: []}]",
                    &["spec.rules[0].backendRefs: must have at least 1 element"],
                ),
            ],
        );
    }
    table(
        "TLSRoute",
        &[
            (
                "{hostnames: [a.example], rules: [{backendRefs: [{name: a, port: 1}]}]}",
                &[],
            ),
            (
                "{hostnames: [10.0.0.1], rules: [{backendRefs: [{name: a, port: 1}]}]}",
                &["spec.hostnames[0]: hostnames cannot contain an IP"],
            ),
        ],
    );
}

#[test]
fn reference_grants() {
    table(
        "ReferenceGrant",
        &[
            (
                "{from: [{group: g, kind: K, namespace: ns}], to: [{group: '', kind: Service}]}",
                &[],
            ),
            (
                "{from: [], to: []}",
                &[
                    "spec.from: must have at least 1 element",
                    "spec.to: must have at least 1 element",
                ],
            ),
            (
                "{from: [{group: g, kind: K, namespace: NS}], to: [{group: '', kind: Service, name: ''}]}",
                &[
                    "spec.from[0].namespace: \"NS\" is not a DNS label",
                    "spec.to[0].name: must not be empty",
                ],
            ),
        ],
    );
}

#[test]
fn backend_tls_policies() {
    let target = "targetRefs: [{group: '', kind: Service, name: a}]";
    let case = |validation: &str, expect: &[&str]| {
        super::check(
            "BackendTLSPolicy",
            &format!("{{{target}, validation: {validation}}}"),
            expect,
        );
    };
    case("{hostname: a, wellKnownCACertificates: System}", &[]);
    case(
        "{hostname: a, caCertificateRefs: [{group: '', kind: ConfigMap, name: c}]}",
        &[],
    );
    case(
        "{hostname: a}",
        &["spec.validation: exactly one of the fields in [caCertificateRefs"],
    );
    case(
        "{hostname: a, wellKnownCACertificates: System, caCertificateRefs: [{group: '', kind: ConfigMap, name: c}]}",
        &["spec.validation: exactly one of the fields in [caCertificateRefs"],
    );
    case(
        "{hostname: '*.a', wellKnownCACertificates: Sys}",
        &[
            "spec.validation.hostname: \"*.a\" is not a DNS name",
            "spec.validation.wellKnownCACertificates: \"Sys\" is not known",
        ],
    );
    case(
        "{hostname: a, wellKnownCACertificates: System, subjectAltNames: [{type: Hostname, hostname: '*.a'}, \
         {type: URI, uri: 'spiffe://a'}, {type: URI, hostname: a}, {type: Hostname, hostname: a, uri: b}]}",
        &[
            "spec.validation.subjectAltNames[2].hostname: hostname must not be specified if type is not Hostname",
            "spec.validation.subjectAltNames[2].uri: uri must be specified if type is URI",
            "spec.validation.subjectAltNames[3].uri: \"b\" is not an absolute URI",
            "spec.validation.subjectAltNames[3].uri: uri must not be specified if type is not URI",
        ],
    );
    let valid = "validation: {hostname: a, wellKnownCACertificates: System}";
    let targets = |targets: &str, expect: &[&str]| {
        super::check(
            "BackendTLSPolicy",
            &format!("{{targetRefs: [{targets}], {valid}}}"),
            expect,
        );
    };
    let one = "{group: '', kind: Service, name: a, sectionName: x}";
    targets("", &["spec.targetRefs: must have at least 1 element"]);
    targets(
        &format!("{one}, {{group: '', kind: Service, name: a, sectionName: z}}"),
        &[],
    );
    targets(
        &format!("{one}, {one}"),
        &["spec.targetRefs[1]: sectionName must be unique when"],
    );
    targets(
        &format!("{one}, {{group: '', kind: Service, name: a}}"),
        &["spec.targetRefs[1]: sectionName must be specified when"],
    );
}
