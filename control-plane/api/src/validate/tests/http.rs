use super::{check, table};

/// Checks one rule of an HTTPRoute; expected paths begin below it.
fn rule(rule: &str, expect: &[&str]) {
    let expect: Vec<String> = expect
        .iter()
        .map(|error| format!("spec.rules[0].{error}"))
        .collect();
    let expect: Vec<&str> = expect.iter().map(String::as_str).collect();
    check("HTTPRoute", &format!("rules: [{{{rule}}}]"), &expect);
}

#[test]
fn parents_are_distinct() {
    table(
        "HTTPRoute",
        &[
            ("{}", &[]),
            (
                "rules: []",
                &["spec.rules: must have at least 1 element, has 0"],
            ),
            (
                "parentRefs: [{name: a}, {name: b}, {name: a, namespace: x}, {name: a, kind: Service, group: ''}]",
                &[],
            ),
            (
                "parentRefs: [{name: a, sectionName: x}, {name: a, sectionName: z}, {name: b, port: 1}]",
                &[],
            ),
            (
                "parentRefs: [{name: a}, {name: a, sectionName: z}]",
                &["spec.parentRefs[1]: sectionName or port must be specified when"],
            ),
            (
                "parentRefs: [{name: a, port: 1}, {name: a, port: 1}]",
                &["spec.parentRefs[1]: sectionName or port must be unique when"],
            ),
            (
                "parentRefs: [{name: a, port: 0}]",
                &["spec.parentRefs[0].port: must be a port"],
            ),
            ("hostnames: [a.example, '*.b.example']", &[]),
            (
                "hostnames: [A.example, 'a.example:80', '*']",
                &[
                    "spec.hostnames[0]: \"A.example\" is not a host name",
                    "spec.hostnames[1]: \"a.example:80\" is not a host name",
                    "spec.hostnames[2]: \"*\" is not a host name",
                ],
            ),
            (
                "rules: [{name: a}, {}, {}, {name: a}]",
                &[
                    "spec.rules[3].name: rule name must be unique within the route, and [0] has the same",
                ],
            ),
        ],
    );
}

#[test]
fn limits() {
    let many = |item: &str, count: usize| vec![item; count].join(", ");
    check(
        "HTTPRoute",
        &format!("rules: [{}]", many("{}", 17)),
        &["spec.rules: must have at most 16 elements, has 17"],
    );
    check(
        "HTTPRoute",
        &format!(
            "rules: [{0}, {0}, {1}]",
            format_args!("{{matches: [{}]}}", many("{}", 64)),
            "{}"
        ),
        &["spec.rules: the total number of matches across all rules must be at most 128, is 129"],
    );
    rule(
        &format!("matches: [{}]", many("{}", 65)),
        &["matches: must have at most 64 elements, has 65"],
    );
    rule(
        &format!("backendRefs: [{}]", many("{name: a, port: 1}", 17)),
        &["backendRefs: must have at most 16"],
    );
}

#[test]
fn paths() {
    rule(
        "matches: [{path: {value: /a/b;c=d%20}}, {path: {type: Exact, value: /}}]",
        &[],
    );
    rule(
        "matches: [{path: {type: RegularExpression, value: '[a-z]//'}}]",
        &[],
    );
    rule(
        "matches: [{path: {value: a}}]",
        &["matches[0].path.value: value must be an absolute path"],
    );
    rule(
        "matches: [{path: {value: //a}}]",
        &["matches[0].path.value: must not contain '//'"],
    );
    rule(
        "matches: [{path: {value: /./a}}]",
        &["matches[0].path.value: must not contain '/./'"],
    );
    rule(
        "matches: [{path: {value: /../a}}]",
        &["matches[0].path.value: must not contain '/../'"],
    );
    rule(
        "matches: [{path: {value: /a%2fb}}]",
        &["matches[0].path.value: must not contain '%2f'"],
    );
    rule(
        "matches: [{path: {value: /a%2Fb}}]",
        &["matches[0].path.value: must not contain '%2F'"],
    );
    rule(
        "matches: [{path: {value: /a/..}}]",
        &["matches[0].path.value: must not end with '/..'"],
    );
    rule(
        "matches: [{path: {value: /a/.}}]",
        &["matches[0].path.value: must not end with '/.'"],
    );
    rule(
        "matches: [{path: {value: '/a b'}}]",
        &["matches[0].path.value: \"/a b\" is not a path"],
    );
    rule(
        "matches: [{path: {value: '/a#b'}}]",
        &[
            "matches[0].path.value: \"/a#b\" is not a path",
            "matches[0].path.value: must not contain '#'",
        ],
    );
    rule(
        "matches: [{path: {type: Prefix}}]",
        &["matches[0].path.type: type must be one of"],
    );
}

