//! A backend that speaks HTTP.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

#[derive(Clone, Copy)]
pub enum Speaks {
    Http1,
    /// HTTP/2 with trailers.
    Grpc,
}

/// Where the backend is, and how many requests it has seen.
pub struct Origin {
    pub address: SocketAddr,
    pub seen: Arc<AtomicU64>,
}

/// Answers `ok` after 10 ms.
pub async fn http_origin(speaks: Speaks) -> Origin {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let io = TokioIo::new(stream);
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                let _ = match speaks {
                    Speaks::Http1 => {
                        let service = service_fn(|_: Request<Incoming>| async {
                            count.fetch_add(1, Ordering::Relaxed);
                            tokio::time::sleep(Duration::from_millis(10)).await;
                            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("ok"))))
                        });
                        http1::Builder::new().serve_connection(io, service).await
                    }
                    Speaks::Grpc => {
                        let service = service_fn(|request| {
                            count.fetch_add(1, Ordering::Relaxed);
                            grpc(request)
                        });
                        let server = http2::Builder::new(TokioExecutor::new());
                        server.serve_connection(io, service).await
                    }
                };
            });
        }
    });
    Origin { address, seen }
}

async fn grpc(
    request: Request<Incoming>,
) -> Result<
    Response<impl hyper::body::Body<Data = Bytes, Error = Infallible> + Send + 'static>,
    Infallible,
> {
    let _ = request.into_body().collect().await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    let trailers = async {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        Some(Ok(trailers))
    };
    let body = Full::new(Bytes::from("ok")).with_trailers(Box::pin(trailers));
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", kind);
    Ok(response)
}
