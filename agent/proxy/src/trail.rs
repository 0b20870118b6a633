//! What is known of an exchange: gathered on its way, and told when it is over, to the access log and as a trace.
//!
//! An exchange that nobody wants to know of has no trail.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri, Version};
use http_body::Body as _;
use novaedge_access_log::settings::Chosen;
use novaedge_access_log::{Redaction, Sink, Termination};
use novaedge_router::{Host, HttpListener, HttpRule, Scheme};
use novaedge_telemetry::Tracer;
use tokio::time::Instant;

use crate::body::Body;
use crate::client::Client;
use crate::downstream::{Connection, End};
use crate::error::{BodyError, ForwardError};
use crate::forward::Outgoing;
use crate::headers::X_FORWARDED_FOR;
use crate::judge::Found;
use crate::reason::Reason;
use crate::taps::Taps;
use crate::worker::Worker;

mod steps;
mod told;
mod trace;

use steps::Steps;
use trace::Trace;

pub(crate) use told::refused;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Who wants to know of exchanges.
#[derive(Debug, Default)]
pub struct Observers {
    /// The access log of the worker.
    pub log: Option<Rc<Sink>>,
    /// Who makes spans.
    pub tracer: Option<Tracer>,
    /// Who wants to see requests now.
    pub taps: Taps,
}

impl Observers {
    /// What is replaced in all that is told.
    fn redaction(&self) -> &Redaction {
        static USUAL: LazyLock<Redaction> = LazyLock::new(Redaction::default);
        self.log
            .as_ref()
            .map_or_else(|| &*USUAL, |log| &log.settings().redaction)
    }
}

/// What is known of one exchange.
pub(crate) struct Trail {
    observers: Rc<Observers>,
    chosen: Chosen,
    time: SystemTime,
    started: Instant,
    from: Source,
    asked: Asked,
    known: RefCell<Known>,
    received: Cell<u64>,
    sent: Cell<u64>,
    progress: Cell<Progress>,
    trace: Option<Trace>,
    steps: Option<Steps>,
}

/// Whom the request came from.
struct Source {
    peer: std::net::SocketAddr,
    scheme: Scheme,
    sni: Option<Rc<str>>,
    tls: Option<&'static str>,
    connection: Option<Rc<Connection>>,
    /// `X-Forwarded-For`.
    forwarded: Vec<HeaderValue>,
}

/// The head of the request, as far as it is told.
struct Asked {
    method: Method,
    uri: Uri,
    version: Version,
    host: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    request_id: Option<HeaderValue>,
    /// In the order of the log's settings.
    headers: Vec<Option<HeaderValue>>,
    /// The trace that it belongs to, if nobody here records it.
    trace_id: Option<String>,
}

/// What has been found out meanwhile.
#[derive(Default)]
struct Known {
    listener: Option<Arc<HttpListener>>,
    rule: Option<Arc<HttpRule>>,
    backend: Option<Arc<str>>,
    endpoint: Option<(Host, u16)>,
    status: Option<StatusCode>,
    /// Why the gateway answers itself, and who that makes the end of it.
    reason: Option<(&'static str, Termination)>,
    failure: Option<String>,
    headers: Vec<Option<HeaderValue>>,
    first_try: Option<Instant>,
    upstream: Option<Duration>,
    tries: u32,
}

/// How far the answer has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Open,
    Complete,
    Broken(Termination),
}

/// Which body is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// That of the request.
    Received,
    /// That of the answer.
    Sent,
}

// === impl Trail ===

