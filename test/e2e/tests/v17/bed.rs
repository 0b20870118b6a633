//! A system on a few documents, and what its objects are told.

use std::net::SocketAddr;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use novaedge_control_plane::status::to_value;
use novaedge_e2e::{
    clients::{Answer, Http2, eventually, send},
    manifests::{self, GATEWAY_CLASS},
    origins::Echo,
    system::System,
};

/// A service and method that origins answer with an [`Echo`].
pub const DESCRIBE: &str = "/echo.Echo/Describe";

/// Starts a system with the class `novaedge` and these documents, and waits until its Gateways are programmed.
pub async fn start(documents: impl IntoIterator<Item = String>) -> System {
    let all = [GATEWAY_CLASS.to_owned()].into_iter().chain(documents);
    let system = System::start(&[("base.yaml", &manifests::documents(all))]).await;
    eventually("the Gateways", async || {
        let findings = system.findings();
        let findings = findings.borrow();
        let gateways = findings
            .statuses
            .iter()
            .filter(|(id, _)| id.to_string().starts_with("Gateway/"));
        let programmed = gateways.map(|(_, status)| {
            let status = to_value(status);
            let mut conditions = status["conditions"].as_array()?.iter();
            conditions
                .find(|one| one["type"] == "Programmed" && one["status"] == "True")
                .map(|_| ())
        });
        let programmed: Vec<Option<()>> = programmed.collect();
        (!programmed.is_empty() && programmed.iter().all(Option::is_some)).then_some(())
    })
    .await;
    system
}

/// Waits until the conditions of that type in all entries of a route's or policy's status are `expect`, for instance
/// `True Accepted`.
pub async fn told(system: &System, object: &str, condition: &str, expect: &str) {
    eventually(&format!("{object}: {condition} {expect}"), async || {
        let told = conditions(system, object, condition);
        (!told.is_empty() && told.iter().all(|told| told == expect)).then_some(())
    })
    .await;
}

/// Waits until objects are accepted with all that they refer to.
pub async fn accepted(system: &System, objects: &[&str]) {
    for object in objects {
        told(system, object, "Accepted", "True Accepted").await;
        told(system, object, "ResolvedRefs", "True ResolvedRefs").await;
    }
}

fn conditions(system: &System, object: &str, condition: &str) -> Vec<String> {
    let findings = system.findings();
    let findings = findings.borrow();
    let mut statuses = findings.statuses.iter();
    let Some((_, status)) = statuses.find(|(id, _)| id.to_string() == object) else {
        return Vec::new();
    };
    let status = to_value(status);
    let entries = ["parents", "ancestors"].map(|list| status[list].as_array().cloned());
    let entries = entries.into_iter().flatten().flatten();
    let found = entries.filter_map(|entry| {
        let mut all = entry["conditions"].as_array()?.iter();
        let one = all.find(|one| one["type"] == condition)?;
        let text = |field: &str| one[field].as_str().map(ToOwned::to_owned);
        Some(format!("{} {}", text("status")?, text("reason")?))
    });
    found.collect()
}

/// GET with headers, on a new connection.
pub async fn get(address: SocketAddr, host: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = Request::get(path).header("host", host);
    let request = with(request, headers).body(Full::<Bytes>::default());
    send(address, request.expect("a request")).await
}

/// A unary gRPC call on a new connection.
pub async fn call(
    address: SocketAddr,
    host: &str,
    method: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let request = Request::post(format!("http://{host}{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    // An empty message.
    let body = Full::new(Bytes::from_static(&[0; 5]));
    let request = with(request, headers).body(body).expect("a request");
    let mut client = Http2::connect(address).await;
    client.send(request).await.expect("an answer")
}

fn with(request: http::request::Builder, headers: &[(&str, &str)]) -> http::request::Builder {
    let add = |request: http::request::Builder, (name, value): &(&str, &str)| {
        request.header(*name, *value)
    };
    headers.iter().fold(request, add)
}

/// The status of a gRPC call.
pub fn grpc_status(answer: &Answer) -> &str {
    let headers = answer.trailers.as_ref().unwrap_or(&answer.headers);
    let status = headers
        .get("grpc-status")
        .and_then(|status| status.to_str().ok());
    status.unwrap_or_else(|| panic!("{answer:?} is not an answer of gRPC"))
}

/// What the origin of a call of [`DESCRIBE`] saw. Panics when no origin was called.
pub fn described(answer: &Answer) -> Echo {
    assert_eq!(grpc_status(answer), "0", "{answer:?}");
    Echo::parse(&answer.body[5..])
}

/// One rule with one backend; `matches` is empty for all requests, or one as in `{path: {value: /a}}`.
pub fn rule(matches: &str, backend: &str) -> String {
    let matches = if matches.is_empty() {
        String::new()
    } else {
        format!("matches: [{matches}], ")
    };
    format!("{{{matches}backendRefs: [{{name: {backend}, port: 80}}]}}")
}
