//! HTTP/2 and gRPC on both sides.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::TokioIo;
use novaedge_proto::v1;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::support::client::{Got, Http1, Spawn, get, get2, http2, send2};
use crate::support::origin::{Answer, Origin, Seen, raw, read_head, text, write};
use crate::support::resources::*;
use crate::support::{Bed, run};

fn h2c(name: &str) -> v1::Resource {
    backend_with(name, |backend| {
        backend.protocol = v1::BackendProtocol::Http2.into();
    })
}

pub fn h2c_route(port: u16, origin: u16, route: v1::Route) -> Vec<v1::Resource> {
    vec![
        gateway(),
        listener(port),
        routed(route),
        h2c("a"),
        endpoints("a", &[origin]),
    ]
}

async fn prior_knowledge(bed: &Bed, request: Request<Full<Bytes>>) -> Got {
    let stream = TcpStream::connect(bed.address).await.unwrap();
    send2(&mut http2(stream).await, request).await
}

/// A client that takes little of each stream before it reads.
async fn http2_with_small_windows(
    stream: TcpStream,
) -> (
    SendRequest<Full<Bytes>>,
    impl Future<Output = hyper::Result<()>>,
) {
    hyper::client::conn::http2::Builder::new(Spawn)
        .initial_stream_window_size(16 * 1024)
        .initial_connection_window_size(16 << 20)
        .handshake(TokioIo::new(stream))
        .await
        .unwrap()
}

