//! WebSockets where one side or both speak HTTP/2 (RFC 8441).

use std::convert::Infallible;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper::ext::Protocol;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use novaedge_proto::v1;
use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::client::{Http1, Spawn, http2};
use crate::support::origin::{Origin, raw, read_head, status, write};
use crate::support::resources::*;
use crate::support::{Bed, run};

/// The key and the proof of RFC 6455 section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const PROOF: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const ASK: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn proof(key: &str) -> String {
    let digest = Sha1::new()
        .chain_update(key)
        .chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11")
        .finalize();
    STANDARD.encode(digest)
}

/// Shouts back what it hears.
async fn shout(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) {
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        buffer[..count].make_ascii_uppercase();
        if stream.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
    let _ = stream.shutdown().await;
}

/// A WebSocket server of HTTP/1.1 that proves this of a key.
async fn shouting1(proof: fn(&str) -> String) -> u16 {
    raw(move |mut stream| async move {
        let head = read_head(&mut stream).await;
        let field = |name: &str| {
            let mut lines = head.lines();
            let line = lines.find(|line| line.to_lowercase().starts_with(name));
            line.and_then(|line| line.split_once(": "))
                .map(|(_, value)| value.to_owned())
        };
        assert!(head.starts_with("GET /ws HTTP/1.1\r\n"), "{head}");
        assert_eq!(field("upgrade: ").as_deref(), Some("websocket"));
        assert_eq!(field("connection: ").as_deref(), Some("upgrade"));
        assert_eq!(field("sec-websocket-version: ").as_deref(), Some("13"));
        let key = field("sec-websocket-key: ").unwrap();
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: chat\r\n\r\n",
            proof(&key)
        );
        write(&mut stream, &answer).await;
        shout(stream).await;
    })
    .await
}

/// A WebSocket server of HTTP/2.
async fn shouting2() -> u16 {
    raw(|stream: TcpStream| async move {
        let service = service_fn(|mut request: Request<Incoming>| async move {
            let protocol = request.extensions().get::<Protocol>();
            assert_eq!(protocol.map(Protocol::as_str), Some("websocket"));
            assert_eq!(
                (request.method(), request.uri().path()),
                (&Method::CONNECT, "/ws")
            );
            let fields = request.headers();
            assert_eq!(fields["sec-websocket-version"], "13");
            for absent in ["sec-websocket-key", "upgrade", "connection"] {
                assert!(!fields.contains_key(absent), "{absent}");
            }
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::task::spawn_local(async move {
                shout(TokioIo::new(upgrade.await.unwrap())).await;
            });
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        });
        let _ = hyper::server::conn::http2::Builder::new(Spawn)
            .enable_connect_protocol()
            .serve_connection(TokioIo::new(stream), service)
            .await;
    })
    .await
}

async fn bed(port: u16, protocol: v1::BackendProtocol) -> std::rc::Rc<Bed> {
    Bed::new(|of_bed| {
        let mut resources = simple(of_bed, &[port]);
        resources[3] = backend_with("a", |backend| backend.protocol = protocol.into());
        resources
    })
    .await
}

/// Asks over HTTP/2 for a protocol, with CONNECT.
async fn connect(
    sender: &mut SendRequest<Full<Bytes>>,
    protocol: Option<Protocol>,
) -> Response<Incoming> {
    let mut request = Request::new(Full::default());
    *request.method_mut() = Method::CONNECT;
    *request.version_mut() = Version::HTTP_2;
    let uri = if protocol.is_some() {
        "http://a/ws"
    } else {
        "a:80"
    };
    *request.uri_mut() = uri.parse().unwrap();
    let version = http::HeaderValue::from_static("13");
    request
        .headers_mut()
        .insert("sec-websocket-version", version);
    if let Some(protocol) = protocol {
        request.extensions_mut().insert(protocol);
    }
    sender.send_request(request).await.unwrap()
}

async fn client2(bed: &Bed) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(bed.address).await.unwrap();
    let mut sender = http2(stream).await;
    // An answer of the gateway itself, after its settings, which say that it knows extended CONNECT.
    let request = Request::get("http://a/").header(header::HOST, "b");
    let request = request.body(Full::default()).unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 400);
    sender
}

