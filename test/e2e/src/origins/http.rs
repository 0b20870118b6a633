//! An HTTP origin for every protocol: it describes the request, or behaves as its path says.
//!
//! | request | answer |
//! |---|---|
//! | content-type `application/grpc*` | the body as it comes, then trailer `grpc-status: 0` |
//! | the same, method `Describe` | one message, an [`Echo`] as JSON, then that trailer |
//! | `Upgrade: websocket` | 101, then every message is sent back |
//! | `/stream` | the frames of the body as they come, trailers too |
//! | `/status/N` | status N |
//! | `/delay/MS` | after MS milliseconds |
//! | `/flaky/KEY/N` | 503 to the first N requests with that KEY, then 200 |
//! | `/retry/KEY/N/CODE/MS` | CODE after MS milliseconds to the first N, then 200 at once |
//! | anything else | 200 |
//!
//! All but those of gRPC, WebSockets and `/stream` carry an [`Echo`] as JSON and the header `x-origin`.

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header, uri::Authority};
use http_body_util::{BodyExt as _, Collected, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    task::JoinSet,
};
use tokio_stream::StreamExt as _;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{handshake::derive_accept_key, protocol::Role},
};

use super::Origin;

type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// What an origin saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Echo {
    /// The origin's name.
    pub origin: String,
    /// Request method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Host header or :authority.
    pub host: String,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub version: String,
    /// Headers with their values in order; names in lower case.
    pub headers: BTreeMap<String, Vec<String>>,
    /// Request body as text.
    pub body: String,
}

impl Echo {
    /// Reads an origin's answer. Panics when it is something else.
    pub fn parse(bytes: &[u8]) -> Self {
        let value: Value = serde_json::from_slice(bytes)
            .unwrap_or_else(|e| panic!("not an echo: {e}: {}", String::from_utf8_lossy(bytes)));
        let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let headers = serde_json::from_value(value["headers"].clone()).expect("headers");
        Self {
            origin: text("origin"),
            method: text("method"),
            path: text("path"),
            host: text("host"),
            version: text("version"),
            headers,
            body: text("body"),
        }
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)
            .and_then(|values| values.first())
            .map(String::as_str)
    }
}

struct State {
    name: String,
    hits: Arc<AtomicUsize>,
    flaky: Mutex<HashMap<String, u32>>,
}

impl State {
    /// Whether this is one of the first `times` requests with that key.
    fn fails(&self, key: &str, times: &str) -> bool {
        let mut flaky = self.flaky.lock().expect("no holder panics");
        let seen = flaky.entry(key.to_owned()).or_default();
        *seen += 1;
        *seen <= times.parse().expect("a number in the path")
    }
}

/// An HTTP/1.1 and h2c origin.
pub async fn http(name: &str) -> Origin {
    start(name, None).await
}

/// The same over TLS.
pub async fn http_tls(name: &str, tls: Arc<ServerConfig>) -> Origin {
    start(name, Some(tls)).await
}

async fn start(name: &str, tls: Option<Arc<ServerConfig>>) -> Origin {
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .expect("a free port");
    let address = listener
        .local_addr()
        .expect("a bound socket has an address");
    let name = name.to_owned();
    Origin::spawn(address, |hits| async move {
        let state = Arc::new(State {
            name,
            hits,
            flaky: Mutex::default(),
        });
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let (state, tls) = (state.clone(), tls.clone());
            connections.spawn(async move {
                match tls {
                    None => serve(state, stream).await,
                    Some(tls) => {
                        if let Ok(stream) =
                            tokio_rustls::TlsAcceptor::from(tls).accept(stream).await
                        {
                            serve(state, stream).await;
                        }
                    }
                }
            });
        }
    })
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(state: Arc<State>, stream: S) {
    let service = service_fn(move |request| {
        let state = state.clone();
        async move { Ok::<_, Infallible>(answer(&state, request).await) }
    });
    let _ = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
        .serve_connection_with_upgrades(TokioIo::new(stream), service)
        .await;
}

