//! HTTP/3, with the client of h3.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use h3::client::{RequestStream, SendRequest};
use h3::error::{Code, StreamError};
use h3_quinn::{BidiStream, OpenStreams};
use http::{HeaderMap, Request, Response};
use novaedge_proto::v1;
use novaedge_proxy::{QuicListener, Seat};
use novaedge_router::{SocketKey, Transport};
use quinn::crypto::rustls::QuicClientConfig;
use tokio::time::{Instant, sleep};

use crate::counting::{Counted, counts};
use crate::support::client::Http1;
use crate::support::origin::{Origin, raw, read_head, text, write};
use crate::support::resources::*;
use crate::support::tls::{Authority, client, connect};
use crate::support::{Bed, run};
use crate::tls::{bound, https_with};

type Sender = SendRequest<OpenStreams, Bytes>;
type Stream = RequestStream<BidiStream<Bytes>, Bytes>;

/// An answer.
struct Got {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
}

/// A worker that serves HTTPS over TCP and QUIC.
struct QuicBed {
    bed: Rc<Bed>,
    authority: Authority,
    address: SocketAddr,
}

impl QuicBed {
    /// With the listeners `a` and `b`, each with a certificate for the host of its name.
    async fn new(origin: u16) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        let authority = Authority::new();
        let bed = Bed::new(|port| {
            let mut resources = vec![
                gateway(),
                routed(bound(&["a", "b"])),
                backend("a"),
                endpoints("a", &[origin]),
            ];
            for name in ["a", "b"] {
                let certificate = format!("certificate/d/{name}");
                let host = format!("{name}.example");
                let http3 = |listener: &mut v1::Listener| {
                    listener.http3_bind_port = address.port().into();
                };
                resources.push(https_with(port, name, &host, &[&certificate], http3));
                resources.push(authority.issue(&[&host]).resource(&certificate));
            }
            resources
        })
        .await;
        let key = SocketKey {
            address: Ipv4Addr::UNSPECIFIED.into(),
            port: address.port(),
            transport: Transport::Quic,
        };
        let seat = Seat {
            index: 0,
            workers: 1,
        };
        let listener = QuicListener::new(&bed.worker, socket, key, seat).unwrap();
        let serving = Rc::clone(&bed);
        tokio::task::spawn_local(async move {
            while let Some(incoming) = listener.accept().await {
                let worker = Rc::clone(&serving.worker);
                let drain = serving.drain.clone();
                tokio::task::spawn_local(worker.serve_http3(incoming, key, drain));
            }
        });
        Self {
            bed,
            authority,
            address,
        }
    }

    async fn try_connect(&self, host: &str) -> Result<quinn::Connection, quinn::ConnectionError> {
        let tls = client(&self.authority, None, &["h3"]);
        let crypto = QuicClientConfig::try_from(Arc::unwrap_or_clone(tls)).unwrap();
        let endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let config = quinn::ClientConfig::new(Arc::new(crypto));
        endpoint
            .connect_with(config, self.address, host)
            .unwrap()
            .await
    }

    async fn connect(&self, host: &str) -> (Sender, quinn::Connection) {
        let quic = self.try_connect(host).await.unwrap();
        let connection = h3_quinn::Connection::new(quic.clone());
        let (mut driver, sender) = h3::client::new(connection).await.unwrap();
        tokio::task::spawn_local(async move {
            std::future::poll_fn(|cx| driver.poll_close(cx)).await;
        });
        (sender, quic)
    }
}

fn request(method: &str, uri: &str, fields: &[(&str, &str)]) -> Request<()> {
    let builder = Request::builder().method(method).uri(uri);
    let add = |builder: http::request::Builder, (name, value): &(&str, &str)| {
        builder.header(*name, *value)
    };
    fields.iter().fold(builder, add).body(()).unwrap()
}

async fn read(stream: &mut Stream) -> Result<Got, StreamError> {
    let response: Response<()> = stream.recv_response().await?;
    let mut body = Vec::new();
    while let Some(mut data) = stream.recv_data().await? {
        body.extend_from_slice(&data.copy_to_bytes(data.remaining()));
    }
    Ok(Got {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body,
        trailers: stream.recv_trailers().await?,
    })
}

