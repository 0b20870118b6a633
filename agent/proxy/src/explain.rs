//! What would become of a request, by the tables alone: the judgement of an agent without sending anything.
//!
//! What only an agent knows is left out: which of several backends has its turn, whom sessions belong to, which endpoints
//! are ejected, and whether memory is short.

mod keyed;

use std::sync::Arc;

use http::header::{self, HeaderMap};
use http::request::Parts;
use http::{HeaderValue, Response};
use novaedge_router::{
    Backend, BackendChoice, HttpListener, HttpRule, Matched, Scheme, SocketKey, Tables,
};

pub use self::keyed::{endpoint_for_connection, endpoint_for_request};
use crate::authority::authority;
use crate::judge::{Found, Judge, Way};
use crate::reason::Reason;

/// The connection that a request comes by.
#[derive(Clone, Copy, Debug)]
pub struct Connection<'t> {
    /// Its socket.
    pub key: SocketKey,
    /// Whether it is encrypted.
    pub scheme: Scheme,
    /// The server name of the TLS handshake, lower case.
    pub sni: Option<&'t str>,
}

/// What becomes of a request.
#[derive(Debug)]
pub struct Explanation<'t> {
    /// The listener that owns its host.
    pub listener: Option<&'t Arc<HttpListener>>,
    /// The rule that wins it.
    pub matched: Option<Matched<'t>>,
    /// How it ends.
    pub outcome: Outcome<'t>,
}

/// How a request ends.
#[derive(Debug)]
pub enum Outcome<'t> {
    /// The gateway answers with an error.
    Refused(Reason),
    /// A filter of the rule answers.
    Answered(Response<()>),
    /// One of the rule's choices has it, in proportion to their weights.
    Shared(Vec<Share<'t>>),
}

/// A choice of a rule.
#[derive(Debug)]
pub struct Share<'t> {
    /// Above 0.
    pub weight: u32,
    /// The choice.
    pub choice: &'t BackendChoice,
    /// What becomes of requests that it has.
    pub outcome: ShareOutcome<'t>,
}

/// What becomes of requests that a choice has.
#[derive(Debug)]
pub enum ShareOutcome<'t> {
    /// The gateway answers with an error.
    Refused(Reason),
    /// A filter of the choice answers.
    Answered(Response<()>),
    /// They go to one of the endpoints of this backend, of which there is at least one.
    Forwarded(&'t Arc<Backend>),
}

/// What would become of a request that comes by this connection.
#[must_use]
pub fn explain<'t>(
    tables: &'t Tables,
    connection: Connection<'t>,
    parts: &Parts,
) -> Explanation<'t> {
    let judge = Judge {
        tables,
        key: connection.key,
        scheme: connection.scheme,
        sni: connection.sni,
    };
    let mut found = Found::default();
    let mut matched = None;
    let outcome = outcome(judge, parts, &mut found, &mut matched).unwrap_or_else(Outcome::Refused);
    Explanation {
        listener: found.listener,
        matched,
        outcome,
    }
}

fn outcome<'t>(
    judge: Judge<'t>,
    parts: &Parts,
    found: &mut Found<'t>,
    matched: &mut Option<Matched<'t>>,
) -> Result<Outcome<'t>, Reason> {
    let authority = authority(parts).map_err(|_| Reason::InvalidHost)?;
    let won = judge.find(parts, &authority.host, found)?;
    *matched = Some(won.matched);
    let rule = won.matched.rule;
    let mut cors = HeaderMap::new();
    if let Some(answer) = judge.rule(&won, &mut cors)? {
        return Ok(Outcome::Answered(answer));
    }
    let shares = rule.backends.iter().map(|(weight, choice)| Share {
        weight,
        choice,
        outcome: match judge.choice(&won, choice, &mut cors.clone()) {
            Ok(Way::Answer(answer)) => ShareOutcome::Answered(answer),
            Ok(Way::Backend(backend)) => forwarded(backend, rule, &parts.headers),
            Err(reason) => ShareOutcome::Refused(reason),
        },
    });
    let shares: Vec<Share<'t>> = shares.collect();
    if shares.is_empty() {
        return Err(Reason::NoBackends);
    }
    Ok(Outcome::Shared(shares))
}

fn forwarded<'t>(
    backend: &'t Arc<Backend>,
    rule: &HttpRule,
    headers: &HeaderMap,
) -> ShareOutcome<'t> {
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|value: &HeaderValue| value.to_str().ok()?.parse::<u64>().ok());
    if let (Some(most), Some(length)) = (rule.max_request_body, length)
        && length > most
    {
        ShareOutcome::Refused(Reason::BodyTooLarge)
    } else if backend.endpoints.is_empty() {
        ShareOutcome::Refused(Reason::NoEndpoints)
    } else {
        ShareOutcome::Forwarded(backend)
    }
}