impl Trail {
    /// `None`: nobody wants to know.
    pub(crate) fn begin<B>(
        worker: &Worker,
        client: &Client,
        request: &Request<B>,
        started: Instant,
    ) -> Option<Rc<Self>> {
        let observers = worker.observers.get()?;
        let taps = observers.taps.wanting(request);
        let log = observers.log.as_deref();
        let sampling = log.map(|log| log.settings().sampling);
        let chosen = sampling.map_or(Chosen::No, |one| one.choose(worker.random.next()));
        let headers = request.headers();
        let tracer = observers.tracer.as_ref();
        let is_told = chosen != Chosen::No || tracer.is_some();
        let parent = is_told.then(|| trace::parent(headers)).flatten();
        let trace = tracer.and_then(|one| Trace::begin(one, parent, request, worker.random.next()));
        if chosen == Chosen::No && trace.is_none() && taps.is_empty() {
            return None;
        }
        let names = log.map_or(&[][..], |log| &log.settings().request_headers);
        let asked = Asked {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            host: headers.get(header::HOST).cloned(),
            user_agent: headers.get(header::USER_AGENT).cloned(),
            request_id: headers.get(REQUEST_ID).cloned(),
            headers: named(names, headers),
            trace_id: parent.map(|parent| parent.trace_id()),
        };
        let from = Source {
            peer: client.peer,
            scheme: client.scheme,
            sni: client.sni.clone(),
            tls: client.tls,
            connection: client.connection.clone(),
            forwarded: headers.get_all(X_FORWARDED_FOR).iter().cloned().collect(),
        };
        let steps = Steps::begin(taps, &from, request, started, observers.redaction());
        Some(Rc::new(Self {
            observers: Rc::clone(observers),
            chosen,
            time: SystemTime::now(),
            started,
            from,
            asked,
            known: RefCell::default(),
            received: Cell::new(0),
            sent: Cell::new(0),
            progress: Cell::new(Progress::Open),
            trace,
            steps,
        }))
    }

    /// The request, whose body is counted.
    pub(crate) fn request(self: &Rc<Self>, request: Box<Request<Body>>) -> Box<Request<Body>> {
        let mut request = request;
        if !request.body().is_end_stream() {
            let body = std::mem::take(request.body_mut());
            *request.body_mut() = body.watched(Rc::clone(self), Way::Received);
        }
        request
    }

    /// It is known who serves the request.
    pub(crate) fn found(&self, found: &Found<'_>) {
        let mut known = self.known.borrow_mut();
        known.listener = found.listener.cloned();
        known.rule = found.rule.cloned();
        if let Some(steps) = &self.steps {
            steps.found(found, self.client(&known));
        }
    }

    /// It is clear where the request goes.
    pub(crate) fn routed(&self, backend: &Arc<str>) {
        self.known.borrow_mut().backend = Some(Arc::clone(backend));
        if let Some(trace) = &self.trace {
            trace.routed(&self.known.borrow());
        }
        if let Some(steps) = &self.steps {
            steps.routed(backend);
        }
    }

    /// The gateway answers itself.
    pub(crate) fn refuses(&self, reason: Reason) {
        self.answers_itself(reason.code(), termination(reason));
        if let Some(steps) = &self.steps {
            steps.refused(reason.code());
        }
    }

    /// The same, for what is no [`Reason`].
    pub(crate) fn answers_itself(&self, reason: &'static str, termination: Termination) {
        self.known.borrow_mut().reason = Some((reason, termination));
    }

    /// A try begins with this head.
    pub(crate) fn begin_try(&self, endpoint: (&Host, u16), outgoing: &mut Outgoing) {
        let mut known = self.known.borrow_mut();
        known.tries += 1;
        let tries = known.tries;
        known.first_try.get_or_insert_with(Instant::now);
        known.endpoint = Some((endpoint.0.clone(), endpoint.1));
        drop(known);
        if let Some(trace) = &self.trace {
            trace.begin_try(&self.known.borrow(), &self.asked, &mut outgoing.headers);
        }
        if let Some(steps) = &self.steps {
            steps.begin_try(tries, endpoint, outgoing, self.observers.redaction());
        }
    }

    /// The try has ended, with an answer of this status or without one.
    pub(crate) fn end_try(&self, result: Result<StatusCode, &ForwardError>) {
        if let Some(trace) = &self.trace {
            trace.end_try(result);
        }
        if let Some(steps) = &self.steps {
            steps.end_try(result);
        }
        let mut known = self.known.borrow_mut();
        if let Err(error) = result {
            known.failure = Some(chain(error));
        }
        known.upstream = known.first_try.map(|first| first.elapsed());
    }

    /// Another try follows after this time.
    pub(crate) fn retries(&self, after: Duration) {
        if let Some(steps) = &self.steps {
            steps.retries(after);
        }
    }