async fn send(
    sender: &mut Sender,
    request: Request<()>,
    body: &[Bytes],
) -> Result<Got, StreamError> {
    let mut stream = sender.send_request(request).await?;
    for data in body {
        // A stream that is refused meanwhile tells why when it is read.
        let _ = stream.send_data(data.clone()).await;
    }
    let _ = stream.finish().await;
    read(&mut stream).await
}

async fn get3(sender: &mut Sender, uri: &str) -> Got {
    send(sender, request("GET", uri, &[]), &[]).await.unwrap()
}

#[test]
fn requests_are_served_and_answers_over_tcp_tell_of_it() {
    run(async {
        let origin = Origin::http1(|_| text("hello")).await;
        let quic = QuicBed::new(origin.port).await;
        let (mut sender, _) = quic.connect("a.example").await;
        for _ in 0..3 {
            let got = get3(&mut sender, "https://a.example/x?y").await;
            assert_eq!((got.status, &got.body[..]), (200, &b"hello"[..]));
            assert!(!got.headers.contains_key("alt-svc"));
            assert!(got.trailers.is_none());
        }
        let seen = origin.last();
        assert_eq!(seen.head.uri, "/x?y");
        assert_eq!(seen.header("host"), Some("a.example"));
        assert_eq!(seen.header("via"), Some("3 novaedge"));
        assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
        assert_eq!(seen.header("transfer-encoding"), None, "there is no body");
        assert_eq!(origin.connections.get(), 1);

        let tls = client(&quic.authority, None, &["http/1.1"]);
        let stream = connect(&quic.bed, &tls, "a.example").await.unwrap();
        let got = Http1::over(stream)
            .send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
            .await;
        assert_eq!(got.header("alt-svc"), Some("h3=\":443\"; ma=86400"));
    });
}

#[test]
fn bodies_go_both_ways() {
    run(async {
        let origin = Origin::http1(|seen| text(seen.body)).await;
        let quic = QuicBed::new(origin.port).await;
        let (mut sender, _) = quic.connect("a.example").await;
        let body = vec![Bytes::from(vec![b'x'; 40_000]); 100];
        let length = (40_000 * 100).to_string();
        for fields in [&[][..], &[("content-length", &*length)]] {
            let request = request("POST", "https://a.example/", fields);
            let got = send(&mut sender, request, &body).await.unwrap();
            assert_eq!(got.status, 200);
            assert_eq!(got.body.len(), 4_000_000);
            let chunked = origin.last().header("transfer-encoding").is_some();
            assert_eq!(chunked, fields.is_empty());
        }
    });
}

#[test]
fn informational_answers_come_before_the_final_one() {
    run(async {
        let origin = raw(|mut stream| async move {
            while !read_head(&mut stream).await.is_empty() {
                write(
                    &mut stream,
                    "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n",
                )
                .await;
                sleep(Duration::from_millis(50)).await;
                write(
                    &mut stream,
                    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
                )
                .await;
            }
        })
        .await;
        let quic = QuicBed::new(origin).await;
        let (mut sender, _) = quic.connect("a.example").await;
        let request = request("GET", "https://a.example/", &[]);
        let mut stream = sender.send_request(request).await.unwrap();
        stream.finish().await.unwrap();
        let hints = stream.recv_response().await.unwrap();
        assert_eq!(hints.status(), 103);
        assert_eq!(hints.headers()["link"], "</a.css>");
        let got = read(&mut stream).await.unwrap();
        assert_eq!((got.status, &got.body[..]), (200, &b"ok"[..]));
    });
}

