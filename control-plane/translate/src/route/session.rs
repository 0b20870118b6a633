//! Session persistence.

use std::fmt::Write as _;

use novaedge_api::gateway::{CookieLifetimeType, SessionPersistence, SessionPersistenceType};
use novaedge_api::meta::ObjectId;
use novaedge_api::native::{ProxySessionPersistence, ProxySessionType};
use sha2::{Digest as _, Sha256};

use super::fault::Fault;
use super::rules::millis;
use crate::filter::is_token;

/// What tells the sessions of one rule from those of others: its route and its place in it.
pub(super) fn seed(route: &ObjectId, index: usize) -> String {
    format!("{route}/{index}")
}

/// Session persistence of a rule. A cookie or header without a name gets one from the seed, equal
/// on every agent and after a restart.
pub(super) fn convert(
    given: Option<&SessionPersistence>,
    field: &str,
    seed: &str,
    ignored: &mut Vec<Fault>,
) -> Result<Option<ProxySessionPersistence>, Fault> {
    let Some(given) = given else { return Ok(None) };
    let absolute_timeout_ms = millis(
        given.absolute_timeout.as_ref(),
        &format!("{field}.absoluteTimeout"),
    )?;
    let idle_timeout_ms = millis(given.idle_timeout.as_ref(), &format!("{field}.idleTimeout"))?;
    let cookie = given.cookie.clone().unwrap_or_default();
    let named = given.session_name.clone();
    let (type_, name, generated) = match given.type_ {
        SessionPersistenceType::Cookie => (
            ProxySessionType::Cookie,
            cookie.name.or(named),
            format!("novaedge-{}", short(seed)),
        ),
        SessionPersistenceType::Header => {
            let header = given.header.as_ref().map(|header| header.name.clone());
            (
                ProxySessionType::Header,
                header.or(named),
                "X-NovaEdge-Session".to_owned(),
            )
        }
    };
    let session_name = name.filter(|name| !name.is_empty()).unwrap_or(generated);
    if !is_token(&session_name) {
        let text = format!("\"{session_name}\" can name neither a cookie nor a header; correct it");
        return Err(Fault::unsupported(field, text));
    }
    let permanent_cookie =
        type_ == ProxySessionType::Cookie && cookie.lifetime_type == CookieLifetimeType::Permanent;
    if permanent_cookie && absolute_timeout_ms.unwrap_or_default() == 0 {
        let text = "a permanent cookie needs an end; give absoluteTimeout";
        return Err(Fault::unsupported(format!("{field}.absoluteTimeout"), text));
    }
    if cookie.path != "/" {
        let text = format!(
            "cookie path {} has no effect, the cookie has the path of the match; remove it",
            cookie.path
        );
        ignored.push(Fault::unsupported(format!("{field}.cookie.path"), text));
    }
    Ok(Some(ProxySessionPersistence {
        type_,
        session_name,
        absolute_timeout_ms,
        idle_timeout_ms,
        permanent_cookie,
    }))
}

/// A few digits that follow from a seed.
pub(crate) fn short(seed: &str) -> String {
    let mut text = String::with_capacity(12);
    for byte in Sha256::digest(seed.as_bytes()).into_iter().take(6) {
        write!(text, "{byte:02x}").expect("writing to a String never fails");
    }
    text
}