/// An answer with trailers.
fn with_trailers(chunks: &[&'static str], trailers: &[(&'static str, &'static str)]) -> Answer {
    let mut fields = HeaderMap::new();
    for (name, value) in trailers {
        fields.insert(*name, HeaderValue::from_static(value));
    }
    let mut frames: Vec<Result<Frame<Bytes>, std::convert::Infallible>> = chunks
        .iter()
        .map(|chunk| Ok(Frame::data(Bytes::from_static(chunk.as_bytes()))))
        .collect();
    frames.push(Ok(Frame::trailers(fields)));
    let body = StreamBody::new(futures_util::stream::iter(frames));
    Response::builder()
        .header("trailer", "grpc-status")
        .body(BodyExt::boxed(body))
        .unwrap()
}

#[test]
fn http2_by_prior_knowledge_is_forwarded_to_http1() {
    run(async {
        let origin = Origin::http1(|_| text("ok")).await;
        let bed = Bed::new(|port| simple(port, &[origin.port])).await;
        let request = Request::post("http://a.example/x?y")
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .body(Full::from("hello"))
            .unwrap();
        let got = prior_knowledge(&bed, request).await;
        assert_eq!((got.status, got.body.as_str()), (200, "ok"));
        let seen = origin.last();
        assert_eq!(seen.head.uri, "/x?y");
        assert_eq!(seen.header("host"), Some("a.example"));
        assert_eq!(seen.header("cookie"), Some("a=1; b=2"));
        assert_eq!(seen.body, "hello");
    });
}

#[test]
fn http1_is_forwarded_to_http2_on_one_connection() {
    run(async {
        let origin = Origin::http2(|_| text("ok")).await;
        let bed = Bed::new(|port| h2c_route(port, origin.port, route())).await;
        for _ in 0..3 {
            assert_eq!(get(&bed, "/x", "").await.status, 200);
        }
        let seen = origin.last();
        assert_eq!(seen.head.version, http::Version::HTTP_2);
        assert_eq!(seen.head.uri, "http://a.example/x");
        assert_eq!(seen.header("host"), None);
        assert_eq!(origin.connections.get(), 1);
    });
}

#[test]
fn answers_that_nobody_reads_leave_room_for_others_on_the_connection() {
    run(async {
        let origin = Origin::http2(|seen: Seen| {
            let bytes = if seen.head.uri.path() == "/long" {
                2 << 20
            } else {
                2
            };
            text(vec![b'x'; bytes])
        })
        .await;
        let bed = Bed::new(|port| h2c_route(port, origin.port, route())).await;
        let stream = TcpStream::connect(bed.address).await.unwrap();
        let (mut stalled, connection) = http2_with_small_windows(stream).await;
        tokio::task::spawn_local(connection);
        let mut unread = Vec::new();
        for _ in 0..20 {
            let response = stalled.send_request(get2("http://a.example/long")).await;
            unread.push(response.unwrap());
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        let answer = tokio::time::timeout(Duration::from_secs(5), get(&bed, "/", "")).await;
        assert_eq!(answer.unwrap().body, "xx");
        assert_eq!(origin.connections.get(), 1);
        let whole = unread.pop().unwrap().into_body().collect().await.unwrap();
        assert_eq!(whole.to_bytes().len(), 2 << 20);
    });
}

#[test]
fn grpc_passes_with_its_trailers() {
    run(async {
        let origin = Origin::http2(|seen: Seen| {
            assert_eq!(seen.header("te"), Some("trailers"));
            with_trailers(&["\0\0\0\0\0"], &[("grpc-status", "0")])
        })
        .await;
        let mut grpc = route();
        grpc.kind = v1::RouteKind::Grpc.into();
        grpc.r#ref.as_mut().unwrap().kind = "GRPCRoute".into();
        let mut routed = resource("route/GRPCRoute/d/r/0", v1::resource::Body::Route(grpc));
        routed.version = "1".into();
        // The backend says HTTP/1.1; gRPC needs HTTP/2 all the same.
        let bed = Bed::new(|port| {
            vec![
                gateway(),
                listener(port),
                routed,
                backend("a"),
                endpoints("a", &[origin.port]),
            ]
        })
        .await;
        let request = Request::post("http://a.example/pkg.Service/Method")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::from("\0\0\0\0\0"))
            .unwrap();
        let got = prior_knowledge(&bed, request).await;
        assert_eq!((got.status, got.header("grpc-status")), (200, Some("0")));
    });
}

#[test]
fn errors_reach_grpc_clients_as_a_status() {
    run(async {
        let mut only = route();
        only.http_matches = vec![prefix("/pkg.None"), prefix("/pkg.Slow")];
        let slow = Origin::http2_async(100, |_| Box::pin(std::future::pending())).await;
        let mut slow_route = route();
        slow_route.http_matches = vec![prefix("/pkg.Slow")];
        slow_route.request_timeout_ms = Some(50);
        slow_route.backends = vec![to("slow")];
        let bed = Bed::new(|port| {
            vec![
                gateway(),
                listener(port),
                routed(only),
                routed_as("a-slow", slow_route),
                h2c("a"),
                endpoints("a", &[]),
                h2c("slow"),
                endpoints("slow", &[slow.port]),
            ]
        })
        .await;
        for (path, status) in [
            ("/pkg.Other/M", "12"),
            ("/pkg.None/M", "14"),
            ("/pkg.Slow/M", "4"),
        ] {
            let request = Request::post(format!("http://a.example{path}"))
                .header("content-type", "application/grpc+proto")
                .body(Full::default())
                .unwrap();
            let got = prior_knowledge(&bed, request).await;
            assert_eq!(
                (got.status, got.header("grpc-status")),
                (200, Some(status)),
                "{path}"
            );
            assert_eq!(got.header("content-type"), Some("application/grpc"));
            assert!(got.header("grpc-message").is_some());
        }
    });
}

#[test]
fn trailers_pass_to_http1_clients_that_want_them() {
    run(async {
        let origin = Origin::http1(|_| with_trailers(&["a", "b"], &[("grpc-status", "7")])).await;
        let bed = Bed::new(|port| simple(port, &[origin.port])).await;
        let got = get(&bed, "/", "TE: trailers\r\nConnection: TE\r\n").await;
        assert_eq!(
            (got.body.as_str(), got.header("grpc-status")),
            ("ab", Some("7"))
        );
    });
}

#[test]
fn trailers_of_requests_pass() {
    run(async {
        let origin = Origin::http1(|_| text("ok")).await;
        let bed = Bed::new(|port| simple(port, &[origin.port])).await;
        let request = "POST / HTTP/1.1\r\nHost: a\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n\
                       2\r\nab\r\n0\r\nX-Sum: 9\r\n\r\n";
        assert_eq!(Http1::connect(&bed).await.send(request).await.status, 200);
        let seen = origin.last();
        assert_eq!(seen.body, "ab");
        assert_eq!(seen.trailers.unwrap()["x-sum"], "9");
    });
}

#[test]
fn another_connection_is_opened_when_the_streams_of_one_run_out() {
    run(async {
        let gate = Rc::new(Semaphore::new(0));
        let shared = Rc::clone(&gate);
        let origin = Origin::http2_async(2, move |_| {
            let gate = Rc::clone(&shared);
            Box::pin(async move {
                gate.acquire().await.unwrap().forget();
                text("ok")
            })
        })
        .await;
        let bed = Bed::new(|port| h2c_route(port, origin.port, route())).await;
        // The first request learns how many streams the backend allows.
        gate.add_permits(1);
        assert_eq!(get(&bed, "/", "").await.status, 200);
        let mut pending = Vec::new();
        for _ in 0..6 {
            let bed = Rc::clone(&bed);
            pending.push(tokio::task::spawn_local(async move {
                get(&bed, "/", "").await.status
            }));
        }
        while origin.seen.borrow().len() < 7 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(origin.connections.get(), 3);
        gate.add_permits(6);
        for request in pending {
            assert_eq!(request.await.unwrap(), 200);
        }
    });
}

#[test]
fn connect_is_refused() {
    run(async {
        let bed = Bed::new(|port| simple(port, &[])).await;
        let got = Http1::connect(&bed)
            .await
            .send("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n")
            .await;
        assert_eq!(got.status, 501);
        let request = Request::connect("a.example:443")
            .body(Full::default())
            .unwrap();
        assert_eq!(prior_knowledge(&bed, request).await.status, 501);
    });
}

#[test]
fn http2_requests_need_an_authority_that_agrees_with_host() {
    run(async {
        let origin = Origin::http1(|_| text("ok")).await;
        let bed = Bed::new(|port| simple(port, &[origin.port])).await;
        let mut request = get2("http://a.example/");
        request
            .headers_mut()
            .insert("host", HeaderValue::from_static("b.example"));
        assert_eq!(prior_knowledge(&bed, request).await.status, 400);
    });
}

#[test]
fn a_backend_that_does_not_speak_http2_is_told_apart_at_once() {
    run(async {
        let port = raw(|mut stream| async move {
            read_head(&mut stream).await;
            write(
                &mut stream,
                "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
            )
            .await;
        })
        .await;
        let bed = Bed::new(|of_bed| h2c_route(of_bed, port, route())).await;
        let begun = tokio::time::Instant::now();
        assert_eq!(get(&bed, "/", "").await.status, 502);
        assert!(begun.elapsed() < Duration::from_secs(2));
    });
}

#[test]
fn a_backend_that_says_goaway_gets_a_new_connection() {
    run(async {
        let origin = Origin::http2_goaway(|_| text("ok")).await;
        let bed = Bed::new(|port| h2c_route(port, origin.port, route())).await;
        let mut client = Http1::connect(&bed).await;
        for _ in 0..5 {
            let got = client
                .send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
                .await;
            assert_eq!(got.status, 200);
        }
        assert!(origin.connections.get() > 1);
    });
}