#[test]
fn malformed_requests_end_their_streams_alone() {
    run(async {
        let origin = Origin::http1(|_| text("ok")).await;
        let quic = QuicBed::new(origin.port).await;
        let (mut sender, _) = quic.connect("a.example").await;
        let body = [Bytes::from_static(b"12345")];
        for fields in [
            &[("connection", "close")][..],
            &[("transfer-encoding", "chunked")],
            &[("upgrade", "websocket")],
            &[("te", "gzip")],
            &[("content-length", "5"), ("content-length", "6")],
            &[("content-length", "+5")],
        ] {
            let request = request("POST", "https://a.example/", fields);
            let refused = send(&mut sender, request, &body).await.err().unwrap();
            let StreamError::RemoteTerminate { code, .. } = refused else {
                panic!("{fields:?}: {refused}");
            };
            assert_eq!(code, Code::H3_MESSAGE_ERROR, "{fields:?}");
        }
        assert!(origin.seen.borrow().is_empty());
        // A body that is not as long as it said is seen when it ends; what was sent of it is no request for the backend.
        for length in ["4", "6"] {
            let request = request("POST", "https://a.example/", &[("content-length", length)]);
            let got = send(&mut sender, request, &body).await;
            assert!(got.is_err() || got.unwrap().status == 400, "{length}");
        }
        assert_eq!(get3(&mut sender, "https://a.example/").await.status, 200);
        let connect = request("CONNECT", "https://a.example/", &[]);
        assert_eq!(send(&mut sender, connect, &[]).await.unwrap().status, 501);
    });
}

#[test]
fn the_server_name_chooses_listener_and_certificate() {
    run(async {
        let origin = Origin::http1(|_| text("ok")).await;
        let quic = QuicBed::new(origin.port).await;
        let (mut sender, _) = quic.connect("B.example").await;
        assert_eq!(get3(&mut sender, "https://b.example/").await.status, 200);
        for other in ["https://a.example/", "https://c.example/"] {
            assert_eq!(get3(&mut sender, other).await.status, 421);
        }
        assert!(quic.try_connect("c.example").await.is_err());
        let handshakes = &quic.bed.metrics.quic_handshakes;
        let failed = handshakes.without_certificate.get() + handshakes.failed.get();
        assert_eq!(failed, 1);
        assert_eq!(handshakes.tls13.get(), 1);
        let expected = Counted {
            requests: 3,
            client_errors: 2,
            ..Counted::default()
        };
        counts(&quic.bed, expected).await;
    });
}

#[test]
fn a_connection_survives_swaps_and_follows_them() {
    run(async {
        let [one, two] = [
            Origin::http1(|_| text("one")).await,
            Origin::http1(|_| text("two")).await,
        ];
        let quic = QuicBed::new(one.port).await;
        let (mut sender, connection) = quic.connect("a.example").await;
        assert_eq!(get3(&mut sender, "https://a.example/").await.body, b"one");
        quic.bed.apply(vec![endpoints("a", &[two.port])], &[]);
        assert_eq!(get3(&mut sender, "https://a.example/").await.body, b"two");
        // Other certificates are for other connections.
        let other = quic.authority.issue(&["a.example"]);
        let rejected = quic.bed.apply(vec![other.resource("certificate/d/a")], &[]);
        assert!(rejected.is_empty(), "{rejected:?}");
        assert_eq!(get3(&mut sender, "https://a.example/").await.body, b"two");
        let (mut fresh, _) = quic.connect("a.example").await;
        assert_eq!(get3(&mut fresh, "https://a.example/").await.body, b"two");
        assert!(connection.close_reason().is_none());
        quic.bed.apply(vec![], &["route/HTTPRoute/d/r/0"]);
        assert_eq!(get3(&mut sender, "https://a.example/").await.status, 404);
    });
}

#[test]
fn a_drain_finishes_what_is_under_way() {
    run(async {
        let origin = Origin::http1_async(|_| {
            Box::pin(async {
                sleep(Duration::from_millis(300)).await;
                text("late")
            })
        })
        .await;
        let quic = QuicBed::new(origin.port).await;
        let (mut sender, connection) = quic.connect("a.example").await;
        let mut pending = sender
            .send_request(request("GET", "https://a.example/", &[]))
            .await
            .unwrap();
        pending.finish().await.unwrap();
        sleep(Duration::from_millis(100)).await;
        quic.bed
            .drain
            .begin(Instant::now() + Duration::from_secs(5));
        assert_eq!(read(&mut pending).await.unwrap().body, b"late");
        let more = sender
            .send_request(request("GET", "https://a.example/", &[]))
            .await;
        assert!(more.is_err(), "the client was asked to go elsewhere");
        drop((sender, pending));
        connection.closed().await;
    });
}
