//! A trail as a line of the access log.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use http::{HeaderValue, StatusCode, Version};
use novaedge_access_log::record::{Endpoint, Http, Rule};
use novaedge_access_log::{Record, Sink, Termination};
use novaedge_router::{Host, HttpRule, RouteId};

use super::{Known, Trace, Trail};
use crate::client::{Client, requester};
use crate::worker::Worker;

impl Trail {
    /// Who asks: the nearest address that is no trusted proxy's.
    pub(super) fn client(&self, known: &Known) -> IpAddr {
        let peer = self.from.peer.ip().to_canonical();
        let Some(listener) = &known.listener else {
            return peer;
        };
        let fields = self.from.forwarded.iter();
        requester(peer, &listener.info.trusted_forwarders, fields).address
    }

    pub(super) fn write(&self, log: &Sink) {
        let known = self.known.borrow();
        let recorded = self.trace.as_ref().map(Trace::id);
        let info = known.listener.as_ref().map(|listener| &listener.info);
        let peer = self.from.peer.ip().to_canonical();
        let client = Some(self.client(&known)).filter(|client| *client != peer);
        let asked = &self.asked;
        let authority = asked.uri.authority().map(|one| one.as_str().as_bytes());
        let http = Http {
            method: asked.method.as_str(),
            scheme: self.from.scheme.as_str(),
            host: authority.or(asked.host.as_ref().map(HeaderValue::as_bytes)),
            path: asked.uri.path(),
            query: asked.uri.query(),
            version: version(asked.version),
            status: known.status.map(|status| status.as_u16()),
            request_id: asked.request_id.as_ref(),
            user_agent: asked.user_agent.as_ref(),
            request_headers: &asked.headers,
            response_headers: &known.headers,
        };
        let record = Record {
            time: self.time,
            duration: self.started.elapsed(),
            peer: self.from.peer,
            client,
            gateway: info.map(|info| &*info.gateway),
            listener: info.map(|info| &*info.section_name),
            rule: known.rule.as_deref().map(rule),
            backend: known.backend.as_deref(),
            endpoint: known.endpoint.as_ref().map(endpoint),
            protocol: "http",
            http: Some(http),
            reason: known.reason.map(|(reason, _)| reason),
            failure: known.failure.as_deref(),
            received: self.received.get(),
            sent: self.sent.get(),
            upstream_duration: known.upstream,
            tries: known.tries,
            tls_version: self.from.tls,
            sni: self.from.sni.as_deref(),
            trace_id: recorded.or(asked.trace_id.as_deref()),
            termination: self.termination(),
        };
        log.write(self.chosen, &record);
    }
}

/// Tells of what was no request: it was answered with this status, for this reason.
pub(crate) fn refused(
    worker: &Worker,
    client: &Client,
    version_asked: Version,
    status: StatusCode,
    reason: &'static str,
) {
    let log = worker.observers.get().and_then(|one| one.log.as_deref());
    let Some(log) = log else { return };
    let chosen = log.settings().sampling.choose(worker.random.next());
    let http = Http {
        method: "",
        scheme: client.scheme.as_str(),
        host: None,
        path: "",
        query: None,
        version: version(version_asked),
        status: Some(status.as_u16()),
        request_id: None,
        user_agent: None,
        request_headers: &[],
        response_headers: &[],
    };
    let record = Record {
        time: SystemTime::now(),
        duration: Duration::ZERO,
        peer: client.peer,
        client: None,
        gateway: None,
        listener: None,
        rule: None,
        backend: None,
        endpoint: None,
        protocol: "http",
        http: Some(http),
        reason: Some(reason),
        failure: None,
        received: 0,
        sent: 0,
        upstream_duration: None,
        tries: 0,
        tls_version: client.tls,
        sni: client.sni.as_deref(),
        trace_id: None,
        termination: Termination::Gateway,
    };
    log.write(chosen, &record);
}

fn rule(rule: &HttpRule) -> Rule<'_> {
    Rule {
        kind: rule.id.kind.as_str(),
        namespace: rule.id.namespace(),
        name: rule.id.name(),
        index: rule.id.rule_index,
        rule_name: rule.id.rule_name(),
    }
}

/// A route as `Kind/namespace/name`.
pub(super) fn route_name(id: &RouteId) -> String {
    format!("{}/{}/{}", id.kind.as_str(), id.namespace(), id.name())
}

/// A rule by its name, or by its position from 0.
pub(super) fn rule_name(id: &RouteId) -> String {
    let position = || id.rule_index.to_string();
    id.rule_name().map_or_else(position, str::to_owned)
}

/// An endpoint as `address:port`.
pub(super) fn address((host, port): (&Host, u16)) -> String {
    match host {
        Host::Ip(ip) => SocketAddr::new(*ip, port).to_string(),
        Host::Dns(name) => format!("{name}:{port}"),
    }
}

fn endpoint((host, port): &(Host, u16)) -> Endpoint<'_> {
    match host {
        Host::Ip(ip) => Endpoint::Address(SocketAddr::new(*ip, *port)),
        Host::Dns(name) => Endpoint::Name(name, *port),
    }
}

pub(super) fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}
