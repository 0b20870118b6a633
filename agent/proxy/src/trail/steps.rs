//! A trail as steps, for who wants to see the request.

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, Request, Response, StatusCode, header};
use novaedge_access_log::Redaction;
use novaedge_access_log::field::{REQUEST_HEADER, RESPONSE_HEADER};
use novaedge_access_log::record::without_kind;
use novaedge_proto::v1;
use novaedge_router::{Host, HttpRule};
use tokio::time::Instant;

use super::{Source, Trail, told};
use crate::error::ForwardError;
use crate::forward::Outgoing;
use crate::judge::Found;
use crate::reason::Reason;
use crate::taps::{Seen, Tap};

/// Bytes of one request's steps.
const ROOM: usize = 16 * 1024;

/// Bytes of one value.
const LONGEST: usize = 1024;

/// What stands for what was cut off.
const CUT: &str = "...";

/// The steps of an exchange, as they come.
pub(super) struct Steps {
    /// Who may want them.
    taps: Vec<Arc<Tap>>,
    started: Instant,
    taken: RefCell<Taken>,
}

struct Taken {
    steps: Vec<v1::TraceStep>,
    /// Bytes that there is room for.
    room: usize,
}

type Fields = Vec<v1::TraceField>;

fn field(name: impl Into<String>, value: impl AsRef<str>) -> v1::TraceField {
    let value = value.as_ref();
    let value = if value.len() > LONGEST {
        let end = value.floor_char_boundary(LONGEST);
        format!("{}{CUT}", value.get(..end).unwrap_or_default())
    } else {
        value.to_owned()
    };
    v1::TraceField {
        name: name.into(),
        value,
    }
}

fn headers(fields: &mut Fields, prefix: &str, headers: &HeaderMap, redaction: &Redaction) {
    for (name, value) in headers {
        let shown = redaction.header(name.as_str(), value.as_bytes());
        let shown = String::from_utf8_lossy(&shown);
        fields.push(field(format!("{prefix}{name}"), shown));
    }
}

fn tell_rule(fields: &mut Fields, rule: &HttpRule) {
    fields.push(field("route", told::route_name(&rule.id)));
    fields.push(field("rule", told::rule_name(&rule.id)));
}

impl Steps {
    /// Begins with the request as it came. `None`: nobody wants it.
    pub(super) fn begin<B>(
        taps: Vec<Arc<Tap>>,
        from: &Source,
        request: &Request<B>,
        started: Instant,
        redaction: &Redaction,
    ) -> Option<Self> {
        if taps.is_empty() {
            return None;
        }
        let steps = Self {
            taps,
            started,
            taken: RefCell::new(Taken {
                steps: Vec::new(),
                room: ROOM,
            }),
        };
        let peer = from.peer;
        let mut fields = vec![
            field("network.peer.address", peer.ip().to_canonical().to_string()),
            field("network.peer.port", peer.port().to_string()),
            field("network.protocol.version", told::version(request.version())),
            field("url.scheme", from.scheme.as_str()),
        ];
        if let Some(version) = from.tls {
            fields.push(field("tls.protocol.version", version));
        }
        if let Some(sni) = &from.sni {
            fields.push(field("tls.client.server_name", sni));
        }
        let uri = request.uri();
        fields.push(field("http.request.method", request.method().as_str()));
        let host = request.headers().get(header::HOST);
        let host = host.map(|host| String::from_utf8_lossy(host.as_bytes()));
        let authority = uri.authority().map(|one| one.as_str().into());
        if let Some(host) = authority.or(host) {
            fields.push(field("server.address", host));
        }
        fields.push(field("url.path", uri.path()));
        if let Some(query) = uri.query() {
            fields.push(field("url.query", redaction.query(query)));
        }
        headers(&mut fields, REQUEST_HEADER, request.headers(), redaction);
        steps.add("received", fields);
        Some(steps)
    }

    /// It is known who serves the request, or that nobody does.
    pub(super) fn found(&self, found: &Found<'_>, client: IpAddr) {
        let mut fields = vec![field("client.address", client.to_string())];
        if let Some(listener) = found.listener {
            let info = &listener.info;
            fields.push(field("gateway", without_kind(&info.gateway)));
            fields.push(field("listener", &*info.section_name));
        }
        match found.rule {
            Some(rule) => {
                tell_rule(&mut fields, rule);
                self.add("matched", fields);
            }
            None => self.add("unmatched", fields),
        }
    }

