//! What is known of a connection or a session, for the access log.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use novaedge_access_log::record::{self, Rule};
use novaedge_access_log::settings::Chosen;
use novaedge_access_log::{Record, Sink, Termination};
use novaedge_router::{Endpoint, Host, L4Rule, ListenerInfo};
use tokio::time::Instant;

use crate::error::Error;
use crate::relay::RelayError;
use crate::worker::Worker;

/// Gathers what is known, and tells it to the access log when it goes.
pub(crate) struct Trail {
    log: Rc<Sink>,
    chosen: Cell<Chosen>,
    protocol: &'static str,
    client: SocketAddr,
    time: SystemTime,
    started: Instant,
    /// Bytes that came from the client.
    pub(crate) received: Cell<u64>,
    /// Bytes that went to the client.
    pub(crate) sent: Cell<u64>,
    known: RefCell<Known>,
}

#[derive(Default)]
struct Known {
    gateway: Option<Arc<str>>,
    listener: Option<Arc<str>>,
    rule: Option<Arc<L4Rule>>,
    backend: Option<Arc<str>>,
    endpoint: Option<(Host, u16)>,
    tries: u32,
    first_try: Option<Instant>,
    upstream: Option<Duration>,
    sni: Option<String>,
    tls: Option<&'static str>,
    reason: Option<&'static str>,
    failure: Option<String>,
    end: Option<Termination>,
}

impl<S> Worker<S> {
    /// `None`: nobody wants to know.
    pub(crate) fn trail(&self, protocol: &'static str, client: SocketAddr) -> Option<Rc<Trail>> {
        let log = self.log.get()?;
        let random = self.draw();
        let chosen = log.settings().sampling.choose(random);
        if chosen == Chosen::No {
            return None;
        }
        Some(Rc::new(Trail {
            log: Rc::clone(log),
            chosen: Cell::new(chosen),
            protocol,
            client,
            time: SystemTime::now(),
            started: Instant::now(),
            received: Cell::new(0),
            sent: Cell::new(0),
            known: RefCell::default(),
        }))
    }
}

// === impl Trail ===

impl Trail {
    /// It goes by this rule of this listener.
    pub(crate) fn found(&self, listener: &ListenerInfo, rule: Option<&Arc<L4Rule>>) {
        let mut known = self.known.borrow_mut();
        known.gateway = Some(Arc::clone(&listener.gateway));
        known.listener = Some(Arc::clone(&listener.section_name));
        known.rule = rule.cloned();
    }

    /// The server name of the ClientHello.
    pub(crate) fn names(&self, sni: Option<&str>) {
        self.known.borrow_mut().sni = sni.map(str::to_owned);
    }

    /// The client speaks this version of TLS with the gateway.
    pub(crate) fn shook_hands(&self, version: Option<rustls::ProtocolVersion>) {
        self.known.borrow_mut().tls = match version {
            Some(rustls::ProtocolVersion::TLSv1_2) => Some("1.2"),
            Some(rustls::ProtocolVersion::TLSv1_3) => Some("1.3"),
            _ => None,
        };
    }

    /// An endpoint of the backend is tried.
    pub(crate) fn tries(&self, backend: &Arc<str>, endpoint: &Endpoint) {
        let mut known = self.known.borrow_mut();
        known.backend = Some(Arc::clone(backend));
        known.endpoint = Some((endpoint.address.clone(), endpoint.port));
        known.tries += 1;
        known.first_try.get_or_insert_with(Instant::now);
    }

    /// The endpoint has taken the connection.
    pub(crate) fn connected(&self) {
        let mut known = self.known.borrow_mut();
        known.upstream = known.first_try.map(|first| first.elapsed());
    }

    /// It has ended, in order or not.
    pub(crate) fn end<T>(&self, result: &Result<T, Error>) {
        let mut known = self.known.borrow_mut();
        let Err(error) = result else {
            known.end = Some(Termination::Complete);
            return;
        };
        let end = termination(error);
        known.end = Some(end);
        known.reason = Some(error.kind().as_str());
        if end == Termination::Upstream {
            known.failure = Some(chain(error));
        }
    }

    /// It is told elsewhere.
    pub(crate) fn forget(&self) {
        self.chosen.set(Chosen::No);
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        let known = self.known.borrow();
        let record = Record {
            time: self.time,
            duration: self.started.elapsed(),
            peer: self.client,
            client: None,
            gateway: known.gateway.as_deref(),
            listener: known.listener.as_deref(),
            rule: known.rule.as_deref().map(|rule| Rule {
                kind: rule.id.kind.as_str(),
                namespace: rule.id.namespace(),
                name: rule.id.name(),
                index: rule.id.rule_index,
                rule_name: rule.id.rule_name(),
            }),
            backend: known.backend.as_deref(),
            endpoint: known.endpoint.as_ref().map(|(host, port)| match host {
                Host::Ip(ip) => record::Endpoint::Address(SocketAddr::new(*ip, *port)),
                Host::Dns(name) => record::Endpoint::Name(name, *port),
            }),
            protocol: self.protocol,
            http: None,
            reason: known.reason,
            failure: known.failure.as_deref(),
            received: self.received.get(),
            sent: self.sent.get(),
            upstream_duration: known.upstream,
            tries: known.tries,
            tls_version: known.tls,
            sni: known.sni.as_deref(),
            trace_id: None,
            termination: known.end.unwrap_or(Termination::Gateway),
        };
        self.log.write(self.chosen.get(), &record);
    }
}

fn termination(error: &Error) -> Termination {
    match error {
        Error::ClientHello(_)
        | Error::ClientHelloEnd
        | Error::ClientHandshake(_)
        | Error::Relay(RelayError::Client(_)) => Termination::Client,
        Error::Connect { .. } | Error::Relay(RelayError::Backend(_)) => Termination::Upstream,
        Error::ClientHelloTimeout | Error::Relay(RelayError::Idle) => Termination::Timeout,
        _ => Termination::Gateway,
    }
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