async fn opened(sender: &mut SendRequest<Full<Bytes>>) -> (Response<Incoming>, TokioIo<Upgraded>) {
    let websocket = Protocol::from_static("websocket");
    let mut response = connect(sender, Some(websocket)).await;
    assert_eq!(response.status(), StatusCode::OK);
    let upgraded = hyper::upgrade::on(&mut response).await.unwrap();
    (response, TokioIo::new(upgraded))
}

async fn hears(
    stream: &mut (impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin),
    say: &str,
) {
    stream.write_all(say.as_bytes()).await.unwrap();
    let mut heard = vec![0; say.len()];
    stream.read_exact(&mut heard).await.unwrap();
    assert_eq!(heard, say.to_uppercase().as_bytes());
}

#[test]
fn a_client_of_http2_reaches_a_backend_of_http1() {
    run(async {
        let bed = bed(shouting1(proof).await, v1::BackendProtocol::Http1).await;
        let mut sender = client2(&bed).await;
        let (response, mut one) = opened(&mut sender).await;
        for absent in ["upgrade", "connection", "sec-websocket-accept"] {
            assert!(!response.headers().contains_key(absent), "{absent}");
        }
        assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
        let (_, mut other) = opened(&mut sender).await;
        hears(&mut one, "hello").await;
        hears(&mut other, "you").await;
        bed.apply(vec![], &["route/HTTPRoute/d/r/0"]);
        hears(&mut one, "still there").await;
        one.shutdown().await.unwrap();
        assert_eq!(one.read(&mut [0]).await.unwrap(), 0);
        hears(&mut other, "and me").await;
        assert_eq!(bed.metrics.upgrades.get(), 2);
    });
}

#[test]
fn a_client_of_http1_reaches_a_backend_of_http2() {
    run(async {
        assert_eq!(proof(KEY), PROOF);
        let bed = bed(shouting2().await, v1::BackendProtocol::Http2).await;
        let mut client = Http1::connect(&bed).await;
        client.write(ASK).await;
        let got = client.read_head().await;
        assert_eq!(
            (got.status, got.header("upgrade")),
            (101, Some("websocket"))
        );
        assert_eq!(got.header("connection"), Some("upgrade"));
        assert_eq!(got.header("sec-websocket-accept"), Some(PROOF));
        hears(&mut client.stream, "hello").await;
        client.stream.shutdown().await.unwrap();
        assert!(client.is_closed().await);
    });
}

#[test]
fn both_sides_may_speak_http2() {
    run(async {
        let bed = bed(shouting2().await, v1::BackendProtocol::Http2).await;
        let mut sender = client2(&bed).await;
        let (_, mut stream) = opened(&mut sender).await;
        let long = "x".repeat(1000);
        for _ in 0..500 {
            hears(&mut stream, &long).await;
        }
    });
}

#[test]
fn a_backend_that_does_not_open_is_passed_on_and_one_that_proves_nothing_is_not() {
    run(async {
        let closed = Origin::http1(|_| status(403)).await;
        let liar = shouting1(|_| PROOF.to_owned()).await;
        for (port, expect) in [(closed.port, 403), (liar, 502)] {
            let bed = bed(port, v1::BackendProtocol::Http1).await;
            let mut sender = client2(&bed).await;
            let websocket = Protocol::from_static("websocket");
            let response = connect(&mut sender, Some(websocket)).await;
            assert_eq!(response.status().as_u16(), expect);
            assert_eq!(bed.metrics.upgrades.get(), 0);
        }
    });
}

#[test]
fn nothing_else_is_opened_by_connect() {
    run(async {
        let bed = bed(shouting1(proof).await, v1::BackendProtocol::Http1).await;
        let mut sender = client2(&bed).await;
        for protocol in [None, Some(Protocol::from_static("connect-udp"))] {
            assert_eq!(connect(&mut sender, protocol).await.status(), 501);
        }
    });
}
