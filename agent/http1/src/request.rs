//! Heads of requests (RFC 9112 section 3).

use bytes::{Buf, BytesMut};
use http::header::{self, HeaderMap};
use http::{Method, Uri, Version};

use crate::error::HeadError;
use crate::framing::{BodyLength, Persistence, declared, persistence};
use crate::grammar::{is_token, is_visible};
use crate::limits::HeadLimits;
use crate::section::{Section, SectionEnd};

/// A request head that has been checked.
#[derive(Debug)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// The target, in one of the four forms that fits the method.
    pub target: Uri,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// The fields as they came.
    pub headers: HeaderMap,
    /// How long the body is; never until the connection ends.
    pub body: BodyLength,
    /// Whether the client goes on after this request.
    pub persistence: Persistence,
}

/// Reads request heads from bytes that come in pieces.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestReader {
    end: SectionEnd,
    /// Bytes of the first line that have been looked at.
    looked: usize,
    /// Bytes of empty lines before the head.
    skipped: usize,
}

impl RequestReader {
    /// Takes the next head from `buffer`, or nothing when it is not complete yet. After an error the
    /// connection cannot be read further.
    pub fn read(
        &mut self,
        buffer: &mut BytesMut,
        limits: HeadLimits,
    ) -> Result<Option<RequestHead>, HeadError> {
        self.skip_empty_lines(buffer, limits)?;
        self.check_start(buffer)?;
        let bytes = limits.bytes.saturating_sub(self.skipped);
        let in_first_line = self.end.is_in_first_line();
        let section = self
            .end
            .take(buffer, HeadLimits { bytes, ..limits }, 1)
            .map_err(|error| match error {
                // What is too long is the request line, if that is all there is (RFC 9110 section 15.5.15).
                HeadError::TooLarge
                    if in_first_line && self.end.is_in_first_line() && self.looked > 0 =>
                {
                    HeadError::TargetTooLong
                }
                error => error,
            })?;
        let Some(section) = section else {
            return Ok(None);
        };
        *self = Self::default();
        parse(&section).map(Some)
    }

    /// Ignores empty lines before a request (RFC 9112 section 2.2). They count as bytes of the head.
    fn skip_empty_lines(
        &mut self,
        buffer: &mut BytesMut,
        limits: HeadLimits,
    ) -> Result<(), HeadError> {
        while self.looked == 0 && buffer.starts_with(b"\r\n") {
            buffer.advance(2);
            self.end = SectionEnd::default();
            self.skipped += 2;
            if self.skipped > limits.bytes {
                return Err(HeadError::TooLarge);
            }
        }
        Ok(())
    }

    /// Refuses what is no request before its first line has ended: who speaks another protocol might
    /// wait for an answer.
    fn check_start(&mut self, buffer: &BytesMut) -> Result<(), HeadError> {
        if !self.end.is_in_first_line() {
            return Ok(());
        }
        let unseen = buffer.get(self.looked..).unwrap_or_default();
        for byte in unseen {
            match byte {
                // The end of the line, which is checked with its section.
                b'\r' | b'\n' => return Ok(()),
                byte if is_visible(*byte) || *byte == b' ' => self.looked += 1,
                _ if self.looked == 0 => return Err(HeadError::Method),
                _ => return Err(HeadError::RequestLine),
            }
        }
        Ok(())
    }
}

fn parse(section: &Section) -> Result<RequestHead, HeadError> {
    // One space between the three parts, and no other whitespace (RFC 9112 section 3).
    let mut parts = section.first_line().split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(HeadError::RequestLine);
    };
    if !is_token(method) {
        return Err(HeadError::Method);
    }
    let method = Method::from_bytes(method).map_err(|_| HeadError::Method)?;
    let named = version.get(..5).unwrap_or_default();
    if !named.eq_ignore_ascii_case(b"HTTP/") {
        return Err(HeadError::NotHttp);
    }
    let version = self::version(version, HeadError::RequestLine)?;
    let target = self::target(section, target, &method)?;
    let headers = section.fields(1)?;
    // Without either field a request has no body (RFC 9112 section 6.3).
    let body = declared(&headers, version)?.unwrap_or(BodyLength::None);
    let persistence = persistence(&headers, version);
    Ok(RequestHead {
        method,
        target,
        version,
        headers,
        body,
        persistence,
    })
}

/// HTTP/1.0 or HTTP/1.1; `malformed` when it is no version at all (RFC 9112 section 2.3).
pub(crate) fn version(text: &[u8], malformed: HeadError) -> Result<Version, HeadError> {
    match text {
        b"HTTP/1.1" => Ok(Version::HTTP_11),
        b"HTTP/1.0" => Ok(Version::HTTP_10),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(HeadError::Version)
        }
        _ => Err(malformed),
    }
}

/// The target in a form that fits the method (RFC 9112 section 3.2).
fn target(section: &Section, target: &[u8], method: &Method) -> Result<Uri, HeadError> {
    // A fragment is never sent (RFC 9112 section 3.2.1), and readers differ in what they make of one.
    let valid = target.iter().all(|byte| is_visible(*byte) && *byte != b'#');
    if target.is_empty() || !valid {
        return Err(HeadError::Target);
    }
    let origin_form = target.first() == Some(&b'/');
    let asterisk_form = target == b"*";
    let uri = Uri::from_maybe_shared(section.slice(target)).map_err(|_| HeadError::Target)?;
    let fits = match (uri.scheme_str(), uri.authority().is_some()) {
        _ if *method == Method::CONNECT => authority_form(&uri),
        (None, false) if asterisk_form => *method == Method::OPTIONS,
        (None, false) => origin_form,
        // An authority without a host would name nobody (RFC 9110 section 4.2.1).
        (Some("http" | "https"), true) => !uri.host().unwrap_or_default().is_empty(),
        _ => false,
    };
    if fits {
        Ok(uri)
    } else {
        Err(HeadError::Target)
    }
}

/// A host and a port, and nothing else (RFC 9110 section 9.3.6).
fn authority_form(uri: &Uri) -> bool {
    uri.scheme().is_none()
        && uri.path_and_query().is_none()
        && uri.authority().is_some_and(|authority| {
            authority.port_u16().is_some()
                && !authority.host().is_empty()
                && !authority.as_str().contains('@')
        })
}

impl RequestHead {
    /// Whether the client waits for `100 Continue` before it sends the body (RFC 9110 section 10.1.1).
    #[must_use]
    pub fn expects_continue(&self) -> bool {
        self.version == Version::HTTP_11
            && self.body != BodyLength::None
            && self
                .headers
                .get(header::EXPECT)
                .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
    }
}
