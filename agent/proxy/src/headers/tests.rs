use super::*;

fn map(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    headers
}

fn listed(headers: &HeaderMap) -> Vec<String> {
    let mut fields: Vec<String> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    fields.sort();
    fields
}

#[test]
fn hop_by_hop_fields_go_and_the_rest_stays() {
    let mut headers = map(&[
        ("connection", "close, X-Private, te"),
        ("connection", "Host, content-length, x-forwarded-for"),
        ("x-private", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authorization", "Basic x"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("te", "gzip, trailers;q=1"),
        ("host", "a.example"),
        ("content-length", "3"),
        ("x-forwarded-for", "192.0.2.1"),
        ("trailer", "grpc-status"),
    ]);
    remove_hop_by_hop(&mut headers);
    assert_eq!(
        listed(&headers),
        [
            "content-length: 3",
            "host: a.example",
            "te: trailers",
            "trailer: grpc-status",
            "x-forwarded-for: 192.0.2.1"
        ]
    );
}

#[test]
fn te_without_trailers_goes() {
    let mut headers = map(&[("te", "gzip")]);
    remove_hop_by_hop(&mut headers);
    assert!(headers.is_empty());
}

#[test]
fn h2c_is_never_an_upgrade() {
    let check = |upgrade: &str, connection: &str| {
        upgrade_protocol(
            Version::HTTP_11,
            &map(&[("upgrade", upgrade), ("connection", connection)]),
        )
        .map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(
        check("websocket", "keep-alive, Upgrade").as_deref(),
        Some("websocket")
    );
    assert_eq!(check("h2c", "Upgrade, HTTP2-Settings"), None);
    assert_eq!(
        check("H2C, websocket", "upgrade").as_deref(),
        Some("websocket")
    );
    assert_eq!(check("websocket", "keep-alive"), None);
    assert_eq!(
        upgrade_protocol(
            Version::HTTP_10,
            &map(&[("upgrade", "websocket"), ("connection", "upgrade")])
        ),
        None
    );
}

#[test]
fn claims_of_an_untrusted_client_are_replaced() {
    let claims = [
        ("x-forwarded-for", "198.51.100.7"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil"),
        ("forwarded", "for=198.51.100.7"),
    ];
    let client = HeaderValue::from_static("192.0.2.9");
    let scheme = HeaderValue::from_static("http");
    let host = HeaderValue::from_static("a.example:8080");
    let forwarded = |trusted| Forwarded {
        client: &client,
        scheme: &scheme,
        host: Some(&host),
        trusted,
    };

    let mut headers = map(&claims);
    set_forwarded(&mut headers, forwarded(false));
    assert_eq!(
        listed(&headers),
        [
            "x-forwarded-for: 192.0.2.9",
            "x-forwarded-host: a.example:8080",
            "x-forwarded-proto: http"
        ]
    );
    let mut headers = map(&claims);
    set_forwarded(&mut headers, forwarded(true));
    assert_eq!(
        listed(&headers),
        [
            "forwarded: for=198.51.100.7",
            "x-forwarded-for: 198.51.100.7, 192.0.2.9",
            "x-forwarded-host: evil",
            "x-forwarded-proto: https"
        ]
    );
}

#[test]
fn cookies_are_joined_for_http1() {
    let mut headers = map(&[("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")]);
    join_cookies(&mut headers);
    assert_eq!(listed(&headers), ["cookie: a=1; b=2; c=3"]);
}

#[test]
fn via_names_the_version_received() {
    let via = Via::new("novaedge");
    let mut headers = map(&[("via", "1.1 front")]);
    append_via(&mut headers, &via, Version::HTTP_2);
    append_via(&mut headers, &via, Version::HTTP_11);
    assert_eq!(
        listed(&headers),
        ["via: 1.1 front", "via: 1.1 novaedge", "via: 2 novaedge"]
    );
}

#[test]
fn grpc_is_told_by_its_content_type() {
    for (value, expect) in [
        ("application/grpc", true),
        ("application/grpc+proto", true),
        ("application/grpc; x=y", true),
        ("application/grpc-web", false),
        ("application/json", false),
    ] {
        assert_eq!(is_grpc(&map(&[("content-type", value)])), expect, "{value}");
    }
}