#[test]
fn headers_and_query_parameters() {
    rule(
        "matches: [{headers: [{name: A, value: b c}], queryParams: [{name: q, value: ' '}]}]",
        &[],
    );
    rule(
        "matches: [{headers: [{name: ':path', value: ' a'}, {name: A, type: Glob, value: b}, {name: A, value: ''}]}]",
        &[
            "matches[0].headers[0].name: \":path\" is not a header name",
            "matches[0].headers[0].value: \" a\" is not a header value",
            "matches[0].headers[1].type: unknown type Glob",
            "matches[0].headers[2].name: header name must be unique, and [1] has the same",
            "matches[0].headers[2].value: must not be empty",
        ],
    );
    rule(
        "matches: [{queryParams: [{name: q, value: a}, {name: q, value: b}]}]",
        &[
            "matches[0].queryParams[1].name: query parameter name must be unique, and [0] has the same",
        ],
    );
}

#[test]
fn filters_are_one_ofs() {
    rule(
        "filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: [a]}}]",
        &[],
    );
    rule(
        "filters: [{type: URLRewrite}]",
        &["filters[0].urlRewrite: urlRewrite must be specified for type URLRewrite"],
    );
    rule(
        "filters: [{type: CORS, cors: {}, urlRewrite: {}}]",
        &["filters[0].urlRewrite: urlRewrite must not be specified for type CORS"],
    );
    rule(
        "filters: [{type: Magic}]",
        &["filters[0].type: unknown type Magic"],
    );
    rule(
        "filters: [{type: CORS, cors: {}}, {type: CORS, cors: {}}]",
        &["filters[1]: CORS filter cannot be repeated"],
    );
    rule(
        "filters: [{type: RequestMirror, requestMirror: {backendRef: {name: a, port: 1}}}, \
                   {type: RequestMirror, requestMirror: {backendRef: {name: b, port: 1}, percent: 5}}]",
        &[],
    );
    rule(
        "filters: [{type: RequestRedirect, requestRedirect: {}}, {type: URLRewrite, urlRewrite: {}}]",
        &["filters: may specify either RequestRedirect or URLRewrite, but not both"],
    );
    rule(
        "filters: [{type: ExtensionRef, extensionRef: {group: '', kind: ConfigMap, name: ''}}]",
        &["filters[0].extensionRef.name: must not be empty"],
    );
}

#[test]
fn filters_have_good_values() {
    rule(
        "filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: a b, value: x}], \
         add: [{name: a, value: x}, {name: a, value: z}], remove: [b, b]}}]",
        &[
            "filters[0].responseHeaderModifier.add[1].name: header name must be unique",
            "filters[0].responseHeaderModifier.remove[1]: header name must be unique",
            "filters[0].responseHeaderModifier.set[0].name: \"a b\" is not a header name",
        ],
    );
    rule(
        "filters: [{type: RequestRedirect, requestRedirect: {statusCode: 300, port: 0, hostname: '*.a'}}]",
        &[
            "filters[0].requestRedirect.hostname: \"*.a\" is not a DNS name",
            "filters[0].requestRedirect.port: must be a port",
            "filters[0].requestRedirect.statusCode: must be 301, 302, 303, 307 or 308, is 300",
        ],
    );
    rule(
        "filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replacePrefixMatch: /}}}]",
        &["filters[0].urlRewrite.path.replaceFullPath: replaceFullPath must be specified"],
    );
    rule(
        "filters: [{type: RequestMirror, requestMirror: {backendRef: {name: a}, percent: 101, \
         fraction: {numerator: 3, denominator: 2}}}]",
        &[
            "filters[0].requestMirror: only one of percent or fraction may be specified",
            "filters[0].requestMirror.backendRef.port: must have port for Service reference",
            "filters[0].requestMirror.fraction: numerator must be less than or equal to denominator",
            "filters[0].requestMirror.percent: must be from 0 to 100",
        ],
    );
    rule(
        "filters: [{type: CORS, cors: {allowOrigins: ['*', 'https://a'], allowMethods: ['*', GET], \
         allowHeaders: ['*', a], exposeHeaders: [a, a], maxAge: 0}}]",
        &[
            "filters[0].cors.allowHeaders: cannot contain '*' alongside other values",
            "filters[0].cors.allowMethods: cannot contain '*' alongside other values",
            "filters[0].cors.allowOrigins: cannot contain '*' alongside other values",
            "filters[0].cors.exposeHeaders[1]: header name must be unique",
            "filters[0].cors.maxAge: must be at least 1",
        ],
    );
    rule(
        "filters: [{type: CORS, cors: {allowOrigins: [a.example]}}]",
        &["filters[0].cors.allowOrigins[0]: \"a.example\" is not an origin"],
    );
    rule(
        "filters: [{type: ExternalAuth, externalAuth: {protocol: GRPC, backendRef: {name: a, port: 1}, \
         http: {path: 'a b', allowedHeaders: [a, a]}}}]",
        &[
            "filters[0].externalAuth.grpc: grpc must be specified when protocol is set to 'GRPC'",
            "filters[0].externalAuth.http.allowedHeaders[1]: header name must be unique",
            "filters[0].externalAuth.http.path: \"a b\" is not a path",
            "filters[0].externalAuth.protocol: protocol must be 'HTTP' when http is set",
        ],
    );
}

