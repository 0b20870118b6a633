//! One request from its head to the head of its response: routing, filters, forwarding.

use std::rc::Rc;
use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Request, Response, Version};
use novaedge_access_log::Termination;
use novaedge_router::{Backend, BackendChoice, HttpRule};
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::authority::authority;
use crate::body::Body;
use crate::client::{Client, Requester};
use crate::ending::Ending;
use crate::error::{BodyError, ForwardError};
use crate::forward::{Forwarded, Outgoing, Route, protocol};
use crate::headers;
use crate::interim::Interims;
use crate::judge::{Found, Judge, Way, merge_cors};
use crate::mirror::Mirroring;
use crate::pressure::Level;
use crate::reason::{self, Reason};
use crate::session::{Session, Sessions};
use crate::trail::Trail;
use crate::upgrade::{self, PendingUpgrade, Wish};
use crate::upload::{self, UploadLimits};
use crate::worker::{Current, Worker};

mod heads;

use heads::finish_head;

/// A request as it came in. Heads are boxed on their way through the gateway: each step of it would copy them else.
pub(crate) struct Inbound {
    pub request: Box<Request<Body>>,
    /// When the request asks to switch protocols.
    pub upgrade: Option<Wish>,
}

/// An answer to pass on, and what to tell when it has ended.
pub(crate) struct Served {
    pub response: Box<Response<Body>>,
    pub ending: Ending,
}

/// Serves a request. The tables are looked up once: a swap meanwhile does not touch it.
pub(crate) async fn serve(
    worker: &Rc<Worker>,
    client: &Client,
    inbound: Inbound,
    interims: Option<&Interims>,
) -> Served {
    let current = worker.current();
    let Inbound { request, upgrade } = inbound;
    let started = Instant::now();
    let trail = Trail::begin(worker, client, &request, started);
    let request = match &trail {
        Some(trail) => trail.request(request),
        None => request,
    };
    let grpc = headers::is_grpc(request.headers());
    let multiplexed = headers::is_multiplexed(request.version());
    let exchange = Exchange {
        worker,
        client,
        current: &current,
        interims,
        trail: trail.as_ref(),
    };
    let mut ending = Ending::begin(worker, started);
    let result = exchange.run(request, upgrade, started, &mut ending).await;
    let response = result.unwrap_or_else(|refusal| {
        ending.refused(refusal.reason);
        exchange.refuse(*refusal, grpc, multiplexed)
    });
    ending.answered(response.status());
    let response = match &trail {
        Some(trail) => trail.answered(response),
        None => response,
    };
    Served { response, ending }
}

/// Why the gateway answers itself, and the CORS fields that its answer needs to be readable.
struct Refusal {
    reason: Reason,
    cors: HeaderMap,
}

impl From<Reason> for Box<Refusal> {
    fn from(reason: Reason) -> Self {
        reason.with(HeaderMap::new())
    }
}

impl Reason {
    #[allow(clippy::unnecessary_box_returns)] // it is rare, and goes through many hands
    fn with(self, cors: HeaderMap) -> Box<Refusal> {
        Box::new(Refusal { reason: self, cors })
    }
}

struct Exchange<'a> {
    worker: &'a Rc<Worker>,
    client: &'a Client,
    current: &'a Rc<Current>,
    /// Where informational answers go, if the client can be told of them.
    interims: Option<&'a Interims>,
    /// What is told of it, if somebody wants to know.
    trail: Option<&'a Rc<Trail>>,
}

// === impl Exchange ===

