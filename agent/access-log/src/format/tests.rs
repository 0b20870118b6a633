use proptest::prelude::*;

use super::*;
use crate::record::{Http, Termination};
use crate::redact::Redaction;
use crate::settings::Target;

fn record(http: Option<Http<'_>>) -> Record<'_> {
    Record {
        time: SystemTime::UNIX_EPOCH + Duration::from_micros(1_796_098_862_000_001),
        duration: Duration::from_micros(1_500),
        peer: ([192, 0, 2, 1], 4711).into(),
        client: None,
        gateway: Some("gateway/shop/edge"),
        listener: Some("web"),
        rule: Some(Rule {
            kind: "HTTPRoute",
            namespace: "shop",
            name: "cart",
            index: 2,
            rule_name: None,
        }),
        backend: Some("backend/shop/cart:80"),
        endpoint: Some(Endpoint::Address("10.0.0.1:8080".parse().unwrap())),
        protocol: "http",
        http,
        reason: None,
        failure: None,
        received: 0,
        sent: 12,
        upstream_duration: Some(Duration::from_millis(1)),
        tries: 1,
        tls_version: None,
        sni: None,
        trace_id: None,
        termination: Termination::Complete,
    }
}

fn http(path: &str) -> Http<'_> {
    Http {
        method: "GET",
        scheme: "http",
        host: Some(b"shop.example"),
        path,
        query: Some("a=1&token=s3cret"),
        version: "1.1",
        status: Some(200),
        request_id: None,
        user_agent: None,
        request_headers: &[],
        response_headers: &[],
    }
}

fn shown(record: &Record<'_>, format: Format) -> String {
    let settings = Settings {
        format,
        ..Settings::new(Target::Stdout)
    };
    let mut out = Vec::new();
    line(&mut out, record, &settings);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_request_as_json() {
    assert_eq!(
        shown(&record(Some(http("/cart"))), Format::Json),
        "{\"time\":\"2026-12-01T04:21:02.000001Z\",\"client.address\":\"192.0.2.1\",\"client.port\":4711,\
         \"gateway\":\"shop/edge\",\"listener\":\"web\",\"route\":\"HTTPRoute/shop/cart\",\"rule\":2,\
         \"backend\":\"shop/cart:80\",\"endpoint\":\"10.0.0.1:8080\",\"http.request.method\":\"GET\",\
         \"url.scheme\":\"http\",\"server.address\":\"shop.example\",\"url.path\":\"/cart\",\
         \"url.query\":\"a=1&token=REDACTED\",\"network.protocol.name\":\"http\",\"network.protocol.version\":\"1.1\",\
         \"http.response.status_code\":200,\"http.request.body.size\":0,\"http.response.body.size\":12,\
         \"duration\":0.001500,\"upstream.duration\":0.001000,\"tries\":1,\"termination\":\"complete\"}\n"
    );
}

#[test]
fn a_request_as_text() {
    assert_eq!(
        shown(&record(Some(http("/cart"))), Format::Text),
        "192.0.2.1 - - [01/Dec/2026:04:21:02 +0000] \"GET /cart?a=1&token=REDACTED http/1.1\" 200 12 \"-\" \"-\" \
         0.001500 shop.example shop/edge web HTTPRoute/shop/cart 2 shop/cart:80 10.0.0.1:8080 1 - complete\n"
    );
}

#[test]
fn a_connection_behind_a_trusted_proxy() {
    let mut record = record(None);
    record.protocol = "tcp";
    record.client = Some([203, 0, 113, 7].into());
    record.reason = Some("backend_limit");
    let json: serde_json::Value = serde_json::from_str(&shown(&record, Format::Json)).unwrap();
    assert_eq!(json["client.address"], "203.0.113.7");
    assert_eq!(json["network.peer.address"], "192.0.2.1");
    assert_eq!(json["reason"], "backend_limit");
    for absent in ["client.port", "http.request.method", "url.path"] {
        assert!(json.get(absent).is_none(), "{absent}");
    }
}

#[test]
fn header_fields_appear_where_they_are_asked_for() {
    let template = "%{http.request.header.X-Tenant} %{http.request.header.authorization} \
                    %{http.response.header.server} %{http.request.header.accept}";
    let template = Template::parse(template).unwrap();
    let settings = Settings {
        format: Format::Template(template),
        redaction: Redaction::default(),
        ..Settings::new(Target::Stdout)
    };
    let mut settings = settings.complete();
    let request: Vec<_> = settings
        .request_headers
        .iter()
        .map(HeaderName::as_str)
        .collect();
    assert_eq!(request, ["accept", "authorization", "x-tenant"]);
    let value = |text| Some(HeaderValue::from_static(text));
    let request = [None, value("Basic YTpi"), value("a\"b")];
    let response = [value("origin")];
    let mut http = http("/");
    http.request_headers = &request;
    http.response_headers = &response;
    let record = record(Some(http));
    let mut out = Vec::new();
    line(&mut out, &record, &settings);
    assert_eq!(out, b"a\\\"b REDACTED origin -\n");
    settings.format = Format::Json;
    out.clear();
    line(&mut out, &record, &settings);
    let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(json["http.request.header.x-tenant"], "a\"b");
    assert_eq!(json["http.request.header.authorization"], "REDACTED");
    assert_eq!(json["http.response.header.server"], "origin");
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..60)
}

proptest! {
    /// Whatever clients and backends send, a record is one line, and an object of JSON has the same members.
    #[test]
    fn nobody_writes_lines_of_their_own(
        host in bytes(),
        path in "/.{0,60}",
        query in any::<String>(),
        agent in bytes(),
        sni in any::<String>(),
        failure in any::<String>(),
    ) {
        let agent = HeaderValue::from_bytes(&agent).ok();
        let mut http = http(&path);
        http.host = Some(&host);
        http.query = Some(&query);
        http.user_agent = agent.as_ref();
        http.request_id = agent.as_ref();
        let mut record = record(Some(http));
        record.sni = Some(&sni);
        record.failure = Some(&failure);
        let text = shown(&record, Format::Text);
        prop_assert!(text.trim_end_matches('\n').bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        prop_assert_eq!(text.matches('\n').count(), 1);
        let json = shown(&record, Format::Json);
        prop_assert!(!json.trim_end_matches('\n').chars().any(char::is_control));
        prop_assert_eq!(json.matches('\n').count(), 1);
        let json: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&json).unwrap();
        let known = FIELDS.iter().filter(|info| json.contains_key(info.name)).count();
        prop_assert_eq!(known, json.len());
        prop_assert_eq!(json["url.path"].as_str().unwrap(), path);
        prop_assert_eq!(json["server.address"].as_str().unwrap(), String::from_utf8_lossy(&host));
    }
}

#[test]
fn addresses_are_as_people_write_them() {
    let endpoint = |endpoint| {
        let mut record = record(None);
        record.endpoint = Some(endpoint);
        let template = Template::parse("%{client.address} %{endpoint}").unwrap();
        shown(&record, Format::Template(template))
    };
    for address in ["10.0.0.1:8080", "255.0.10.99:1", "[2001:db8::1]:65535"] {
        let line = endpoint(Endpoint::Address(address.parse().unwrap()));
        assert_eq!(line, format!("192.0.2.1 {address}\n"));
    }
    let line = endpoint(Endpoint::Name("cart.example", 443));
    assert_eq!(line, "192.0.2.1 cart.example:443\n");
}