    /// The rule wants another try, which does not follow.
    pub(crate) fn gives_up(&self, why: &str) {
        if let Some(steps) = &self.steps {
            steps.gives_up(why);
        }
    }

    /// Both ends speak another protocol now.
    pub(crate) fn upgraded(&self) {
        if let Some(steps) = &self.steps {
            steps.upgraded();
        }
    }

    /// The head of the answer is there. The exchange ends with the body.
    pub(crate) fn answered(self: &Rc<Self>, response: Box<Response<Body>>) -> Box<Response<Body>> {
        let mut response = response;
        let mut known = self.known.borrow_mut();
        known.status = Some(response.status());
        if let Some(log) = &self.observers.log {
            known.headers = named(&log.settings().response_headers, response.headers());
        }
        drop(known);
        if let Some(steps) = &self.steps {
            let reason = self.known.borrow().reason.map(|(reason, _)| reason);
            steps.answer(&response, reason, self.observers.redaction());
        }
        let is_bodiless = self.asked.method == Method::HEAD
            || response.status() == StatusCode::NOT_MODIFIED
            || response.body().is_end_stream();
        if is_bodiless {
            self.completed();
        }
        let body = std::mem::take(response.body_mut());
        *response.body_mut() = body.watched(Rc::clone(self), Way::Sent);
        response
    }

    /// Bytes of a body have passed.
    pub(crate) fn passed(&self, way: Way, bytes: u64) {
        let count = match way {
            Way::Received => &self.received,
            Way::Sent => &self.sent,
        };
        count.set(count.get() + bytes);
    }

    /// All of the answer has passed.
    pub(crate) fn completed(&self) {
        if self.progress.get() == Progress::Open {
            self.progress.set(Progress::Complete);
        }
    }

    /// The answer broke off.
    pub(crate) fn broke(&self, termination: Termination) {
        self.progress.set(Progress::Broken(termination));
    }

    /// The body of the answer failed.
    pub(crate) fn body_failed(&self, error: &BodyError) {
        let mut known = self.known.borrow_mut();
        known.failure = Some(chain(error));
        self.broke(match error {
            BodyError::Transport(_) => Termination::Upstream,
            BodyError::Timeout | BodyError::ReadTimeout => Termination::Timeout,
            BodyError::TooLarge | BodyError::MirrorLag | BodyError::NotReplayable => {
                Termination::Gateway
            }
        });
    }

    fn termination(&self) -> Termination {
        let ended = self.from.connection.as_ref().and_then(|one| one.end());
        match (self.progress.get(), ended) {
            (Progress::Complete, _) => {
                let reason = self.known.borrow().reason;
                reason.map_or(Termination::Complete, |(_, termination)| termination)
            }
            (Progress::Broken(termination), _) => termination,
            (Progress::Open, Some(End::Abort)) => Termination::Timeout,
            (Progress::Open, Some(End::Cut)) => Termination::Gateway,
            (Progress::Open, _) => Termination::Client,
        }
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        if let Some(log) = &self.observers.log
            && self.chosen != Chosen::No
        {
            self.write(log);
        }
        if let Some(trace) = &self.trace {
            trace.end(self);
        }
        if let Some(steps) = &self.steps {
            steps.end(self);
        }
    }
}

/// The values of these fields, each the first of its name.
fn named(names: &[HeaderName], headers: &HeaderMap) -> Vec<Option<HeaderValue>> {
    names
        .iter()
        .map(|name| headers.get(name).cloned())
        .collect()
}

/// An error with all that it comes from.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// Whom a reason makes the end of an exchange.
fn termination(reason: Reason) -> Termination {
    match reason {
        Reason::RequestBody => Termination::Client,
        Reason::DnsFailed
        | Reason::ConnectFailed
        | Reason::TlsFailed
        | Reason::UpstreamReset
        | Reason::UpstreamProtocol => Termination::Upstream,
        Reason::ConnectTimeout
        | Reason::BodyTimeout
        | Reason::BackendTimeout
        | Reason::RequestTimeout => Termination::Timeout,
        _ => Termination::Gateway,
    }
}
