//! Gets a response from a backend: endpoints, tries, timeouts.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderValue};
use http::uri::{PathAndQuery, Uri};
use http::{Method, Request, StatusCode, Version};
use http_body::Body as _;
use novaedge_balance::Outcome;
use novaedge_router::{Backend, BackendProtocol, Retry};
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::body::Body;
use crate::error::ForwardError;
use crate::hash_key;
use crate::headers;
use crate::interim::Interims;
use crate::reason::Reason;
use crate::replay::Replay;
use crate::tls::BackendClient;
use crate::trail::Trail;
use crate::upstream::{
    Answer, BackendState, Endpoint, Learned, Link, Protocol, SendFailure, Wanted,
};
use crate::websocket;
use crate::worker::Worker;

/// Connections that may turn out dead before a try counts as failed.
const STALE_CONNECTIONS: u32 = 3;

/// A request head as a backend will see it.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub method: Method,
    pub target: PathAndQuery,
    /// With exactly one `Host`: the host with its port.
    pub headers: HeaderMap,
    /// The protocol to switch to, as the client asked.
    pub upgrade: Option<HeaderValue>,
}

/// How to reach one backend for one request.
pub(crate) struct Route<'a> {
    pub worker: &'a Worker,
    pub backend: &'a Backend,
    pub state: Rc<BackendState>,
    /// When the request came: its first try begins at once.
    pub started: Instant,
    pub protocol: Protocol,
    pub tls: Option<Arc<BackendClient>>,
    pub client: IpAddr,
    /// The endpoint that the client's session names, if it is still there.
    pub pinned: Option<u64>,
    pub retry: Option<&'a Retry>,
    /// When the whole exchange must be over.
    pub deadline: Option<Instant>,
    /// Limit of one try.
    pub try_limit: Option<Duration>,
    /// Where informational answers go.
    pub interims: Option<&'a Interims>,
    /// What is told of the exchange, if somebody wants to know.
    pub trail: Option<&'a Rc<Trail>>,
}

/// What a backend is spoken to in: gRPC needs HTTP/2 whatever the backend says.
pub(crate) fn protocol(grpc: bool, backend: &Backend) -> Protocol {
    if grpc || backend.protocol == BackendProtocol::Http2 {
        Protocol::Http2
    } else {
        Protocol::Http1
    }
}

/// An answer and who gave it.
pub(crate) struct Forwarded {
    pub answer: Answer,
    pub endpoint: u64,
}