#[test]
fn prefixes_are_replaced_under_one_prefix_match() {
    let rewrite = "{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}";
    let redirect = "{type: RequestRedirect, requestRedirect: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}";
    rule(&format!("filters: [{rewrite}]"), &[]);
    rule(
        &format!("filters: [{redirect}], matches: [{{path: {{value: /a}}}}]"),
        &[],
    );
    let many = "matches: [{path: {value: /a}}, {path: {value: /b}}]";
    rule(
        &format!("filters: [{rewrite}], {many}"),
        &[
            "filters[0].urlRewrite.path: when using URLRewrite filter with path.replacePrefixMatch, exactly one",
        ],
    );
    let exact = "matches: [{path: {type: Exact, value: /a}}]";
    rule(
        &format!("filters: [{redirect}], {exact}"),
        &[
            "filters[0].requestRedirect.path: when using RequestRedirect filter with path.replacePrefixMatch",
        ],
    );
    rule(
        &format!("{exact}, backendRefs: [{{name: a, port: 1, filters: [{rewrite}]}}]"),
        &["backendRefs[0].filters[0].urlRewrite.path: when using URLRewrite filter"],
    );
}

#[test]
fn backends() {
    rule(
        "backendRefs: [{name: a, port: 1, weight: 1000000}, {group: g, kind: K, name: nm}]",
        &[],
    );
    rule(
        "backendRefs: [{name: a}, {name: '', port: 0, weight: 1000001}]",
        &[
            "backendRefs[0].port: must have port for Service reference (add the Service's port number)",
            "backendRefs[1].name: must not be empty",
            "backendRefs[1].port: must be a port",
            "backendRefs[1].weight: must be at most 1000000, is 1000001",
        ],
    );
    rule(
        "backendRefs: [{group: gateway.networking.x-k8s.io, kind: XBackend, name: a, port: 1}]",
        &["backendRefs[0].port: must not have port for XBackend reference"],
    );
    rule(
        "filters: [{type: RequestRedirect, requestRedirect: {}}], backendRefs: [{name: a, port: 1}]",
        &["backendRefs: RequestRedirect filter must not be used together with backendRefs"],
    );
}

#[test]
fn timeouts_and_retries() {
    rule("timeouts: {request: 1s, backendRequest: 1000ms}", &[]);
    rule("timeouts: {request: 0s, backendRequest: 5s}", &[]);
    rule(
        "timeouts: {request: 1s, backendRequest: 1001ms}",
        &["timeouts.backendRequest: backendRequest timeout cannot be longer than request timeout"],
    );
    rule(
        "timeouts: {request: 1.5s}",
        &["timeouts.request: \"1.5s\" is not a duration"],
    );
    rule(
        "retry: {codes: [500, 503], attempts: 0, backoff: 10ms}",
        &[],
    );
    rule(
        "retry: {codes: [200, 500, 500], backoff: never}",
        &[
            "retry.backoff: \"never\" is not a duration",
            "retry.codes[0]: must be from 400 to 599, is 200",
            "retry.codes[2]: code must be unique, and [1] has the same",
        ],
    );
}

#[test]
fn session_persistence() {
    rule("sessionPersistence: {cookie: {}}", &[]);
    rule("sessionPersistence: {sessionName: a}", &[]);
    rule(
        "sessionPersistence: {type: Header, header: {name: X-A}}",
        &[],
    );
    rule(
        "sessionPersistence: {}",
        &["sessionPersistence.cookie: cookie must be specified for Cookie type"],
    );
    rule(
        "sessionPersistence: {type: Header, cookie: {lifetimeType: Permanent}}",
        &[
            "sessionPersistence.cookie: cookie must be nil if type is not Cookie",
            "sessionPersistence.cookie.lifetimeType: absoluteTimeout must be specified",
            "sessionPersistence.header: header must be specified for Header type",
        ],
    );
}
