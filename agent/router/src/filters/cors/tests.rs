use novaedge_proto::v1;

use super::*;

fn strings(values: &[&str]) -> Vec<String> {
    values.iter().map(|&value| value.to_owned()).collect()
}

fn policy(change: impl FnOnce(&mut v1::Cors)) -> Cors {
    let mut filter = v1::Cors {
        allow_origins: strings(&["*"]),
        ..v1::Cors::default()
    };
    change(&mut filter);
    Cors::new(&filter).expect("a valid filter")
}

/// `cors-multiple-origins-methods-headers` of the conformance suite.
fn listed() -> Cors {
    policy(|filter| {
        filter.allow_origins = strings(&["https://www.foo.com", "https://*.bar.com"]);
        filter.allow_methods = strings(&["GET", "OPTIONS"]);
        filter.allow_headers = strings(&["x-header-1", "x-header-2"]);
        filter.expose_headers = strings(&["x-header-3", "x-header-4"]);
        filter.allow_credentials = true;
        filter.max_age = 3600;
    })
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|&(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        })
        .collect()
}

fn lines(headers: &HeaderMap) -> Vec<String> {
    let mut lines: Vec<String> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    lines.sort_unstable();
    lines
}

fn preflight(cors: &Cors, request: &[(&'static str, &'static str)]) -> Vec<String> {
    match cors.decide(&Method::OPTIONS, &headers(request)) {
        CorsDecision::Preflight(answer) => lines(&answer),
        other => panic!("{other:?}"),
    }
}

fn actual(cors: &Cors, origin: &'static str) -> Option<Vec<String>> {
    match cors.decide(&Method::GET, &headers(&[("origin", origin)])) {
        CorsDecision::Actual(answer) => Some(lines(&answer)),
        CorsDecision::None => None,
        CorsDecision::Preflight(answer) => panic!("{answer:?}"),
    }
}

#[test]
fn a_preflight_of_a_listed_or_wildcard_origin_echoes_the_origin_and_the_lists() {
    for origin in [
        "https://www.foo.com",
        "https://www.bar.com",
        "https://xpto.www.bar.com",
    ] {
        let request = [
            ("origin", origin),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", "x-header-1, x-header-2"),
        ];
        assert_eq!(
            preflight(&listed(), &request),
            [
                "access-control-allow-credentials: true".to_owned(),
                "access-control-allow-headers: x-header-1, x-header-2".to_owned(),
                "access-control-allow-methods: GET, OPTIONS".to_owned(),
                format!("access-control-allow-origin: {origin}"),
                "access-control-expose-headers: x-header-3, x-header-4".to_owned(),
                "access-control-max-age: 3600".to_owned(),
                "vary: Origin".to_owned(),
            ]
        );
    }
}

#[test]
fn a_preflight_of_another_origin_is_answered_without_cors_headers() {
    let request = [
        ("origin", "https://foobar.com"),
        ("access-control-request-method", "GET"),
    ];
    assert_eq!(preflight(&listed(), &request), ["vary: Origin"]);
}

#[test]
fn a_request_of_another_origin_is_served_without_cors_headers() {
    assert_eq!(actual(&listed(), "https://foobar.com"), None);
}

#[test]
fn origins_are_compared_by_scheme_host_and_port() {
    let cors = listed();
    for (origin, allowed) in [
        ("https://www.foo.com", true),
        ("https://www.foo.com:443", true),
        ("https://WWW.foo.com", true),
        ("http://www.foo.com", false),
        ("https://www.foo.com:8443", false),
        ("https://foo.com", false),
        ("https://bar.com", false),
        ("https://.bar.com", false),
        ("https://evilbar.com", false),
        ("https://a.bar.com.evil.com", false),
        ("https://evil.com/.bar.com", false),
        ("null", false),
        ("", false),
    ] {
        assert_eq!(actual(&cors, origin).is_some(), allowed, "{origin}");
    }
}

#[test]
fn a_wildcard_host_with_a_port_allows_that_port_only() {
    let cors = policy(|filter| filter.allow_origins = strings(&["http://*:8080"]));
    assert!(actual(&cors, "http://any.host:8080").is_some());
    assert!(actual(&cors, "http://any.host").is_none());
}

