//! A trail as spans, with the attributes of OpenTelemetry's semantic conventions for HTTP: the request, the choice of its
//! way, and each try at a backend.

use std::cell::{Cell, RefCell};

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode};
use novaedge_access_log::record::without_kind;
use novaedge_router::Host;
use novaedge_telemetry::{Kind, Parent, TraceSpan, Tracer};

use super::{Asked, Known, Trail, told};
use crate::error::ForwardError;
use crate::reason::Reason;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// What a method is called that is none of RFC 9110 and RFC 5789.
const OTHER_METHOD: &str = "_OTHER";

/// The spans of one exchange.
pub(super) struct Trace {
    tracer: Tracer,
    request: TraceSpan,
    id: String,
    routing: Cell<Option<TraceSpan>>,
    attempt: RefCell<Option<TraceSpan>>,
    /// Whether `tracestate` belongs to the parent.
    has_parent: bool,
}

/// The span that a request says it belongs to.
pub(super) fn parent(headers: &HeaderMap) -> Option<Parent> {
    let mut fields = headers.get_all(TRACEPARENT).iter();
    let field = fields.next().filter(|_| fields.next().is_none())?;
    Parent::parse(field.as_bytes())
}

impl Trace {
    /// `None`: it is not recorded.
    pub(super) fn begin<B>(
        tracer: &Tracer,
        parent: Option<Parent>,
        request: &Request<B>,
        random: u64,
    ) -> Option<Self> {
        if !tracer.samples(parent.as_ref(), random) {
            return None;
        }
        let state = request.headers().get_all(TRACESTATE).iter();
        let state: Vec<_> = state.filter_map(|field| field.to_str().ok()).collect();
        let state = state.join(",");
        let name = method(request.method());
        let name = if name == OTHER_METHOD { "HTTP" } else { name };
        let of = parent.as_ref().map(|parent| (parent, state.as_str()));
        let span = tracer.begin(name, Kind::Server, of);
        Some(Self {
            id: span.trace_id(),
            routing: Cell::new(Some(tracer.child(&span, "route", Kind::Internal))),
            attempt: RefCell::default(),
            has_parent: parent.is_some(),
            request: span,
            tracer: tracer.clone(),
        })
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn routed(&self, known: &Known) {
        if let Some(span) = self.routing.take() {
            tell_way(&span, known);
        }
    }

    /// Begins the span of a try, and tells the endpoint of it.
    pub(super) fn begin_try(&self, known: &Known, asked: &Asked, headers: &mut HeaderMap) {
        let name = method(&asked.method);
        let shown = if name == OTHER_METHOD { "HTTP" } else { name };
        let span = self.tracer.child(&self.request, shown, Kind::Client);
        span.set("http.request.method", name);
        if let Some((host, port)) = &known.endpoint {
            let address = match host {
                Host::Ip(address) => address.to_string(),
                Host::Dns(name) => name.to_string(),
            };
            span.set("server.address", address);
            span.set("server.port", i64::from(*port));
        }
        if let Some(backend) = &known.backend {
            span.set("novaedge.backend", without_kind(backend).to_owned());
        }
        if known.tries > 1 {
            span.set("http.request.resend_count", i64::from(known.tries - 1));
        }
        if let Ok(field) = HeaderValue::try_from(span.traceparent()) {
            headers.insert(TRACEPARENT, field);
            if !self.has_parent {
                headers.remove(TRACESTATE);
            }
        }
        self.attempt.replace(Some(span));
    }

    pub(super) fn end_try(&self, result: Result<StatusCode, &ForwardError>) {
        let Some(span) = self.attempt.take() else {
            return;
        };
        match result {
            Ok(status) => {
                span.set("http.response.status_code", i64::from(status.as_u16()));
                // For clients the conventions count 4xx as errors, too.
                if status.is_client_error() || status.is_server_error() {
                    span.set("error.type", status.as_u16().to_string());
                    span.fail("");
                }
            }
            Err(error) => {
                span.set("error.type", Reason::from(error).code());
                span.fail(&super::chain(error));
            }
        }
    }

    /// The exchange is over.
    pub(super) fn end(&self, trail: &Trail) {
        let known = trail.known.borrow();
        // What was not routed ends here.
        self.routed(&known);
        drop(self.attempt.take());
        let span = &self.request;
        tell_request(span, trail);
        tell_way(span, &known);
        let status = known.status.map(|status| status.as_u16());
        if let Some(status) = status {
            span.set("http.response.status_code", i64::from(status));
        }
        let reason = known.reason.map(|(reason, _)| reason);
        if let Some(reason) = reason {
            span.set("novaedge.reason", reason);
        }
        let termination = trail.termination();
        span.set("novaedge.termination", termination.as_str());
        match status {
            None => {
                span.set("error.type", termination.as_str());
                span.fail("");
            }
            Some(status) if status >= 500 => {
                let kind = reason.map_or_else(|| status.to_string(), str::to_owned);
                span.set("error.type", kind);
                span.fail(known.failure.as_deref().unwrap_or_default());
            }
            Some(_) => {}
        }
    }
}

fn tell_request(span: &TraceSpan, trail: &Trail) {
    let (asked, from) = (&trail.asked, &trail.from);
    let name = method(&asked.method);
    span.set("http.request.method", name);
    if name == OTHER_METHOD {
        span.set("http.request.method_original", asked.method.to_string());
    }
    span.set("url.scheme", from.scheme.as_str());
    span.set("url.path", asked.uri.path().to_owned());
    if let Some(query) = asked.uri.query() {
        span.set("url.query", trail.observers.redaction().query(query));
    }
    let host = asked.uri.host().map(str::to_owned);
    let field = asked.host.as_ref().and_then(|host| host.to_str().ok());
    if let Some(host) = host.or_else(|| field.map(str::to_owned)) {
        span.set("server.address", host);
    }
    span.set("network.protocol.name", "http");
    span.set("network.protocol.version", told::version(asked.version));
    span.set(
        "network.peer.address",
        from.peer.ip().to_canonical().to_string(),
    );
    span.set(
        "client.address",
        trail.client(&trail.known.borrow()).to_string(),
    );
    let agent = asked.user_agent.as_ref().and_then(|one| one.to_str().ok());
    if let Some(agent) = agent {
        span.set("user_agent.original", agent.to_owned());
    }
}

/// Gateway, listener, route, rule and backend, by the names of their objects.
fn tell_way(span: &TraceSpan, known: &Known) {
    if let Some(listener) = &known.listener {
        let info = &listener.info;
        span.set("novaedge.gateway", without_kind(&info.gateway).to_owned());
        span.set("novaedge.listener", info.section_name.to_string());
    }
    if let Some(rule) = &known.rule {
        span.set("novaedge.route", told::route_name(&rule.id));
        span.set("novaedge.rule", told::rule_name(&rule.id));
    }
    if let Some(backend) = &known.backend {
        span.set("novaedge.backend", without_kind(backend).to_owned());
    }
}

/// A method by a name of which there are few.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::CONNECT => "CONNECT",
        Method::OPTIONS => "OPTIONS",
        Method::TRACE => "TRACE",
        Method::PATCH => "PATCH",
        _ => OTHER_METHOD,
    }
}
