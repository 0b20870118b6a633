//! The admin endpoint: health, version, metrics, and the level of the log. Shows no resource and no key.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use novaedge_proto::v1;
use novaedge_telemetry::LogLevel;
use novaedge_telemetry::level::{self, Asker};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::task::JoinSet;

use crate::leaving::Leaving;
use crate::metrics::{Sources, render};

/// Connections served at once.
const CONNECTIONS: usize = 64;
const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// How long an agent that leaves may be asked to serve on.
const LONGEST_DELAY: Duration = Duration::from_hours(1);
const TEXT: &str = "text/plain; charset=utf-8";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Answer = (StatusCode, &'static str, String);

/// What the admin endpoint tells.
pub(crate) struct Admin {
    pub(crate) served: watch::Receiver<Option<v1::Version>>,
    pub(crate) leaving: Leaving,
    /// `None`: it can't be changed.
    pub(crate) log_level: Option<LogLevel>,
    pub(crate) metrics: Arc<Sources>,
    /// Whose turn it is to be told the metrics.
    pub(crate) turn: Mutex<()>,
}

/// Serves until dropped.
pub(crate) async fn serve(listener: TcpListener, admin: Arc<Admin>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let admin = Arc::clone(&admin);
        connections.spawn(async move {
            let _place = place;
            let service = service_fn(|request: Request<Incoming>| {
                let admin = Arc::clone(&admin);
                async move { Ok::<_, Infallible>(admin.answer(request, peer.ip()).await) }
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
    async fn answer(&self, request: Request<Incoming>, peer: IpAddr) -> Response<Full<Bytes>> {
        let (status, kind, body) = match request.uri().path() {
            "/drain" => self.leave(&request, peer),
            "/loglevel" => self.level(request, peer).await,
            "/metrics" => self.metrics().await,
            path => self.content(path),
        };
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
        response
    }

    /// Only the pod itself may send an agent away, and no page in a browser of this machine: browsers
    /// name the origin of what pages post.
    fn leave<B>(&self, request: &Request<B>, peer: IpAddr) -> Answer {
        let refuse = |status, why: &str| (status, TEXT, format!("{why}\n"));
        if request.method() != Method::POST {
            return refuse(StatusCode::METHOD_NOT_ALLOWED, "POST /drain?delay=SECONDS");
        }
        if !is_local(request, peer) {
            return refuse(StatusCode::FORBIDDEN, "only by this machine itself");
        }
        let delay = request
            .uri()
            .query()
            .and_then(|query| query.strip_prefix("delay="))
            .and_then(|seconds| seconds.parse().ok())
            .map(Duration::from_secs)
            .filter(|delay| *delay <= LONGEST_DELAY);
        let Some(delay) = delay else {
            return refuse(StatusCode::BAD_REQUEST, "delay=SECONDS, up to 3600");
        };
        self.leaving.begin(delay);
        (StatusCode::ACCEPTED, TEXT, "leaving\n".into())
    }

    /// Snapshots are applied on this thread, so many metrics are written on another one, by one scrape at a time.
    async fn metrics(&self) -> Answer {
        let _turn = self.turn.lock().await;
        let sources = Arc::clone(&self.metrics);
        match tokio::task::spawn_blocking(move || render(&sources)).await {
            Ok(text) => (StatusCode::OK, OPENMETRICS, text),
            Err(error) => {
                let why = format!("metrics cannot be shown: {error}\n");
                (StatusCode::INTERNAL_SERVER_ERROR, TEXT, why)
            }
        }
    }

    async fn level(&self, request: Request<Incoming>, peer: IpAddr) -> Answer {
        let asker = if is_local(&request, peer) {
            Asker::Local
        } else {
            Asker::Other
        };
        let (head, body) = request.into_parts();
        let (status, text) = match Limited::new(body, level::LONGEST).collect().await {
            Ok(body) => {
                let (level, method) = (self.log_level.as_ref(), head.method.as_str());
                level::respond(level, asker, method, &body.to_bytes())
            }
            Err(_) => (400, format!("{}\n", level::LogError::Long)),
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, TEXT, text)
    }

    fn content(&self, path: &str) -> Answer {
        let text = TEXT;
        match path {
            "/livez" => (StatusCode::OK, text, "ok\n".into()),
            "/readyz" => match self.unready() {
                None => (StatusCode::OK, text, "ok\n".into()),
                Some(why) => (StatusCode::SERVICE_UNAVAILABLE, text, format!("{why}\n")),
            },
            "/version" => {
                let version = self.served.borrow().clone().unwrap_or_default();
                let body = serde_json::json!({
                    "sequence": version.sequence,
                    "digest": version.digest,
                });
                (StatusCode::OK, "application/json", format!("{body}\n"))
            }
            _ => {
                let known = "try /livez, /readyz, /version, /metrics, /loglevel or POST /drain\n";
                (StatusCode::NOT_FOUND, text, known.into())
            }
        }
    }

    fn unready(&self) -> Option<&'static str> {
        if self.leaving.has_begun() {
            return Some("draining");
        }
        self.served.borrow().is_none().then_some("no snapshot yet")
    }
}

/// Whether somebody on this machine, or in this pod, asks; and no page in a browser there.
fn is_local<B>(request: &Request<B>, peer: IpAddr) -> bool {
    peer.to_canonical().is_loopback() && !request.headers().contains_key(header::ORIGIN)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn only_the_pod_itself_sends_an_agent_away() {
        let served = watch::Sender::new(None);
        let leaving = Leaving::new();
        let admin = Admin {
            served: served.subscribe(),
            leaving: leaving.clone(),
            log_level: None,
            metrics: Arc::new(Sources {
                workers: Vec::new(),
                traffic: crate::metrics::Traffic::default(),
                live: crate::metrics::nothing(),
                checked: Arc::default(),
                memory: Arc::default(),
                served: served.subscribe(),
                observed: crate::observing::Observed::default(),
                subscription: None,
                open_files: None,
                more: None,
            }),
            turn: Mutex::default(),
        };
        let request = Request::post("/drain?delay=1").body(());
        let request = request.expect("a request");
        let node = IpAddr::from(Ipv4Addr::new(10, 0, 0, 1));
        assert_eq!(admin.leave(&request, node).0, StatusCode::FORBIDDEN);
        assert!(!leaving.has_begun());
        let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
        let answer = admin.leave(&request, mapped.into());
        assert_eq!(answer.0, StatusCode::ACCEPTED);
        assert_eq!(admin.unready(), Some("draining"));
    }
}