async fn answer(state: &State, request: Request<Incoming>) -> Response<Body> {
    state.hits.fetch_add(1, Ordering::SeqCst);
    let content_type = request.headers().get(header::CONTENT_TYPE).cloned();
    if content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc")) {
        return grpc(&state.name, request).await;
    }
    if request.headers().contains_key(header::UPGRADE) {
        return web_socket(request);
    }
    let path = request.uri().path().to_owned();
    let mut status = StatusCode::OK;
    let mut parts = path.split('/').skip(1);
    match (parts.next(), parts.next(), parts.next()) {
        (Some("stream"), None, None) => {
            return Response::new(request.into_body().boxed_unsync());
        }
        (Some("status"), Some(code), _) => {
            status = code.parse().expect("a status code in the path");
        }
        (Some("delay"), Some(ms), _) => {
            tokio::time::sleep(Duration::from_millis(ms.parse().expect("milliseconds"))).await;
        }
        (Some("flaky"), Some(key), Some(times)) if state.fails(key, times) => {
            status = StatusCode::SERVICE_UNAVAILABLE;
        }
        (Some("retry"), Some(key), Some(times)) if state.fails(key, times) => {
            let code = parts.next().expect("a code in the path");
            let ms = parts.next().expect("a time in the path");
            status = code.parse().expect("a status code in the path");
            tokio::time::sleep(Duration::from_millis(ms.parse().expect("milliseconds"))).await;
        }
        _ => {}
    }
    describe(&state.name, status, request).await
}

async fn describe(name: &str, status: StatusCode, request: Request<Incoming>) -> Response<Body> {
    let echo = echo(name, request).await;
    let full = Full::new(Bytes::from(echo.to_string())).map_err(|never| match never {});
    let mut response = Response::new(full.boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(
        "x-origin",
        HeaderValue::from_str(name).expect("a header value"),
    );
    response
}

async fn echo(name: &str, request: Request<Incoming>) -> Value {
    let (parts, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(Collected::to_bytes)
        .unwrap_or_default();
    let mut headers = BTreeMap::<&str, Vec<String>>::new();
    for (name, value) in &parts.headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers.entry(name.as_str()).or_default().push(value);
    }
    let host = parts
        .headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    json!({
        "origin": name,
        "method": parts.method.as_str(),
        "path": parts.uri.path_and_query().map_or("/", |p| p.as_str()),
        "host": host.or(parts.uri.authority().map(Authority::as_str)).unwrap_or_default(),
        "version": format!("{:?}", parts.version),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    })
}

/// Sends the messages back as they come: unary and every kind of streaming call. The method `Describe` describes its
/// request instead.
async fn grpc(name: &str, request: Request<Incoming>) -> Response<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    trailers.insert(
        "x-origin",
        HeaderValue::from_str(name).expect("a header value"),
    );
    let end = tokio_stream::once(Ok(Frame::trailers(trailers)));
    let body = if request.uri().path().ends_with("/Describe") {
        let text = echo(name, request).await.to_string();
        let length = u32::try_from(text.len()).expect("a short text");
        let message = [&[0], &length.to_be_bytes()[..], text.as_bytes()].concat();
        let data = tokio_stream::once(Ok(Frame::data(Bytes::from(message))));
        StreamBody::new(data.chain(end)).boxed_unsync()
    } else {
        let data = request.into_body().into_data_stream();
        let data = data.map(|data| data.map(Frame::data));
        StreamBody::new(data.chain(end)).boxed_unsync()
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    response
}

fn web_socket(request: Request<Incoming>) -> Response<Body> {
    let key = request.headers().get(header::SEC_WEBSOCKET_KEY).cloned();
    let accept = key
        .map(|key| derive_accept_key(key.as_bytes()))
        .unwrap_or_default();
    tokio::spawn(async move {
        let Ok(upgraded) = hyper::upgrade::on(request).await else {
            return;
        };
        let stream = TokioIo::new(upgraded);
        let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            if message.is_close()
                || futures_util::SinkExt::send(&mut socket, message)
                    .await
                    .is_err()
            {
                break;
            }
        }
    });
    let empty = Full::new(Bytes::new()).map_err(|never| match never {});
    let mut response = Response::new(empty.boxed_unsync());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(
        header::SEC_WEBSOCKET_ACCEPT,
        HeaderValue::from_str(&accept).expect("base64 is a header value"),
    );
    response
}