impl Route<'_> {
    /// Sends the request, again if the rule says so, until there is an answer to pass on.
    ///
    /// Both limits cover the response to its last byte: a body that is not complete by then fails.
    /// A switch of protocols ends both.
    pub(crate) async fn forward(
        &self,
        outgoing: Box<Outgoing>,
        body: Body,
    ) -> Result<Forwarded, ForwardError> {
        let retries = self.retry.map_or(0, |retry| retry.attempts);
        let key = self.key(&outgoing);
        let method = outgoing.method.clone();
        // Also without retries a request may have to be sent again, where its connection turns out dead.
        let again = retries > 0 || headers::is_idempotent(&method);
        let mut first = Some(body);
        let kept = first.take_if(|body| again && !body.is_end_stream());
        let replay = kept.map(|body| Replay::new(body, self.worker.config.replay_buffer));
        let mut pass = || match &replay {
            Some(replay) => replay.pass(),
            None => first.take().unwrap_or_else(Body::empty),
        };
        if retries == 0 {
            let began = self.started;
            let endpoint = self.choose(began, key, &[])?;
            return self
                .attempt(began, &endpoint, outgoing, pass(), replay.as_ref())
                .await;
        }
        let mut tried: SmallVec<[Rc<Endpoint>; 4]> = SmallVec::new();
        let mut left = retries;
        // Room for a retry, until its answer begins.
        let mut retry = None;
        let mut began = self.started;
        loop {
            let endpoint = self.choose(began, key, &tried)?;
            let result = self
                .attempt(began, &endpoint, outgoing.clone(), pass(), replay.as_ref())
                .await;
            let replayable = replay.as_ref().is_none_or(Replay::is_possible);
            if left == 0 || !self.wants_retry(&result, &method) || self.is_too_late() {
                return result;
            }
            if !replayable {
                self.worker.metrics.retries_without_body.increment();
                self.gives_up("the body is too long to be sent again");
                return result;
            }
            drop(retry.take());
            let limits = self.worker.limits(self.backend);
            retry = self.state.admit_retry(limits);
            if retry.is_none() {
                self.worker.metrics.retries_over_budget.increment();
                self.gives_up("the backend has as many retries as it may have");
                return result;
            }
            left -= 1;
            drop(result);
            tried.push(endpoint);
            self.state.metrics().retries.increment();
            self.tells_retry();
            if !self.backoff().is_zero() {
                tokio::time::sleep(self.backoff()).await;
            }
            began = Instant::now();
        }
    }

    fn wants_retry(&self, result: &Result<Forwarded, ForwardError>, method: &Method) -> bool {
        match result {
            Ok(forwarded) => {
                let status = forwarded.answer.response.status().as_u16();
                self.retry
                    .is_some_and(|retry| retry.codes.contains(&status))
            }
            Err(error) => {
                error.is_retryable() && (!error.may_have_acted() || headers::is_idempotent(method))
            }
        }
    }

    fn tells_retry(&self) {
        if let Some(trail) = self.trail {
            trail.retries(self.backoff());
        }
    }

    fn gives_up(&self, why: &str) {
        if let Some(trail) = self.trail {
            trail.gives_up(why);
        }
    }

    fn backoff(&self) -> Duration {
        self.retry.map_or(Duration::ZERO, |retry| retry.backoff)
    }

    /// Whether the time would be over before another try could begin.
    fn is_too_late(&self) -> bool {
        self.deadline
            .is_some_and(|deadline| Instant::now() + self.backoff() >= deadline)
    }

    /// What policies by hash go by.
    fn key(&self, outgoing: &Outgoing) -> u64 {
        let (balancing, client) = (&self.backend.balancing, self.client);
        hash_key::of(
            balancing,
            &outgoing.headers,
            outgoing.target.query(),
            client,
        )
    }

    fn choose(
        &self,
        now: Instant,
        key: u64,
        tried: &[Rc<Endpoint>],
    ) -> Result<Rc<Endpoint>, ForwardError> {
        let endpoints = self.state.endpoints(self.backend);
        let pinned = self.pinned.filter(|_| tried.is_empty());
        if let Some(id) = pinned
            && let Some(endpoint) = endpoints.iter().find(|endpoint| endpoint.id() == id)
            && self.state.is_usable(endpoint)
        {
            return Ok(Rc::clone(endpoint));
        }
        self.state
            .choose(now, key, tried, &self.worker.random)
            .ok_or_else(|| {
                self.state.metrics().failed(Reason::NoEndpoints);
                ForwardError::NoEndpoints
            })
    }

    /// One try. The backend learns how it ended.
    async fn attempt(
        &self,
        began: Instant,
        endpoint: &Rc<Endpoint>,
        outgoing: Box<Outgoing>,
        body: Body,
        replay: Option<&Replay>,
    ) -> Result<Forwarded, ForwardError> {
        let mut outgoing = outgoing;
        if let Some(trail) = self.trail {
            trail.begin_try(endpoint.address(), &mut outgoing);
        }
        let result = self.attempt_in_time(endpoint, outgoing, body, replay).await;
        let ended = Instant::now();
        let metrics = self.state.metrics();
        metrics.durations.observe(ended - began);
        match &result {
            Ok(forwarded) if forwarded.answer.response.status().is_server_error() => {
                metrics.server_errors.increment();
            }
            Ok(_) => {}
            Err(error) => metrics.failed(Reason::from(error)),
        }
        if let Some(trail) = self.trail {
            let status = |forwarded: &Forwarded| forwarded.answer.response.status();
            trail.end_try(result.as_ref().map(status));
        }
        if self.backend.balancing.learns() {
            let outcome = match &result {
                Ok(forwarded) if forwarded.answer.response.status().is_server_error() => {
                    Some(Outcome::ServerError)
                }
                Ok(_) => Some(Outcome::Success),
                Err(error) => error.outcome(),
            };
            if self.state.learn(endpoint, outcome, [began, ended]) == Learned::Ejection {
                self.worker.metrics.upstream_ejections.increment();
                tracing::info!(
                    backend = %self.backend.name,
                    endpoint = ?endpoint.address(),
                    "endpoint fails and is left out for a while"
                );
            }
        }
        result
    }

    /// One try, within its time.
    async fn attempt_in_time(
        &self,
        endpoint: &Rc<Endpoint>,
        outgoing: Box<Outgoing>,
        body: Body,
        replay: Option<&Replay>,
    ) -> Result<Forwarded, ForwardError> {
        let try_deadline = self.try_limit.map(|limit| Instant::now() + limit);
        let (deadline, elapsed) = match (self.deadline, try_deadline) {
            (None, None) => (None, ForwardError::RequestTimeout),
            (Some(whole), Some(one)) if one < whole => (Some(one), ForwardError::TryTimeout),
            (None, Some(one)) => (Some(one), ForwardError::TryTimeout),
            (Some(whole), _) => (Some(whole), ForwardError::RequestTimeout),
        };
        let mut outgoing = outgoing;
        let asked = outgoing.upgrade.is_some();
        let proof = self.prepare_websocket(&mut outgoing);
        let request = self.request(*outgoing, body);
        let exchange = self.exchange(endpoint, request, replay);
        let mut answer = match deadline {
            None => exchange.await?,
            Some(deadline) => tokio::time::timeout_at(deadline, exchange)
                .await
                .unwrap_or(Err(elapsed))?,
        };
        if answer.response.status() == StatusCode::SWITCHING_PROTOCOLS {
            if !asked || answer.upgrade.is_none() {
                return Err(ForwardError::Protocol(
                    "a switch of protocols that nobody asked for".into(),
                ));
            }
            let shown = answer.response.headers().get(header::SEC_WEBSOCKET_ACCEPT);
            if proof.is_some() && proof.as_ref() != shown {
                return Err(ForwardError::Protocol(
                    "a WebSocket without the proof that the key was seen".into(),
                ));
            }
        } else if let Some(deadline) = deadline {
            let body = std::mem::take(answer.response.body_mut());
            *answer.response.body_mut() = body.deadline(deadline);
        }
        let endpoint = endpoint.id();
        Ok(Forwarded { answer, endpoint })
    }

    /// Sends the request on a connection, and again on a new one if the first turns out to have been
    /// closed while it was idle and sending again is safe (RFC 9112 section 9.3.1).
    async fn exchange(
        &self,
        endpoint: &Rc<Endpoint>,
        request: Box<Request<Body>>,
        replay: Option<&Replay>,
    ) -> Result<Answer, ForwardError> {
        let mut request = request;
        let idempotent = headers::is_idempotent(request.method());
        let mut wanted = if idempotent {
            Wanted::Any
        } else {
            Wanted::Recent
        };
        let mut stale = 0;
        loop {
            let link = self.link(endpoint, wanted).await?;
            let reused = link.is_reused();
            let failure = match link.send(request, self.interims).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => *failure,
            };
            let SendFailure {
                error,
                unsent,
                copy,
                lost_body,
            } = failure;
            let is_stale = matches!(error, ForwardError::Reset(_) | ForwardError::Unprocessed(_));
            let copy = copy.filter(|_| idempotent && is_stale);
            let again = unsent.or_else(|| {
                let mut copy = copy?;
                if lost_body {
                    let replay = replay.filter(|replay| replay.is_possible())?;
                    *copy.body_mut() = replay.pass();
                }
                Some(copy)
            });
            match again {
                Some(again) if stale < STALE_CONNECTIONS && reused => request = again,
                _ => return Err(error),
            }
            stale += 1;
            wanted = Wanted::New;
        }
    }

    async fn link(&self, endpoint: &Rc<Endpoint>, wanted: Wanted) -> Result<Link, ForwardError> {
        let settings = self.worker.pool_settings(self.backend);
        let permit = self.state.admit(settings.limits)?;
        let connector = &self.worker.connector;
        endpoint
            .acquire(
                self.protocol,
                self.tls.as_ref(),
                settings,
                connector,
                permit,
                wanted,
            )
            .await
    }

    /// Brings what the backend needs beside the client's wish for a WebSocket. Returns the proof that the answer must have,
    /// unless the client checks that itself.
    fn prepare_websocket(&self, outgoing: &mut Outgoing) -> Option<HeaderValue> {
        let is_wanted = outgoing.upgrade.as_ref().is_some_and(websocket::is_asked);
        match self.protocol {
            Protocol::Http1 if is_wanted => {
                websocket::complete(&mut outgoing.headers, &self.worker.random)
            }
            _ => None,
        }
    }

    /// The request in the form that the protocol wants.
    fn request(&self, outgoing: Outgoing, body: Body) -> Box<Request<Body>> {
        let mut request = Box::new(Request::new(body));
        let mut headers = outgoing.headers;
        let mut method = outgoing.method;
        match self.protocol {
            Protocol::Http1 => {
                headers::join_cookies(&mut headers);
                if let Some(upgrade) = outgoing.upgrade {
                    headers.insert(header::UPGRADE, upgrade);
                    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                } else if headers.contains_key(header::TE) {
                    headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
                }
                *request.uri_mut() = Uri::from(outgoing.target);
                *request.version_mut() = Version::HTTP_11;
            }
            Protocol::Http2 => {
                if outgoing.upgrade.as_ref().is_some_and(websocket::is_asked) {
                    // RFC 8441 section 5.
                    headers.remove(header::SEC_WEBSOCKET_KEY);
                    let protocol = hyper::ext::Protocol::from_static(websocket::NAME);
                    request.extensions_mut().insert(protocol);
                    method = Method::CONNECT;
                }
                let host = headers.remove(header::HOST);
                let scheme = if self.tls.is_some() { "https" } else { "http" };
                let mut uri = http::uri::Parts::default();
                uri.scheme = scheme.try_into().ok();
                uri.authority = host.and_then(|host| host.as_bytes().try_into().ok());
                uri.path_and_query = Some(outgoing.target);
                *request.uri_mut() = Uri::from_parts(uri).unwrap_or_default();
                *request.version_mut() = Version::HTTP_2;
            }
        }
        *request.method_mut() = method;
        *request.headers_mut() = headers;
        request
    }
}
