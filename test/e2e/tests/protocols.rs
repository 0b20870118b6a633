//! Every protocol from a manifest to bytes on a socket.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use novaedge_e2e::{
    certificates::Ca,
    clients::{
        GrpcStream, Http2, Outcome, Probe, Udp, WebSocket, connect_tls, eventually, get_tls,
    },
    fixture::{Values, fill},
    manifests::{self, GATEWAY_CLASS, service, service_with},
    origins::{self, Origin},
    system::System,
};
use novaedge_ports::free_port;
use rustls::ClientConfig;
use tokio::io::{AsyncBufReadExt as _, BufReader};

const LISTENERS_AND_ROUTES: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: novaedge
  listeners:
  - {name: http, protocol: HTTP, port: ${HTTP}}
  - {name: https, protocol: HTTPS, port: ${HTTPS}, tls: {certificateRefs: [{name: pair}]}}
  - {name: passed, protocol: TLS, port: ${PASSED}, tls: {mode: Passthrough}}
  - {name: ended, protocol: TLS, port: ${ENDED}, tls: {mode: Terminate, certificateRefs: [{name: pair}]}}
  - {name: udp, protocol: UDP, port: ${UDP}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: www}
spec:
  parentRefs: [{name: gw, sectionName: http}, {name: gw, sectionName: https}]
  hostnames: [www.example.com]
  rules: [{backendRefs: [{name: h2c, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: ws}
spec:
  parentRefs: [{name: gw, sectionName: https}]
  hostnames: [ws.example.com]
  rules: [{backendRefs: [{name: web, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: grpc}
spec:
  parentRefs: [{name: gw, sectionName: http}, {name: gw, sectionName: https}]
  hostnames: [grpc.example.com]
  rules:
  - matches: [{method: {service: echo.Echo, method: Stream}}]
    backendRefs: [{name: h2c, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: one}
spec:
  parentRefs: [{name: gw, sectionName: passed}]
  hostnames: [one.example.com]
  rules: [{backendRefs: [{name: one, port: 443}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: other}
spec:
  parentRefs: [{name: gw, sectionName: passed}]
  hostnames: ["*.other.example.com"]
  rules: [{backendRefs: [{name: other, port: 443}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: ended}
spec:
  parentRefs: [{name: gw, sectionName: ended}]
  hostnames: [ended.example.com]
  rules: [{backendRefs: [{name: t, port: 90}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: UDPRoute
metadata: {name: u}
spec:
  parentRefs: [{name: gw, sectionName: udp}]
  rules: [{backendRefs: [{name: u, port: 53}]}]
"#;

struct Bed {
    system: System,
    values: Values,
    ca: Ca,
    _origins: [Origin; 5],
}

impl Bed {
    async fn start() -> Self {
        let ca = Ca::new();
        let ports = ["HTTP", "HTTPS", "PASSED", "ENDED", "UDP"];
        let values: Values = ports.map(|name| (name, free_port().to_string())).into();
        let one = ca.issue(&["one.example.com"]).server(&["h2"]);
        let other = ca.issue(&["a.other.example.com"]).server(&["h2"]);
        let origins = [
            origins::http("web").await,
            origins::http_tls("one", one).await,
            origins::http_tls("other", other).await,
            origins::tcp("t").await,
            origins::udp("u").await,
        ];
        let [web, one, other, t, u] = origins.each_ref().map(|origin| [origin.address]);
        let pair = ca.issue(&["*.example.com"]).secret("pair");
        let base = manifests::documents([
            GATEWAY_CLASS.to_owned(),
            fill(LISTENERS_AND_ROUTES, &values),
            pair,
            service("web", 80, "TCP", &web),
            service_with("h2c", 80, "TCP", "kubernetes.io/h2c", &web),
            service("one", 443, "TCP", &one),
            service("other", 443, "TCP", &other),
            service("t", 90, "TCP", &t),
            service("u", 53, "UDP", &u),
        ]);
        let system = System::start(&[("base.yaml", &base)]).await;
        let bed = Self {
            system,
            values,
            ca,
            _origins: origins,
        };
        let (address, host) = (bed.at("HTTPS"), "www.example.com".to_owned());
        let ready = Probe::Https {
            address,
            host,
            path: "/".to_owned(),
        };
        eventually("the listeners", async || {
            (ready.once(&bed.tls(&[])).await == Outcome::Status(200)).then_some(())
        })
        .await;
        bed
    }

    fn at(&self, listener: &str) -> SocketAddr {
        System::local(self.values[listener].parse().expect("a port"))
    }

    fn tls(&self, alpn: &[&str]) -> Arc<ClientConfig> {
        self.ca.client(alpn)
    }
}

#[tokio::test]
async fn grpc_streams_pass_in_cleartext_and_inside_tls() {
    let bed = Bed::start().await;
    let (host, method) = ("grpc.example.com", "/echo.Echo/Stream");
    let clear = GrpcStream::open(bed.at("HTTP"), host, method).await;
    let tls = GrpcStream::open_tls(bed.at("HTTPS"), host, method, bed.tls(&["h2"])).await;
    for mut call in [clear, tls] {
        for message in ["one", "two", "three"] {
            call.echo(message).await.expect("a message both ways");
        }
        assert_eq!(call.finish().await.as_deref(), Ok("0"));
    }
    bed.system.stop().await;
}

#[tokio::test]
async fn a_grpc_method_that_no_rule_takes_is_unimplemented() {
    let bed = Bed::start().await;
    let mut client = Http2::connect(bed.at("HTTP")).await;
    for (host, method) in [
        ("grpc.example.com", "/echo.Echo/Other"),
        ("grpc.example.com", "/other.Echo/Stream"),
        ("elsewhere.example.org", "/echo.Echo/Stream"),
    ] {
        let request = Request::post(format!("http://{host}{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::<Bytes>::default())
            .expect("a request");
        let answer = client.send(request).await.expect("an answer");
        assert_eq!(answer.status, 200, "{host}{method}");
        let headers = answer.trailers.as_ref().unwrap_or(&answer.headers);
        assert_eq!(headers["grpc-status"], "12", "{host}{method}");
    }
    bed.system.stop().await;
}

#[tokio::test]
async fn websockets_pass_inside_tls() {
    let bed = Bed::start().await;
    let tls = bed.tls(&["http/1.1"]);
    let mut socket = WebSocket::connect_tls(bed.at("HTTPS"), "ws.example.com", "/", tls).await;
    socket.echo("hello").await.expect("a message both ways");
    bed.system.stop().await;
}

#[tokio::test]
async fn large_bodies_pass_both_ways_with_their_trailers() {
    const FRAMES: usize = 512;
    let bed = Bed::start().await;
    let mut client = Http2::connect(bed.at("HTTP")).await;
    let frame =
        |number: usize| Bytes::from(vec![u8::try_from(number % 251).expect("small"); 64 << 10]);
    let mut trailers = HeaderMap::new();
    trailers.insert("x-end", HeaderValue::from_static("here"));
    let frames = (0..FRAMES).map(move |number| Frame::data(frame(number)));
    let frames = frames.chain([Frame::trailers(trailers)]);
    let body = StreamBody::new(tokio_stream::iter(frames.map(Ok)));
    let request = Request::post("http://www.example.com/stream")
        .header("te", "trailers")
        .body(body.boxed_unsync())
        .expect("a request");
    let answer = client.stream(request).await.expect("an answer");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body.len(), FRAMES * (64 << 10));
    let mut chunks = answer.body.chunks(64 << 10).enumerate();
    assert!(
        chunks.all(|(number, chunk)| chunk == frame(number)),
        "bytes differ"
    );
    assert_eq!(answer.trailers.expect("trailers")["x-end"], "here");
    bed.system.stop().await;
}

#[tokio::test]
async fn tls_is_passed_through_to_the_backend_that_the_server_name_chooses() {
    let bed = Bed::start().await;
    for (host, origin) in [("one.example.com", "one"), ("a.other.example.com", "other")] {
        let answer = get_tls(bed.at("PASSED"), host, "/", bed.tls(&["h2"])).await;
        assert_eq!(answer.origin(), origin, "its own certificate was accepted");
    }
    let refused = connect_tls(bed.at("PASSED"), "other.example.com", bed.tls(&["h2"])).await;
    refused.expect_err("a wildcard does not cover the bare domain");
    bed.system.stop().await;
}

#[tokio::test]
async fn tls_ends_at_the_gateway_where_the_listener_says_so() {
    let bed = Bed::start().await;
    let address = bed.at("ENDED");
    let stream = connect_tls(address, "ended.example.com", bed.tls(&[])).await;
    let mut greeting = String::new();
    let mut stream = BufReader::new(stream.expect("the gateway's certificate"));
    stream.read_line(&mut greeting).await.expect("a greeting");
    assert_eq!(greeting, "t\n");
    bed.system.stop().await;
}

#[tokio::test]
async fn each_udp_client_has_a_session_of_its_own() {
    let bed = Bed::start().await;
    let (one, other) = (
        Udp::connect(bed.at("UDP")).await,
        Udp::connect(bed.at("UDP")).await,
    );
    let (name, port) = one.ask("first").await;
    assert_eq!(name, "u");
    let (_, other_port) = other.ask("first").await;
    assert_ne!(port, other_port, "answers of two clients must not meet");
    assert_eq!(one.ask("again").await.1, port);
    assert_eq!(other.ask("again").await.1, other_port);
    bed.system.stop().await;
}
