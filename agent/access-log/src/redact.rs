//! Secrets that a line must not have: by the names of query parameters and header fields.

use std::collections::BTreeSet;

/// What stands in place of a secret.
pub const REDACTED: &str = "REDACTED";

/// Names that are secret, also as parts of longer names.
pub const SECRET_PARTS: [&str; 8] = [
    "token",
    "secret",
    "password",
    "passwd",
    "signature",
    "credential",
    "api_key",
    "apikey",
];

/// Names that are secret as a whole.
pub const SECRET_NAMES: [&str; 10] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "auth",
    "code",
    "key",
    "pwd",
    "sig",
    "session",
];

/// Which names are secret: those that always are, and more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redaction {
    more: BTreeSet<String>,
}

impl Redaction {
    /// These names too, in any case.
    #[must_use]
    pub fn with(names: impl IntoIterator<Item = String>) -> Self {
        let more = names.into_iter().map(|name| name.to_ascii_lowercase());
        Self {
            more: more.collect(),
        }
    }

    /// Whether the value of this query parameter or header field is a secret.
    #[must_use]
    pub fn is_secret(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let spelled = name.replace('-', "_");
        SECRET_NAMES.contains(&name.as_str())
            || SECRET_PARTS.iter().any(|part| spelled.contains(part))
            || self.more.contains(&name)
    }

    /// A query with its secrets replaced.
    #[must_use]
    pub fn query(&self, query: &str) -> String {
        let mut shown = String::with_capacity(query.len());
        let mut rest = query;
        while !rest.is_empty() {
            let end = rest.find(['&', ';']).unwrap_or(rest.len());
            let (pair, tail) = rest.split_at(end);
            match pair.split_once('=') {
                Some((name, value)) if !value.is_empty() && self.is_secret(&decoded(name)) => {
                    shown.push_str(name);
                    shown.push('=');
                    shown.push_str(REDACTED);
                }
                _ => shown.push_str(pair),
            }
            let mut separator = tail.chars();
            shown.extend(separator.next());
            rest = separator.as_str();
        }
        shown
    }

    /// The value of a header field; of `Referer`, its query alone may be a secret.
    #[must_use]
    pub fn header<'v>(&self, name: &str, value: &'v [u8]) -> std::borrow::Cow<'v, [u8]> {
        if self.is_secret(name) {
            return REDACTED.as_bytes().into();
        }
        let url = (name == "referer" || name == "location").then(|| String::from_utf8_lossy(value));
        match url.as_deref().and_then(|url| url.split_once('?')) {
            Some((path, query)) => format!("{path}?{}", self.query(query)).into_bytes().into(),
            None => value.into(),
        }
    }
}

/// A name as the backend reads it: nobody hides a secret by writing its name another way.
fn decoded(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let [first, tail @ ..] = rest {
        let coded = tail.first_chunk::<2>().and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 16).ok()
        });
        rest = if let (b'%', Some(byte)) = (first, coded) {
            bytes.push(byte);
            tail.get(2..).unwrap_or_default()
        } else {
            bytes.push(*first);
            tail
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_lose_their_secrets_alone() {
        let redaction = Redaction::with(["Pin".to_owned()]);
        for (query, expect) in [
            ("", ""),
            ("a=1&b=2", "a=1&b=2"),
            ("token=abc&a=1", "token=REDACTED&a=1"),
            ("a=1&ACCESS_TOKEN=x=y;b", "a=1&ACCESS_TOKEN=REDACTED;b"),
            ("%74oken=abc", "%74oken=REDACTED"),
            (
                "X-Amz-Signature=1&X-Amz-Date=2",
                "X-Amz-Signature=REDACTED&X-Amz-Date=2",
            ),
            (
                "x-api-key=1&pin=2&spin=3",
                "x-api-key=REDACTED&pin=REDACTED&spin=3",
            ),
            ("token=&token", "token=&token"),
            (
                "monkey=1&key=2&codec=3&code=4",
                "monkey=1&key=REDACTED&codec=3&code=REDACTED",
            ),
            ("a=%zz&%=1&%4=2", "a=%zz&%=1&%4=2"),
            ("&&;=&", "&&;=&"),
        ] {
            assert_eq!(redaction.query(query), expect, "{query}");
        }
    }

    #[test]
    fn header_fields_lose_their_secrets() {
        let redaction = Redaction::with(["x-tenant".to_owned()]);
        for (name, value, expect) in [
            ("authorization", "Basic YTpi", "REDACTED"),
            ("cookie", "a=b", "REDACTED"),
            ("x-auth-token", "t", "REDACTED"),
            ("x-tenant", "t", "REDACTED"),
            ("accept", "*/*", "*/*"),
            (
                "referer",
                "https://a/b?token=1&c=2",
                "https://a/b?token=REDACTED&c=2",
            ),
            ("location", "/next", "/next"),
        ] {
            let shown = redaction.header(name, value.as_bytes()).into_owned();
            assert_eq!(String::from_utf8(shown).unwrap(), expect, "{name}");
        }
    }
}
