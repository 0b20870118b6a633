//! The admin endpoint of a control plane in a cluster: `/livez`, `/readyz`, `/metrics` and `/loglevel`.
//! Shows no resource and no key.

use std::{convert::Infallible, net::IpAddr, sync::Arc, time::Duration};

use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use novaedge_telemetry::{
    LogLevel,
    level::{self, Asker},
};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};

/// Connections served at once.
const CONNECTIONS: usize = 64;
const REQUEST_LIMIT: Duration = Duration::from_secs(10);

const TEXT: &str = "text/plain; charset=utf-8";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the endpoint tells.
pub struct Admin {
    /// Why no agent should be sent here; none when all is well.
    pub unready: Box<dyn Fn() -> Option<String> + Send + Sync>,
    /// All metrics, in the OpenMetrics text format.
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
    /// The level of the log; none: it can't be changed.
    pub log_level: Option<LogLevel>,
}

/// Serves until dropped.
pub async fn serve(listener: TcpListener, admin: Admin) {
    let admin = Arc::new(admin);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let Ok((stream, peer)) = listener.accept().await else {
            // Out of file descriptors, most likely: others are given back soon.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let admin = Arc::clone(&admin);
        connections.spawn(async move {
            let _place = place;
            let service = service_fn(|request: Request<Incoming>| {
                let admin = Arc::clone(&admin);
                async move {
                    Ok::<_, Infallible>(match request.uri().path() {
                        "/loglevel" => admin.level(request, peer.ip()).await,
                        path => admin.answer(path),
                    })
                }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(REQUEST_LIMIT)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            // A client that breaks off has only itself to tell.
            let _ = tokio::time::timeout(2 * REQUEST_LIMIT, connection).await;
        });
    }
}

impl Admin {
    /// Only the pod itself may change the level, and no page in a browser of this machine.
    async fn level(&self, request: Request<Incoming>, peer: IpAddr) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let is_local =
            peer.to_canonical().is_loopback() && !head.headers.contains_key(header::ORIGIN);
        let asker = if is_local { Asker::Local } else { Asker::Other };
        let (status, text) = match Limited::new(body, level::LONGEST).collect().await {
            Ok(body) => {
                let (level, method) = (self.log_level.as_ref(), head.method.as_str());
                level::respond(level, asker, method, &body.to_bytes())
            }
            Err(_) => (400, format!("{}\n", level::LogError::Long)),
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        respond(status, TEXT, text)
    }

    fn answer(&self, path: &str) -> Response<Full<Bytes>> {
        let (status, kind, body) = match path {
            "/livez" => (StatusCode::OK, TEXT, "ok\n".to_owned()),
            "/readyz" => match (self.unready)() {
                None => (StatusCode::OK, TEXT, "ok\n".to_owned()),
                Some(why) => (StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{why}\n")),
            },
            "/metrics" => (StatusCode::OK, OPENMETRICS, (self.metrics)()),
            _ => {
                let known = "try /livez, /readyz, /metrics or /loglevel\n";
                (StatusCode::NOT_FOUND, TEXT, known.to_owned())
            }
        };
        respond(status, kind, body)
    }
}

fn respond(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_says_why_not() {
        let admin = Admin {
            unready: Box::new(|| Some("caches are not in sync".to_owned())),
            metrics: Box::new(|| "# EOF\n".to_owned()),
            log_level: None,
        };
        let status = |path| admin.answer(path).status().as_u16();
        assert_eq!(
            [
                status("/livez"),
                status("/readyz"),
                status("/metrics"),
                status("/x")
            ],
            [200, 503, 200, 404]
        );
    }
}
