//! A request as people ask about it, like a command line of curl.

use std::net::IpAddr;

use http::{
    HeaderName, HeaderValue, Method, Uri,
    header::HOST,
    request::{Builder, Parts},
    uri::{Authority, PathAndQuery},
};
use novaedge_router::Scheme;

use super::Request;

/// A request.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Whether it comes over TLS.
    pub scheme: Scheme,
    /// The port that it comes to.
    pub port: u16,
    /// The server name of its TLS handshake, lower case.
    pub sni: Option<String>,
    /// The Gateway that it comes to, as `namespace/name`.
    pub gateway: Option<String>,
    /// Its head.
    pub parts: Parts,
    /// What was asked, in words.
    pub request: Request,
}

/// What to ask, as it stands on a command line.
#[derive(Clone, Debug)]
pub struct Words<'a> {
    /// `http://host:port/path?query`.
    pub url: &'a str,
    /// The method.
    pub method: &'a str,
    /// `Name: value` each.
    pub headers: &'a [String],
    /// The server name, where it is not the host of the URL.
    pub sni: Option<&'a str>,
    /// `name` or `namespace/name`.
    pub gateway: Option<&'a str>,
    /// The namespace of a Gateway that is named without one.
    pub namespace: &'a str,
    /// The address of the client.
    pub client: Option<IpAddr>,
}

impl Default for Words<'_> {
    fn default() -> Self {
        Self {
            url: "",
            method: "GET",
            headers: &[],
            sni: None,
            gateway: None,
            namespace: "default",
            client: None,
        }
    }
}

/// Why nobody can ask so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskedError {
    /// The URL is none.
    #[error("{0} is not a URL of the form http://host/path or https://host/path")]
    Url(String),
    /// The method is none.
    #[error("{0} is not a method: --method takes a word such as GET")]
    Method(String),
    /// The header is none.
    #[error("{0:?} is not a header: --header takes 'Name: value'")]
    Header(String),
}

impl Asked {
    /// Reads what is asked.
    pub fn new(words: &Words<'_>) -> Result<Self, AskedError> {
        let wrong = || AskedError::Url(words.url.to_owned());
        let full = if words.url.contains("://") {
            words.url.to_owned()
        } else {
            format!("http://{}", words.url)
        };
        let uri: Uri = full.parse().map_err(|_| wrong())?;
        let scheme = match uri.scheme_str() {
            Some("http") => Scheme::Http,
            Some("https") => Scheme::Https,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().ok_or_else(wrong)?;
        let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let method = Method::from_bytes(words.method.as_bytes());
        let method = method.map_err(|_| AskedError::Method(words.method.to_owned()))?;
        let mut head = http::Request::builder().method(method).uri(path);
        let host = add_headers(&mut head, words.headers)?;
        if host.is_none() {
            let value = HeaderValue::from_str(authority.as_str()).map_err(|_| wrong())?;
            set(&mut head, HOST, value);
        }
        let (parts, ()) = head.body(()).map_err(|_| wrong())?.into_parts();
        let sni = (scheme == Scheme::Https).then(|| server_name(authority, words.sni));
        let sni = sni.flatten();
        let gateway = words.gateway.map(|name| match name.split_once('/') {
            Some(_) => name.to_owned(),
            None => format!("{}/{name}", words.namespace),
        });
        Ok(Self {
            scheme,
            port: authority.port_u16().unwrap_or(scheme.default_port()),
            gateway,
            request: Request {
                method: parts.method.to_string(),
                url: full,
                host,
                sni: sni.clone(),
                client: words.client,
            },
            parts,
            sni,
        })
    }
}

/// Adds headers; the last `Host` among them is returned, for there can be one only.
fn add_headers(head: &mut Builder, headers: &[String]) -> Result<Option<String>, AskedError> {
    let mut host = None;
    for line in headers {
        let wrong = || AskedError::Header(line.clone());
        let (name, value) = line.split_once(':').ok_or_else(wrong)?;
        let name = HeaderName::try_from(name.trim()).map_err(|_| wrong())?;
        let text = value.trim();
        let value = HeaderValue::from_str(text).map_err(|_| wrong())?;
        if name == HOST {
            host = Some(text.to_owned());
            set(head, name, value);
        } else if let Some(fields) = head.headers_mut() {
            fields.append(name, value);
        }
    }
    Ok(host)
}

fn set(head: &mut Builder, name: HeaderName, value: HeaderValue) {
    if let Some(fields) = head.headers_mut() {
        fields.insert(name, value);
    }
}

/// Addresses are no server names (RFC 6066 section 3).
fn server_name(authority: &Authority, given: Option<&str>) -> Option<String> {
    let host = authority.host();
    let is_address = host.starts_with('[') || host.parse::<IpAddr>().is_ok();
    let name = given.or((!is_address).then_some(host))?;
    Some(name.trim_end_matches('.').to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(url: &str, headers: &[&str]) -> Result<Asked, AskedError> {
        let headers: Vec<String> = headers.iter().map(|line| (*line).to_owned()).collect();
        Asked::new(&Words {
            url,
            method: "GET",
            headers: &headers,
            ..Words::default()
        })
    }

    #[test]
    fn a_url_says_where_a_request_comes_and_for_whom_it_is() {
        let asked = ask("https://A.example/x?y", &[]).unwrap();
        let told = (
            asked.port,
            asked.sni.as_deref(),
            asked.parts.uri.to_string(),
        );
        assert_eq!(told, (443, Some("a.example"), "/x?y".to_owned()));
        assert_eq!(asked.parts.headers["host"], "A.example");
        let asked = ask("a.example:8080", &[]).unwrap();
        let told = (asked.port, asked.sni.as_deref(), asked.parts.uri.path());
        assert_eq!(told, (8080, None, "/"));
        assert_eq!(ask("https://127.0.0.1/", &[]).unwrap().sni, None);
    }

    #[test]
    fn a_host_may_be_another_than_that_of_the_url() {
        let asked = ask("http://127.0.0.1:8080/", &["Host: a.example", "X-A: 1"]).unwrap();
        assert_eq!(asked.parts.headers["host"], "a.example");
        assert_eq!(asked.parts.headers["x-a"], "1");
        assert_eq!(asked.request.host.as_deref(), Some("a.example"));
    }

    #[test]
    fn what_is_no_request_is_told() {
        for url in ["", "ftp://a/", "http://", "http://a b/"] {
            assert!(ask(url, &[]).is_err(), "{url}");
        }
        assert!(ask("http://a/", &["no header"]).is_err());
    }
}
