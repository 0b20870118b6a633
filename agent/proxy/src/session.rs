//! Session persistence (GEP-1619): a client comes back to the endpoint that it was given first.
//!
//! The cookie or header carries a hash of the endpoint's address, and, where sessions time out, when
//! the session began and when it was last used. So any replica understands it, and nothing is stored.
//! It is not signed: who changes it chooses an endpoint of the rule, or goes on for longer, and gains
//! nothing by it.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{self, HeaderMap, HeaderValue};
use novaedge_router::{Matched, SessionCarrier, SessionPersistence};

/// A session that a client has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    /// Identifies the endpoint.
    pub endpoint: u64,
    /// Seconds since the Unix epoch; 0 where sessions do not time out.
    began: u64,
    used: u64,
}

/// Sessions of one request: what its rule says, and the time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sessions<'r> {
    config: &'r SessionPersistence,
    /// Where the client shall send the cookie.
    path: &'r str,
    now: u64,
}

impl<'r> Sessions<'r> {
    /// For a request that this rule won. `None`: it keeps no sessions.
    pub(crate) fn of(matched: &Matched<'r>) -> Option<Self> {
        let config = matched.rule.session.as_deref()?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Some(Self {
            config,
            path: cookie_path(matched.prefix.or(matched.exact)),
            now: since.unwrap_or_default().as_secs(),
        })
    }

    /// The session that the request names, unless its time is over.
    pub(crate) fn find(&self, headers: &HeaderMap) -> Option<Session> {
        let session = match &self.config.carrier {
            SessionCarrier::Header(name) => Session::parse(headers.get(name)?.to_str().ok()?),
            SessionCarrier::Cookie { name, .. } => headers
                .get_all(header::COOKIE)
                .iter()
                .filter_map(|value| value.to_str().ok())
                .flat_map(|value| value.split(';'))
                .filter_map(|pair| pair.trim().split_once('='))
                .find(|(key, _)| *key == &**name)
                .and_then(|(_, value)| Session::parse(value)),
        };
        session.filter(|session| self.is_within(session))
    }

    fn is_within(&self, session: &Session) -> bool {
        let lasts = |since: u64, limit: Option<Duration>| {
            limit.is_none_or(|limit| self.now.saturating_sub(since) < limit.as_secs().max(1))
        };
        lasts(session.began, self.config.absolute_timeout)
            && lasts(session.used, self.config.idle_timeout)
    }

    /// Tells the client the endpoint that answered, unless it knows it already.
    pub(crate) fn remember(&self, known: Option<Session>, endpoint: u64, headers: &mut HeaderMap) {
        let known = known.filter(|known| known.endpoint == endpoint);
        let session = self.next(known, endpoint);
        match &self.config.carrier {
            SessionCarrier::Header(name) => {
                if let Ok(value) = HeaderValue::try_from(session.text()) {
                    headers.insert(name, value);
                }
            }
            SessionCarrier::Cookie { .. } if known == Some(session) => {}
            SessionCarrier::Cookie { name, permanent } => {
                let (text, path) = (session.text(), self.path);
                let mut cookie = format!("{name}={text}; Path={path}; HttpOnly");
                if let (true, Some(limit)) = (*permanent, self.config.absolute_timeout) {
                    let left = (session.began + limit.as_secs()).saturating_sub(self.now);
                    // Writing to a string cannot fail.
                    let _ = write!(cookie, "; Max-Age={left}");
                }
                if let Ok(value) = HeaderValue::try_from(cookie) {
                    headers.append(header::SET_COOKIE, value);
                }
            }
        }
    }

    fn next(&self, known: Option<Session>, endpoint: u64) -> Session {
        let (idle, absolute) = (self.config.idle_timeout, self.config.absolute_timeout);
        let began = known.map_or(self.now, |known| known.began);
        let used = match (idle, absolute) {
            (Some(_), _) => self.now,
            (None, Some(_)) => began,
            (None, None) => 0,
        };
        Session {
            endpoint,
            began: if used == 0 { 0 } else { began },
            used,
        }
    }
}

impl Session {
    /// 16 hexadecimal digits; with times 16 more.
    fn text(&self) -> String {
        let Self {
            endpoint,
            began,
            used,
        } = self;
        if *used == 0 {
            format!("{endpoint:016x}")
        } else {
            format!("{endpoint:016x}{began:08x}{used:08x}")
        }
    }

    /// A text without times began at the epoch: it is over where sessions time out.
    fn parse(text: &str) -> Option<Self> {
        let part = |from: usize, to: usize| {
            let digits = text.get(from..to)?;
            let hexadecimal = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            hexadecimal.then(|| u64::from_str_radix(digits, 16).ok())?
        };
        let (began, used) = match text.len() {
            16 => (0, 0),
            32 => (part(16, 24)?, part(24, 32)?),
            _ => return None,
        };
        Some(Self {
            endpoint: part(0, 16)?,
            began,
            used,
        })
    }
}

