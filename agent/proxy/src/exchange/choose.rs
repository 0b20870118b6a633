//! Who answers a request: its listener, a filter, or a backend.

use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderValue};
use http::uri::PathAndQuery;
use http::{Response, StatusCode};
use novaedge_router::{
    Authority as Owner, Backend, BackendChoice, CorsDecision, Filters, HttpListener, HttpRule,
    Matched, Redirect, RedirectContext, Socket, Target, TlsSocket, TlsTarget,
};

use super::{Exchange, Refusal, merge_cors};
use crate::body::Body;
use crate::reason::Reason;
use crate::request_head::Head;
use crate::session::Session;

/// What the filters of the rule and of the chosen backend say before the backend is asked.
pub(super) enum Verdict<'t> {
    Answer(Box<Response<Body>>),
    Forward(Chosen<'t>),
}

/// Where a request goes.
pub(super) struct Chosen<'t> {
    pub choice: &'t BackendChoice,
    pub backend: &'t Backend,
    /// CORS fields for the answer.
    pub cors: HeaderMap,
}

impl Exchange<'_> {
    /// The listener that owns this host on this connection.
    pub(super) fn listener(&self, host: &str) -> Result<&Arc<HttpListener>, Reason> {
        let socket = self
            .current
            .runtime
            .tables
            .sockets
            .get(&self.client.key)
            .ok_or(Reason::NoListener)?;
        match &**socket {
            Socket::Http(socket) => socket.listener(host).ok_or(Reason::NoListener),
            Socket::Tls(socket) => self.secure_listener(socket, host),
            Socket::Quic(socket) => {
                // The listener may be served over TCP.
                let listener = self.secure_listener(socket, host);
                listener.map_err(|_| Reason::Misdirected)
            }
            Socket::Tcp(_) | Socket::Udp(_) => Err(Reason::NoListener),
        }
    }

    fn secure_listener<'t>(
        &self,
        socket: &'t TlsSocket,
        host: &str,
    ) -> Result<&'t Arc<HttpListener>, Reason> {
        let Some(TlsTarget::Https(own)) = socket.select(self.client.sni.as_deref()) else {
            return Err(Reason::NoListener);
        };
        match socket.authority(own, host) {
            Owner::Same => Ok(own),
            Owner::Misdirected => Err(Reason::Misdirected),
            Owner::NotFound => Err(Reason::NoListener),
        }
    }

    /// Filters that may answer, and the choice of a backend.
    pub(super) fn judge<'t>(
        &'t self,
        head: &Head<'_>,
        listener: &HttpListener,
        matched: &Matched<'t>,
        session: Option<Session>,
    ) -> Result<Verdict<'t>, Box<Refusal>> {
        let rule = matched.rule;
        if rule.invalid.is_some() {
            return Err(Reason::InvalidRule.into());
        }
        let mut cors = HeaderMap::new();
        if let Some(answer) = self.filter(head, listener, matched, &rule.filters, &mut cors) {
            return Ok(Verdict::Answer(Box::new(answer)));
        }
        let Some(choice) = self.pick(rule, session) else {
            return Err(Reason::NoBackends.with(cors));
        };
        if let Some(answer) = self.filter(head, listener, matched, &choice.filters, &mut cors) {
            return Ok(Verdict::Answer(Box::new(answer)));
        }
        match self.backend(choice) {
            Ok(backend) => Ok(Verdict::Forward(Chosen {
                choice,
                backend,
                cors,
            })),
            Err(reason) => Err(reason.with(cors)),
        }
    }

    /// The backend that has the endpoint of the session, whatever the weights say; or the next.
    fn pick<'t>(&self, rule: &'t HttpRule, session: Option<Session>) -> Option<&'t BackendChoice> {
        let Some(session) = session else {
            return rule.backends.pick();
        };
        let has_endpoint = |choice: &BackendChoice| {
            self.backend(choice).is_ok_and(|backend| {
                let endpoints = self.worker.backend(backend).endpoints(backend);
                endpoints.iter().any(|one| one.id() == session.endpoint)
            })
        };
        let mut choices = rule.backends.iter().map(|(_, choice)| choice);
        choices
            .find(|choice| has_endpoint(choice))
            .or_else(|| rule.backends.pick())
    }

    /// CORS preflights and redirects.
    fn filter(
        &self,
        head: &Head<'_>,
        listener: &HttpListener,
        matched: &Matched<'_>,
        filters: &Filters,
        cors: &mut HeaderMap,
    ) -> Option<Response<Body>> {
        if let Some(policy) = &filters.cors {
            match policy.decide(&head.parts.method, &head.parts.headers) {
                CorsDecision::Preflight(fields) => {
                    let mut response = Response::new(Body::empty());
                    *response.status_mut() = StatusCode::NO_CONTENT;
                    *response.headers_mut() = fields;
                    return Some(response);
                }
                CorsDecision::Actual(fields) => *cors = fields,
                CorsDecision::None => {}
            }
        }
        let redirect = filters.redirect.as_ref()?;
        let mut response = self.redirect(redirect, head, listener, matched.prefix);
        merge_cors(std::mem::take(cors), response.headers_mut());
        Some(response)
    }

    fn redirect(
        &self,
        redirect: &Redirect,
        head: &Head<'_>,
        listener: &HttpListener,
        matched_prefix: Option<&str>,
    ) -> Response<Body> {
        let location = redirect.location(&RedirectContext {
            scheme: self.client.scheme,
            host: head.host,
            path_and_query: head
                .parts
                .uri
                .path_and_query()
                .map_or("/", PathAndQuery::as_str),
            listener_port: listener.info.port,
            matched_prefix,
        });
        let mut response = Response::new(Body::empty());
        match HeaderValue::try_from(location) {
            Ok(location) => {
                *response.status_mut() = redirect.status;
                response.headers_mut().insert(header::LOCATION, location);
            }
            Err(_) => return Reason::InvalidRule.response(),
        }
        response
    }

    fn backend(&self, choice: &BackendChoice) -> Result<&Arc<Backend>, Reason> {
        let Target::Backend(name) = &choice.target else {
            return Err(Reason::InvalidBackend);
        };
        let backend = self
            .current
            .runtime
            .tables
            .backends
            .get(name)
            .ok_or(Reason::InvalidBackend)?;
        // A connection that begins with the address of one client cannot carry requests of others.
        if backend.invalid.is_some() || backend.send_proxy_protocol.is_some() {
            return Err(Reason::InvalidBackend);
        }
        Ok(backend)
    }
}