    pub(super) fn routed(&self, backend: &str) {
        self.add("backend", vec![field("backend", without_kind(backend))]);
    }

    /// A try begins with this head.
    pub(super) fn begin_try(
        &self,
        tries: u32,
        endpoint: (&Host, u16),
        sent: &Outgoing,
        redaction: &Redaction,
    ) {
        let mut fields = vec![
            field("tries", tries.to_string()),
            field("endpoint", told::address(endpoint)),
            field("url.path", sent.target.path()),
        ];
        if let Some(query) = sent.target.query() {
            fields.push(field("url.query", redaction.query(query)));
        }
        headers(&mut fields, REQUEST_HEADER, &sent.headers, redaction);
        self.add("try", fields);
    }

    pub(super) fn end_try(&self, result: Result<StatusCode, &ForwardError>) {
        match result {
            Ok(status) => {
                let status = field("http.response.status_code", status.as_str());
                self.add("answered", vec![status]);
            }
            Err(error) => {
                let reason = field("reason", Reason::from(error).code());
                let failure = field("upstream.failure", super::chain(error));
                self.add("failed", vec![reason, failure]);
            }
        }
    }

    /// Another try follows after this time.
    pub(super) fn retries(&self, after: Duration) {
        let after = format!("{:.6}", after.as_secs_f64());
        self.add("retry", vec![field("after", after)]);
    }

    /// The rule wants another try, which does not follow.
    pub(super) fn gives_up(&self, why: &str) {
        self.add("no retry", vec![field("because", why)]);
    }

    /// Both ends speak another protocol now.
    pub(super) fn upgraded(&self) {
        self.add("upgraded", Fields::new());
    }

    /// The gateway answers itself.
    pub(super) fn refused(&self, reason: &str) {
        self.add("refused", vec![field("reason", reason)]);
    }

    /// The head of the answer goes to the client; `reason`: why the gateway gives it itself.
    pub(super) fn answer<B>(
        &self,
        response: &Response<B>,
        reason: Option<&str>,
        redaction: &Redaction,
    ) {
        let status = response.status();
        let mut fields = vec![field("http.response.status_code", status.as_str())];
        let by = reason.map_or("backend", |_| "gateway");
        fields.push(field("by", by));
        fields.extend(reason.map(|reason| field("reason", reason)));
        headers(&mut fields, RESPONSE_HEADER, response.headers(), redaction);
        self.add("answer", fields);
    }

    /// The exchange is over: who wants it has it now.
    pub(super) fn end(&self, trail: &Trail) {
        let known = trail.known.borrow();
        let mut fields = vec![
            field("http.request.body.size", trail.received.get().to_string()),
            field("http.response.body.size", trail.sent.get().to_string()),
            field("termination", trail.termination().as_str()),
        ];
        if let Some(failure) = &known.failure {
            fields.push(field("upstream.failure", failure));
        }
        let client = trail.client(&known);
        fields.push(field("client.address", client.to_string()));
        self.add("end", fields);
        let listener = known.listener.as_ref();
        let seen = Seen {
            client,
            gateway: listener.map(|listener| &*listener.info.gateway),
            rule: known.rule.as_deref(),
            status: known.status,
        };
        let traced = v1::TracedRequest {
            began_at_us: micros(trail.time),
            steps: std::mem::take(&mut self.taken.borrow_mut().steps),
        };
        for tap in self
            .taps
            .iter()
            .filter(|tap| tap.filter.matches_rest(&seen))
        {
            tap.give(traced.clone());
        }
    }

    fn add(&self, what: &str, mut fields: Fields) {
        let mut taken = self.taken.borrow_mut();
        let mut room = taken.room.saturating_sub(what.len());
        let all = fields.len();
        let fits = fields.iter().take_while(|one| {
            let size = one.name.len() + one.value.len() + 8;
            let left = room.checked_sub(size);
            room = left.unwrap_or(0);
            left.is_some()
        });
        let fitting = fits.count();
        fields.truncate(fitting);
        if fitting < all {
            fields.push(field(CUT, format!("{} more fields", all - fitting)));
        }
        taken.room = room;
        let at = self.started.elapsed().as_micros();
        taken.steps.push(v1::TraceStep {
            at_us: u64::try_from(at).unwrap_or(u64::MAX),
            what: what.to_owned(),
            fields,
        });
    }
}

fn micros(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
