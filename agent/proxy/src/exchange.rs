//! One request from its head to the head of its response: routing, filters, forwarding.

use std::rc::Rc;
use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode, Version};
use novaedge_router::{
    Authority as Owner, Backend, BackendChoice, CorsDecision, Filters, HttpListener, HttpRule,
    Matched, Redirect, RedirectContext, Rewrite, Socket, Target, TlsSocket, TlsTarget,
    merge_cors_headers,
};
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::authority::authority;
use crate::body::Body;
use crate::client::Client;
use crate::error::ForwardError;
use crate::forward::{Forwarded, Outgoing, Route, protocol};
use crate::headers::{self, Forwarded as ForwardedFields};
use crate::mirror::Mirroring;
use crate::reason::Reason;
use crate::request_head::Head;
use crate::session;
use crate::upgrade::{self, PendingUpgrade};
use crate::worker::{Current, Worker};

/// A request as it came in.
pub(crate) struct Inbound {
    pub request: Request<Body>,
    /// The client's connection, when the request asks to switch protocols.
    pub upgrade: Option<PendingUpgrade>,
}

/// Serves a request. The tables are looked up once: a swap meanwhile does not touch it.
pub(crate) async fn serve(
    worker: &Rc<Worker>,
    client: &Client,
    inbound: Inbound,
) -> Response<Body> {
    let current = worker.current();
    let (parts, body) = inbound.request.into_parts();
    let grpc = headers::is_grpc(&parts.headers);
    let http2 = parts.version == Version::HTTP_2;
    let exchange = Exchange {
        worker,
        client,
        current: &current,
    };
    let mut listener = None;
    let result = exchange
        .run(parts, body, inbound.upgrade, &mut listener)
        .await;
    let response = result.unwrap_or_else(|refusal| exchange.refuse(refusal, grpc, http2));
    if let Some(listener) = listener {
        current
            .listener_metrics(&listener, &worker.metrics)
            .response(response.status());
    }
    response
}

/// Why the gateway answers itself, and the CORS fields that its answer needs to be readable.
struct Refusal {
    reason: Reason,
    cors: HeaderMap,
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self {
            reason,
            cors: HeaderMap::new(),
        }
    }
}

struct Exchange<'a> {
    worker: &'a Rc<Worker>,
    client: &'a Client,
    current: &'a Rc<Current>,
}

/// What the filters of the rule and of the chosen backend say before the backend is asked.
enum Verdict<'t> {
    Answer(Response<Body>),
    Forward {
        choice: &'t BackendChoice,
        cors: HeaderMap,
    },
}

// === impl Exchange ===