#[test]
fn any_origin_without_credentials_is_answered_with_a_star() {
    let cors = policy(|filter| filter.allow_methods = strings(&["PUT"]));
    for origin in ["https://foobar.com", "https://foobar.com:12345", "null"] {
        assert_eq!(
            actual(&cors, origin).unwrap(),
            ["access-control-allow-origin: *"]
        );
    }
    let request = [
        ("origin", "https://foobar.com:12345"),
        ("access-control-request-method", "PUT"),
    ];
    assert_eq!(
        preflight(&cors, &request),
        [
            "access-control-allow-methods: PUT",
            "access-control-allow-origin: *",
            "access-control-max-age: 5"
        ]
    );
}

#[test]
fn with_credentials_wildcards_are_answered_with_what_was_asked_for() {
    let cors = policy(|filter| {
        filter.allow_methods = strings(&["*"]);
        filter.allow_headers = strings(&["*"]);
        filter.expose_headers = strings(&["*"]);
        filter.allow_credentials = true;
    });
    let request = [
        ("origin", "https://other.foo.com"),
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "x-header-1, x-header-2"),
    ];
    assert_eq!(
        preflight(&cors, &request),
        [
            "access-control-allow-credentials: true",
            "access-control-allow-headers: x-header-1, x-header-2",
            "access-control-allow-methods: PUT",
            "access-control-allow-origin: https://other.foo.com",
            "access-control-max-age: 5",
            "vary: Origin",
        ]
    );
    let without_headers = preflight(&cors, &request[..2]);
    assert!(
        !without_headers
            .iter()
            .any(|line| line.starts_with("access-control-allow-headers"))
    );
}

#[test]
fn without_credentials_wildcards_are_still_useful_if_nothing_was_asked_for() {
    let cors = policy(|filter| {
        filter.allow_headers = strings(&["*"]);
        filter.expose_headers = strings(&["*"]);
    });
    let request = [
        ("origin", "https://a.com"),
        ("access-control-request-method", "PUT"),
    ];
    let answer = preflight(&cors, &request);
    assert!(answer.contains(&"access-control-allow-headers: *".to_owned()));
    assert!(answer.contains(&"access-control-expose-headers: *".to_owned()));
}

#[test]
fn only_options_with_origin_and_requested_method_is_a_preflight() {
    let cors = listed();
    let plain_options = headers(&[("origin", "https://www.foo.com")]);
    assert!(matches!(
        cors.decide(&Method::OPTIONS, &plain_options),
        CorsDecision::Actual(_)
    ));
    let not_options = headers(&[
        ("origin", "https://www.foo.com"),
        ("access-control-request-method", "GET"),
    ]);
    assert!(matches!(
        cors.decide(&Method::GET, &not_options),
        CorsDecision::Actual(_)
    ));
    let no_origin = headers(&[("access-control-request-method", "GET")]);
    assert!(matches!(
        cors.decide(&Method::OPTIONS, &no_origin),
        CorsDecision::None
    ));
}

#[test]
fn the_gateways_headers_replace_those_of_the_backend_and_vary_grows() {
    let mut response = headers(&[("access-control-allow-origin", "*"), ("vary", "Accept")]);
    let CorsDecision::Actual(decided) =
        listed().decide(&Method::GET, &headers(&[("origin", "https://www.foo.com")]))
    else {
        panic!("an allowed origin")
    };

    merge_cors_headers(decided, &mut response);

    assert_eq!(
        lines(&response),
        [
            "access-control-allow-credentials: true",
            "access-control-allow-origin: https://www.foo.com",
            "access-control-expose-headers: x-header-3, x-header-4",
            "vary: Accept",
            "vary: Origin",
        ]
    );
}

#[test]
fn a_policy_with_what_is_no_origin_or_no_name_is_refused() {
    for origin in [
        "foo.com",
        "ftp://foo.com",
        "https://",
        "https://a*.com",
        "https://*.*.com",
        "https://a:port",
    ] {
        let filter = v1::Cors {
            allow_origins: strings(&[origin]),
            ..v1::Cors::default()
        };
        assert!(Cors::new(&filter).is_none(), "{origin}");
    }
    let filter = v1::Cors {
        allow_headers: strings(&["bad header"]),
        ..v1::Cors::default()
    };
    assert!(Cors::new(&filter).is_none());
}