impl Exchange<'_> {
    async fn run(
        &self,
        request: Box<Request<Body>>,
        upgrade: Option<Wish>,
        started: Instant,
        ending: &mut Ending,
    ) -> Result<Box<Response<Body>>, Box<Refusal>> {
        if self.worker.config.pressure.level() == Level::Critical {
            return Err(Reason::Overloaded.into());
        }
        let (parts, body) = request.into_parts();
        let authority = authority(&parts).map_err(|_| Reason::InvalidHost)?;
        let judge = self.judge();
        let mut found = Found::default();
        let won = judge.find(&parts, &authority.host, &mut found);
        ending.found(self.worker, &found);
        if let Some(trail) = self.trail {
            trail.found(&found);
        }
        let won = won?;
        let (listener, matched) = (won.listener, won.matched);
        let rule = matched.rule;
        let sessions = Sessions::of(&matched);
        let session = sessions.and_then(|sessions| sessions.find(&parts.headers));
        let mut cors = HeaderMap::new();
        if let Some(answer) = judge.rule(&won, &mut cors)? {
            return Ok(self.bodiless(answer));
        }
        let Some(choice) = self.pick(rule, session) else {
            return Err(Reason::NoBackends.with(cors));
        };
        let backend = match judge.choice(&won, choice, &mut cors) {
            Ok(Way::Answer(answer)) => return Ok(self.bodiless(answer)),
            Ok(Way::Backend(backend)) => backend,
            Err(reason) => return Err(reason.with(cors)),
        };
        if let Some(trail) = self.trail {
            trail.routed(&backend.name);
        }
        let Ok(body) = self.upload(rule, &parts, body) else {
            return Err(Reason::BodyTooLarge.with(cors));
        };
        let version = parts.version;
        let host = parts.headers.get(header::HOST).cloned();
        let Ok(host) = host.map_or_else(|| HeaderValue::from_str(authority.text), Ok) else {
            return Err(Reason::InvalidHost.with(cors));
        };
        drop(authority);
        let filters = [&rule.filters, &choice.filters];
        let trusted = &listener.info.trusted_forwarders;
        let requester = self.client.requester(trusted, &parts.headers);
        let certificate = listener.info.backend_client_certificate.as_ref();
        let (upgrade, tunnelled) = upgrade.map(|wish| (wish.protocol, wish.io)).unzip();
        let key = parts.headers.get(header::SEC_WEBSOCKET_KEY);
        let key = key.filter(|_| upgrade.is_some()).cloned();
        let outgoing = self.outgoing(parts, host, filters, matched.prefix, upgrade, requester);
        let body = self.mirror(rule, choice, certificate, &outgoing, body, requester);
        let pinned = session.map(|session| session.endpoint);
        let route = self.route(rule, backend, certificate, started, pinned, requester);
        let route = match route {
            Ok(route) => route,
            Err(error) => return Err(Reason::from(&error).with(cors)),
        };
        let Forwarded { answer, endpoint } = match route.forward(outgoing, body).await {
            Ok(forwarded) => forwarded,
            Err(error) => return Err(failed(&error, rule, backend).with(cors)),
        };
        let mut response = answer.response;
        finish_head(&mut response, filters, version, key.as_ref());
        if let Some(alt_svc) = &listener.info.alt_svc
            && version != Version::HTTP_3
        {
            let fields = response.headers_mut();
            fields
                .entry(header::ALT_SVC)
                .or_insert_with(|| alt_svc.clone());
        }
        if let Some(sessions) = sessions {
            sessions.remember(session, endpoint, response.headers_mut());
        }
        merge_cors(cors, response.headers_mut());
        if let (Some(client), Some(backend)) = (tunnelled, answer.upgrade) {
            self.tunnel(client, backend);
        }
        Ok(response)
    }

    fn judge(&self) -> Judge<'_> {
        Judge {
            tables: &self.current.runtime.tables,
            key: self.client.key,
            scheme: self.client.scheme,
            sni: self.client.sni.as_deref(),
        }
    }

    /// The backend that has the endpoint of the session, whatever the weights say; or the next.
    fn pick<'t>(&self, rule: &'t HttpRule, session: Option<Session>) -> Option<&'t BackendChoice> {
        let Some(session) = session else {
            return rule.backends.pick();
        };
        let judge = self.judge();
        let has_endpoint = |choice: &BackendChoice| {
            judge.backend(choice).is_ok_and(|backend| {
                let endpoints = self.worker.backend(backend).endpoints(backend);
                endpoints.iter().any(|one| one.id() == session.endpoint)
            })
        };
        let mut choices = rule.backends.iter().map(|(_, choice)| choice);
        choices
            .find(|choice| has_endpoint(choice))
            .or_else(|| rule.backends.pick())
    }

    /// The request body, which must not be too long nor too slow.
    fn upload(&self, rule: &HttpRule, parts: &Parts, body: Body) -> Result<Body, BodyError> {
        let may_rest = rule.grpc || headers::is_grpc(&parts.headers);
        let limits = UploadLimits {
            most: rule.max_request_body,
            idle: (!may_rest).then_some(self.worker.config.downstream.body_read_timeout),
        };
        upload::limit(body, limits)
    }

    fn mirror(
        &self,
        rule: &HttpRule,
        choice: &BackendChoice,
        certificate: Option<&Arc<str>>,
        outgoing: &Outgoing,
        body: Body,
        requester: Requester,
    ) -> Body {
        let mirrors: SmallVec<[&Arc<Backend>; 2]> = [&rule.filters, &choice.filters]
            .into_iter()
            .flat_map(|filters| &filters.mirrors)
            .filter(|mirror| mirror.take_turn())
            .filter_map(|mirror| self.current.runtime.tables.backends.get(&mirror.backend))
            .filter(|backend| backend.invalid.is_none() && backend.send_proxy_protocol.is_none())
            .collect();
        if mirrors.is_empty() || outgoing.upgrade.is_some() {
            return body;
        }
        let mirroring = Mirroring {
            worker: self.worker,
            current: self.current,
            client: requester.address,
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
        requester: Requester,
    ) -> Result<Route<'r>, ForwardError> {
        Ok(Route {
            worker: self.worker,
            backend,
            state: self.worker.backend(backend),
            started,
            protocol: protocol(rule.grpc, backend),
            tls: self.current.backend_client(backend, certificate)?,
            client: requester.address,
            pinned,
            retry: rule.retry.as_deref(),
            deadline: rule.request_timeout.map(|limit| started + limit),
            try_limit: rule.backend_request_timeout,
            interims: self.interims,
            trail: self.trail,
        })
    }

    fn tunnel(&self, client: PendingUpgrade, backend: PendingUpgrade) {
        self.worker.metrics.upgrades.increment();
        let idle = self.worker.config.tunnel_idle;
        let trail = self.trail.cloned();
        let tunnel = upgrade::tunnel(client, backend, idle, trail.clone());
        let metrics = Arc::clone(&self.worker.metrics);
        self.worker.tasks.spawn_local(async move {
            if let Err(error) = tunnel.await {
                let is_late = error.kind() == std::io::ErrorKind::TimedOut;
                if is_late {
                    metrics.upgrades_timed_out.increment();
                }
                if let Some(trail) = trail {
                    trail.broke(if is_late {
                        Termination::Timeout
                    } else {
                        Termination::Client
                    });
                }
                tracing::debug!(%error, "tunnel ended");
            }
        });
    }

    /// The answer of a filter.
    fn bodiless(&self, answer: Response<()>) -> Box<Response<Body>> {
        if let Some(trail) = self.trail {
            let reason = if answer.status().is_redirection() {
                reason::REDIRECT
            } else {
                reason::PREFLIGHT
            };
            trail.answers_itself(reason, Termination::Complete);
        }
        Box::new(answer.map(|()| Body::empty()))
    }

    fn refuse(&self, refusal: Refusal, grpc: bool, multiplexed: bool) -> Box<Response<Body>> {
        let reason = refusal.reason;
        if let Some(trail) = self.trail {
            trail.refuses(reason);
        }
        let mut response = if grpc {
            reason.grpc_response()
        } else {
            reason.response()
        };
        merge_cors(refusal.cors, response.headers_mut());
        // What follows an invalid Host cannot be trusted, memory is short, or a socket without listeners is closing.
        let closing = matches!(reason, Reason::InvalidHost | Reason::Overloaded)
            || !self
                .current
                .runtime
                .tables
                .sockets
                .contains_key(&self.client.key);
        if closing && !multiplexed {
            response
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Box::new(response)
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