impl Exchange<'_> {
    async fn run(
        &self,
        parts: Parts,
        body: Body,
        upgrade: Option<PendingUpgrade>,
        found: &mut Option<Arc<HttpListener>>,
    ) -> Result<Response<Body>, Refusal> {
        let started = Instant::now();
        let authority = authority(&parts).map_err(|_| Reason::InvalidHost)?;
        let listener = self.listener(&authority.host)?;
        *found = Some(Arc::clone(listener));
        if parts.method == Method::CONNECT {
            return Err(Reason::Connect.into());
        }
        let head = Head {
            parts: &parts,
            host: &authority.host,
        };
        let matched = listener.route(&head).ok_or(Reason::NoRoute)?;
        let rule = matched.rule;
        let (choice, cors) = match self.judge(&head, listener, &matched)? {
            Verdict::Answer(response) => return Ok(response),
            Verdict::Forward { choice, cors } => (choice, cors),
        };
        let refuse = |reason: Reason, cors: HeaderMap| Refusal { reason, cors };
        let backend = match self.backend(choice) {
            Ok(backend) => backend,
            Err(reason) => return Err(refuse(reason, cors)),
        };
        let session = rule
            .session
            .as_ref()
            .and_then(|config| session::find(config, &parts.headers));
        let http2_client = parts.version == Version::HTTP_2;
        let host = parts.headers.get(header::HOST).cloned();
        let Ok(host) = host.map_or_else(|| HeaderValue::from_str(authority.text), Ok) else {
            return Err(refuse(Reason::InvalidHost, cors));
        };
        drop(authority);
        let filters = [&rule.filters, &choice.filters];
        let outgoing = self.outgoing(parts, host, filters, matched.prefix, upgrade.is_some());
        let certificate = listener.info.backend_client_certificate.as_ref();
        let body = self.mirror(rule, choice, certificate, &outgoing, body);
        let route = match self.route(rule, backend, certificate, started, session) {
            Ok(route) => route,
            Err(error) => return Err(refuse(Reason::from(&error), cors)),
        };
        let forwarded = match route.forward(outgoing, body).await {
            Ok(forwarded) => forwarded,
            Err(error) => return Err(refuse(failed(&error, rule, backend), cors)),
        };
        let Forwarded { answer, endpoint } = forwarded;
        let mut response = answer.response;
        finish_head(&mut response, filters, http2_client);
        if let Some(config) = &rule.session {
            session::remember(config, session, endpoint, response.headers_mut());
        }
        merge_cors(cors, response.headers_mut());
        if let (Some(client), Some(backend)) = (upgrade, answer.upgrade) {
            self.tunnel(client, backend);
        }
        Ok(response)
    }

    /// The listener that owns this host on this connection.
    fn listener(&self, host: &str) -> Result<&Arc<HttpListener>, Reason> {
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
    fn judge<'t>(
        &self,
        head: &Head<'_>,
        listener: &HttpListener,
        matched: &Matched<'t>,
    ) -> Result<Verdict<'t>, Refusal> {
        let rule = matched.rule;
        if rule.invalid.is_some() {
            return Err(Reason::InvalidRule.into());
        }
        let mut cors = HeaderMap::new();
        if let Some(answer) = self.filter(head, listener, matched, &rule.filters, &mut cors) {
            return Ok(Verdict::Answer(answer));
        }
        let Some(choice) = rule.backends.pick() else {
            return Err(Refusal {
                reason: Reason::NoBackends,
                cors,
            });
        };
        if let Some(answer) = self.filter(head, listener, matched, &choice.filters, &mut cors) {
            return Ok(Verdict::Answer(answer));
        }
        Ok(Verdict::Forward { choice, cors })
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
        if backend.invalid.is_some() {
            return Err(Reason::InvalidBackend);
        }
        Ok(backend)
    }

    /// The head for the backend: connection fields go, forwarding fields come, filters have the last word.
    fn outgoing(
        &self,
        parts: Parts,
        host: HeaderValue,
        filters: [&Filters; 2],
        prefix: Option<&str>,
        upgrading: bool,
    ) -> Outgoing {
        let Parts {
            method,
            uri,
            version,
            mut headers,
            ..
        } = parts;
        let upgrade = if upgrading {
            headers::upgrade_protocol(version, &headers)
        } else {
            None
        };
        headers::remove_hop_by_hop(&mut headers);
        headers::set_forwarded(
            &mut headers,
            ForwardedFields {
                client: &self.client.address,
                scheme: &self.client.scheme_text,
                host: Some(&host),
                trusted: self.client.trusted,
            },
        );
        headers::append_via(&mut headers, &self.worker.via, version);
        headers.insert(header::HOST, host.clone());
        for ops in filters.iter().flat_map(|filters| &filters.request_headers) {
            ops.apply(&mut headers);
        }
        // A filter may have set `Host`, or removed it, which would leave no valid request.
        let mut host = headers.remove(header::HOST).unwrap_or(host);
        let mut target = uri
            .into_parts()
            .path_and_query
            .unwrap_or(PathAndQuery::from_static("/"));
        for rewrite in filters
            .iter()
            .filter_map(|filters| filters.rewrite.as_ref())
        {
            apply_rewrite(rewrite, &mut host, &mut target, prefix);
        }
        Outgoing {
            method,
            target,
            host,
            headers,
            upgrade,
        }
    }

    fn mirror(
        &self,
        rule: &HttpRule,
        choice: &BackendChoice,
        certificate: Option<&Arc<str>>,
        outgoing: &Outgoing,
        body: Body,
    ) -> Body {
        let mirrors: SmallVec<[&Arc<Backend>; 2]> = [&rule.filters, &choice.filters]
            .into_iter()
            .flat_map(|filters| &filters.mirrors)
            .filter(|mirror| mirror.take_turn())
            .filter_map(|mirror| self.current.runtime.tables.backends.get(&mirror.backend))
            .filter(|backend| backend.invalid.is_none())
            .collect();
        if mirrors.is_empty() || outgoing.upgrade.is_some() {
            return body;
        }
        let mirroring = Mirroring {
            worker: self.worker,
            current: self.current,
            client: self.client.peer.ip(),
            certificate,
            grpc: rule.grpc,
        };
        mirroring.send(&mirrors, outgoing, body)
    }

    fn route<'r>(
        &'r self,
        rule: &'r HttpRule,
        backend: &'r Backend,
        certificate: Option<&Arc<str>>,
        started: Instant,
        pinned: Option<u64>,
    ) -> Result<Route<'r>, ForwardError> {
        Ok(Route {
            worker: self.worker,
            backend,
            state: self.worker.backend(backend),
            protocol: protocol(rule.grpc, backend),
            tls: self.current.backend_client(backend, certificate)?,
            client: self.client.peer.ip(),
            pinned,
            retry: rule.retry.as_ref(),
            deadline: rule.request_timeout.map(|limit| started + limit),
            try_limit: rule.backend_request_timeout,
        })
    }

    fn tunnel(&self, client: PendingUpgrade, backend: PendingUpgrade) {
        self.worker.metrics.upgrades.increment();
        let idle = self.worker.config.tunnel_idle;
        let tunnel = upgrade::tunnel(client, backend, idle);
        self.worker.tasks.spawn_local(async move {
            if let Err(error) = tunnel.await {
                tracing::debug!(%error, "tunnel ended");
            }
        });
    }

    fn refuse(&self, refusal: Refusal, grpc: bool, http2: bool) -> Response<Body> {
        let reason = refusal.reason;
        self.worker.metrics.own_answer(reason);
        let mut response = if grpc {
            reason.grpc_response()
        } else {
            reason.response()
        };
        merge_cors(refusal.cors, response.headers_mut());
        // What follows an invalid Host cannot be trusted, and a socket without listeners is closing.
        let closing = reason == Reason::InvalidHost
            || !self
                .current
                .runtime
                .tables
                .sockets
                .contains_key(&self.client.key);
        if closing && !http2 {
            response
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

fn failed(error: &ForwardError, rule: &HttpRule, backend: &Backend) -> Reason {
    let reason = Reason::from(error);
    tracing::debug!(
        error = error as &dyn std::error::Error,
        reason = reason.code(),
        route = %rule.id.resource,
        backend = %backend.name,
        "forwarding failed"
    );
    reason
}

/// Makes the head of a backend's response one of the gateway's.
fn finish_head(response: &mut Response<Body>, filters: [&Filters; 2], http2_client: bool) {
    let switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    let upgrade = if switched {
        headers.get(header::UPGRADE).cloned()
    } else {
        None
    };
    headers::remove_hop_by_hop(headers);
    if let Some(upgrade) = upgrade {
        headers.insert(header::UPGRADE, upgrade);
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    for ops in filters.iter().flat_map(|filters| &filters.response_headers) {
        ops.apply(headers);
    }
    *response.version_mut() = if http2_client {
        Version::HTTP_2
    } else {
        Version::HTTP_11
    };
}

fn merge_cors(decided: HeaderMap, headers: &mut HeaderMap) {
    if !decided.is_empty() {
        merge_cors_headers(decided, headers);
    }
}

fn apply_rewrite(
    rewrite: &Rewrite,
    host: &mut HeaderValue,
    target: &mut PathAndQuery,
    prefix: Option<&str>,
) {
    if let Some(value) = rewrite
        .host()
        .and_then(|host| HeaderValue::from_str(host).ok())
    {
        *host = value;
    }
    if rewrite.path.is_some()
        && let Ok(path) =
            PathAndQuery::try_from(rewrite.path(target.path(), target.query(), prefix))
    {
        *target = path;
    }
}
