//! Heads of responses (RFC 9112 section 4).

use bytes::BytesMut;
use http::header::HeaderMap;
use http::{Method, StatusCode, Version};

use crate::error::HeadError;
use crate::framing::{BodyLength, Persistence, declared, persistence};
use crate::grammar::is_text;
use crate::limits::HeadLimits;
use crate::request::version;
use crate::section::{Section, SectionEnd};

/// What was asked: some answers have no body because of it (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// `HEAD`.
    Head,
    /// `CONNECT`.
    Connect,
    /// Anything else.
    Other,
}

impl From<&Method> for Asked {
    fn from(method: &Method) -> Self {
        match *method {
            Method::HEAD => Self::Head,
            Method::CONNECT => Self::Connect,
            _ => Self::Other,
        }
    }
}

/// A response head that has been checked.
#[derive(Debug)]
pub struct ResponseHead {
    /// The status; the reason phrase is checked and dropped.
    pub status: StatusCode,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// The fields as they came.
    pub headers: HeaderMap,
    /// How long the body is. After a switch of protocols, and after `CONNECT`, what follows is no body.
    pub body: BodyLength,
    /// Whether the server goes on after this response.
    pub persistence: Persistence,
}

/// Reads response heads from bytes that come in pieces.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResponseReader {
    end: SectionEnd,
}

impl ResponseReader {
    /// Takes the next head from `buffer`, or nothing when it is not complete yet. Interim responses
    /// (1xx) are heads like others, and another one follows them.
    pub fn read(
        &mut self,
        buffer: &mut BytesMut,
        asked: Asked,
        limits: HeadLimits,
    ) -> Result<Option<ResponseHead>, HeadError> {
        let section = self.end.take(buffer, limits, 1)?;
        section.map(|section| parse(&section, asked)).transpose()
    }
}

impl ResponseHead {
    /// Whether another response follows to the same request. `101` is the last one.
    #[must_use]
    pub fn is_interim(&self) -> bool {
        self.status.is_informational() && self.status != StatusCode::SWITCHING_PROTOCOLS
    }
}

fn parse(section: &Section, asked: Asked) -> Result<ResponseHead, HeadError> {
    let (version, status) = status_line(section.first_line())?;
    let headers = section.fields(1)?;
    let declared = declared(&headers, version)?;
    let body = body_length(status, asked, declared);
    let persistence = match body {
        BodyLength::UntilClose => Persistence::Close,
        _ => persistence(&headers, version),
    };
    Ok(ResponseHead {
        status,
        version,
        headers,
        body,
        persistence,
    })
}

/// `HTTP/1.1 200 OK`. The space before an empty phrase may be missing: many servers leave it out, and
/// nothing else could be meant.
fn status_line(line: &[u8]) -> Result<(Version, StatusCode), HeadError> {
    let (version_text, rest) = line.split_at_checked(8).ok_or(HeadError::StatusLine)?;
    let version = version(version_text, HeadError::StatusLine)?;
    let [b' ', hundreds, tens, ones, phrase @ ..] = rest else {
        return Err(HeadError::StatusLine);
    };
    let valid_phrase = match phrase {
        [] => true,
        [b' ', phrase @ ..] => phrase.iter().all(|byte| is_text(*byte)),
        _ => false,
    };
    let status = StatusCode::from_bytes(&[*hundreds, *tens, *ones]);
    match status {
        Ok(status) if valid_phrase => Ok((version, status)),
        _ => Err(HeadError::StatusLine),
    }
}

/// RFC 9112 section 6.3, rules 1, 2 and 8.
fn body_length(status: StatusCode, asked: Asked, declared: Option<BodyLength>) -> BodyLength {
    let bodiless = status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || asked == Asked::Head
        || (asked == Asked::Connect && status.is_success());
    if bodiless {
        BodyLength::None
    } else {
        declared.unwrap_or(BodyLength::UntilClose)
    }
}
