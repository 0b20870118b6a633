//! Leaves out what nobody else may see. It errs on the side of leaving out.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

/// What stands in place of a secret.
pub const REDACTED: &str = "<redacted>";

/// Parts of names of headers, parameters and variables whose values are secrets.
const SENSITIVE: [&str; 11] = [
    "auth",
    "cookie",
    "token",
    "secret",
    "password",
    "passwd",
    "credential",
    "session",
    "apikey",
    "signature",
    "private",
];

/// Ends of field names whose values are secrets; a field such as `secretName` is none.
const FIELDS: [&str; 8] = [
    "token",
    "password",
    "authorization",
    "privatekey",
    "privatekeypem",
    "tls.key",
    "apikey",
    "clientsecret",
];

/// Holds objects as they were applied, whole, in a text.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What is a secret wherever it stands, in the order in which it is left out.
static PATTERNS: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    let patterns = [
        (
            r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)",
            REDACTED,
        ),
        // These fields have parts, so all goes up to the end of the line or of the quotes.
        (
            r#"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie)(["']?\s*[:=]\s*)("[^"\n]*"|'[^'\n]*'|[^"'\n][^\n]*)"#,
            "$1$2<redacted>",
        ),
        (
            r#"(?i)\b([a-z0-9_.-]*(?:token|password|passwd|api[-_]?key|credential|(?:client|shared|access)[-_]?(?:secret|key))[a-z0-9_-]*["']?\s*[:=]\s*["']?)[^\s"'&,;<>]+"#,
            "$1<redacted>",
        ),
        (
            r"(?i)\b(bearer|basic|digest|negotiate|apikey) +[A-Za-z0-9._~+/=-]{6,}",
            "$1 <redacted>",
        ),
        (
            r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?",
            REDACTED,
        ),
        (r"://[^/\s:@]+:[^/\s@]+@", "://<redacted>@"),
    ];
    let compiled = patterns.into_iter();
    compiled
        .map(|(pattern, with)| {
            let pattern = Regex::new(pattern).expect("a test compiles each of them");
            (pattern, with)
        })
        .collect()
});

/// A text without secrets.
pub fn redact_text(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, with) in PATTERNS.iter() {
        text = pattern.replace_all(&text, *with).into_owned();
    }
    text
}

/// An object without secrets: values of Secrets, of headers and variables that carry credentials, keys, and what its
/// texts show of them.
pub fn redact_value(value: &mut Value) {
    match value {
        Value::String(text) => *text = redact_text(text),
        Value::Array(items) => items.iter_mut().for_each(redact_value),
        Value::Object(fields) => {
            let is_secret = fields.get("kind").is_some_and(|kind| kind == "Secret");
            let named = fields.get("name").and_then(Value::as_str);
            let is_sensitive = named.is_some_and(is_sensitive_name);
            fields.remove("managedFields");
            fields.remove(LAST_APPLIED);
            for (name, field) in fields.iter_mut() {
                let whole = is_secret && (name == "data" || name == "stringData");
                let of_name = is_sensitive && name == "value" && field.is_string();
                let by_itself = field.is_string() && is_sensitive_field(name);
                if whole || of_name || by_itself {
                    *field = REDACTED.into();
                } else {
                    redact_value(field);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn is_sensitive_name(name: &str) -> bool {
    let name = plain(name);
    SENSITIVE.iter().any(|part| name.contains(part)) || name.ends_with("key")
}

fn is_sensitive_field(name: &str) -> bool {
    let name = plain(name);
    FIELDS.iter().any(|end| name.ends_with(end))
}

fn plain(name: &str) -> String {
    let letters = name.chars().filter(|c| !matches!(c, '-' | '_'));
    letters.collect::<String>().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_lose_what_is_secret_and_keep_the_rest() {
        let check = |text: &str, expect: &str| assert_eq!(redact_text(text), expect, "{text}");
        check("authorization: Bearer s3cr3t", "authorization: <redacted>");
        check(
            "sent Bearer abc.def-123 to x",
            "sent Bearer <redacted> to x",
        );
        check(
            "proxy_token=\"s3cr3t\" route=a",
            "proxy_token=\"<redacted>\" route=a",
        );
        check("--token=s3cr3t --x=1", "--token=<redacted> --x=1");
        check(
            "Cookie: a=s3cr3t; b=s3cr3t\nX: y",
            "Cookie: <redacted>\nX: y",
        );
        check(
            "Authorization: Digest username=\"u\", response=\"s3cr3t\"",
            "Authorization: <redacted>",
        );
        check(
            "{\"authorization\":\"Bearer s3cr3t\",\"a\":1}",
            "{\"authorization\":<redacted>,\"a\":1}",
        );
        check(
            "{\"password\":\"s3cr3t\",\"a\":1}",
            "{\"password\":\"<redacted>\",\"a\":1}",
        );
        check(
            "GET /x?access_token=s3cr3t&b=1",
            "GET /x?access_token=<redacted>&b=1",
        );
        check("https://u:s3cr3t@host/x", "https://<redacted>@host/x");
        check("jwt eyJhbGciOiJ9.eyJzdWIi.sig end", "jwt <redacted> end");
        check(
            "-----BEGIN EC PRIVATE KEY-----\nMIIx\n-----END EC PRIVATE KEY-----\nafter",
            "<redacted>\nafter",
        );
        check("-----BEGIN PRIVATE KEY-----\nMIIx", "<redacted>");
        for kept in [
            "Secret default/example-tls does not exist; create it",
            "secretName: example-tls",
            "-----BEGIN CERTIFICATE-----\nMIIx\n-----END CERTIFICATE-----",
            "2026-11-25T00:00:00Z INFO route=default/www listening on [::]:80",
        ] {
            check(kept, kept);
        }
    }

    #[test]
    fn objects_lose_what_is_secret_and_keep_the_rest() {
        let mut value = json!({
            "kind": "List",
            "items": [
                {"kind": "Secret", "data": {"tls.key": "s3cr3t"}, "stringData": {"a": "s3cr3t"}},
                {"kind": "HTTPRoute", "metadata": {
                    "managedFields": [{}],
                    "annotations": {LAST_APPLIED: "{\"value\":\"s3cr3t\"}", "note": "token: s3cr3t"},
                }, "spec": {"rules": [{
                    "matches": [{"headers": [{"name": "X-Api-Key", "value": "s3cr3t"}],
                                 "path": {"type": "Exact", "value": "/kept"}}],
                    "filters": [{"requestHeaderModifier": {"set": [
                        {"name": "Authorization", "value": "Basic s3cr3t"},
                        {"name": "X-Kept", "value": "kept"},
                    ]}}],
                }]}},
                {"kind": "Pod", "spec": {"containers": [
                    {"env": [{"name": "DB_PASSWORD", "value": "s3cr3t"}], "args": ["--token=s3cr3t"]},
                ]}},
            ],
            "certificate": {"chainPem": "kept", "privateKeyPem": "s3cr3t"},
            "certificateRefs": [{"kind": "Secret", "name": "kept-token"}],
        });
        redact_value(&mut value);
        let text = value.to_string();
        assert!(!text.contains("s3cr3t"), "{text}");
        for kept in [
            "/kept",
            "\"value\":\"kept\"",
            "\"chainPem\":\"kept\"",
            "kept-token",
        ] {
            assert!(text.contains(kept), "{kept}: {text}");
        }
    }
}