/// The path of the match, as far as it is one that a cookie can have: of an expression, or with a `;`,
/// it is not (RFC 6265 section 4.1.1).
fn cookie_path(matched: Option<&str>) -> &str {
    matched
        .filter(|path| path.starts_with('/') && !path.contains(';'))
        .unwrap_or("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 0x6000_0000;

    fn cookies(permanent: bool, absolute: u64, idle: u64) -> SessionPersistence {
        let limit = |seconds| (seconds > 0).then(|| Duration::from_secs(seconds));
        SessionPersistence {
            carrier: SessionCarrier::Cookie {
                name: "sid".into(),
                permanent,
            },
            absolute_timeout: limit(absolute),
            idle_timeout: limit(idle),
        }
    }

    fn at(config: &SessionPersistence, now: u64) -> Sessions<'_> {
        Sessions {
            config,
            path: "/shop",
            now,
        }
    }

    /// One request and its answer: the `Set-Cookie`, and the session that was found.
    fn exchange(
        sessions: Sessions<'_>,
        cookie: &str,
        endpoint: u64,
    ) -> (Option<String>, Option<u64>) {
        let mut request = HeaderMap::new();
        request.insert(header::COOKIE, HeaderValue::from_str(cookie).unwrap());
        let found = sessions.find(&request);
        let mut answer = HeaderMap::new();
        sessions.remember(found, endpoint, &mut answer);
        let set = answer.get(header::SET_COOKIE);
        let set = set.map(|value| value.to_str().unwrap().to_owned());
        (set, found.map(|found| found.endpoint))
    }

    fn pair(set: Option<&String>) -> &str {
        set.unwrap().split(';').next().unwrap()
    }

    #[test]
    fn a_session_cookie_names_the_endpoint_until_that_changes() {
        let config = cookies(false, 0, 0);
        let sessions = at(&config, NOW);
        let (set, found) = exchange(sessions, "a=b", 0xab);
        let cookie = "sid=00000000000000ab; Path=/shop; HttpOnly";
        assert_eq!((set.as_deref(), found), (Some(cookie), None));
        let kept = exchange(sessions, "a=b; sid=00000000000000ab", 0xab);
        assert_eq!(kept, (None, Some(0xab)));
        let (set, found) = exchange(sessions, "sid=00000000000000ab", 0xcd);
        assert_eq!(pair(set.as_ref()), "sid=00000000000000cd");
        assert_eq!(found, Some(0xab));
        for junk in [
            "sid=junk",
            "sid=",
            "sid=+0000000000000ab",
            "sidd=00000000000000ab",
        ] {
            assert_eq!(exchange(sessions, junk, 1).1, None, "{junk}");
        }
    }

    #[test]
    fn an_absolute_timeout_ends_a_session_however_much_it_is_used() {
        for permanent in [true, false] {
            let config = cookies(permanent, 60, 0);
            let (set, _) = exchange(at(&config, NOW), "", 7);
            assert_eq!(set.as_ref().unwrap().ends_with("Max-Age=60"), permanent);
            let cookie = pair(set.as_ref());
            for later in [1, 30, 59] {
                let kept = exchange(at(&config, NOW + later), cookie, 7);
                assert_eq!(kept, (None, Some(7)), "{later}");
            }
            let (set, found) = exchange(at(&config, NOW + 60), cookie, 8);
            assert_eq!(found, None);
            assert_ne!(pair(set.as_ref()), cookie);
        }
    }

    #[test]
    fn an_idle_timeout_counts_from_the_last_request() {
        let config = cookies(true, 100, 30);
        let (mut set, _) = exchange(at(&config, NOW), "", 7);
        for later in [29, 58, 87] {
            let cookie = pair(set.as_ref()).to_owned();
            let (next, found) = exchange(at(&config, NOW + later), &cookie, 7);
            assert_eq!(found, Some(7), "{later}");
            let left = format!("Max-Age={}", 100 - later);
            assert!(next.as_ref().unwrap().ends_with(&left), "{next:?}");
            set = next;
        }
        let cookie = pair(set.as_ref());
        assert_eq!(exchange(at(&config, NOW + 99), cookie, 7).1, Some(7));
        assert_eq!(
            exchange(at(&config, NOW + 100), cookie, 7).1,
            None,
            "absolute"
        );
        let idle = cookies(false, 0, 30);
        assert_eq!(exchange(at(&idle, NOW + 117), cookie, 7).1, None, "idle");
        assert_eq!(exchange(at(&idle, NOW), "sid=00000000000000ab", 7).1, None);
    }

    #[test]
    fn a_header_is_told_with_each_answer() {
        let config = SessionPersistence {
            carrier: SessionCarrier::Header(http::HeaderName::from_static("x-session")),
            absolute_timeout: None,
            idle_timeout: None,
        };
        let sessions = at(&config, NOW);
        let mut headers = HeaderMap::new();
        for _ in 0..2 {
            let known = sessions.find(&headers);
            sessions.remember(known, 0xab, &mut headers);
            assert_eq!(headers["x-session"], "00000000000000ab");
        }
    }

    #[test]
    fn a_cookie_has_the_path_of_the_match_if_that_is_a_path() {
        assert_eq!(cookie_path(Some("/shop")), "/shop");
        assert_eq!(cookie_path(Some("/")), "/");
        assert_eq!(cookie_path(None), "/");
        assert_eq!(cookie_path(Some("/a;Domain=evil")), "/");
    }
}
