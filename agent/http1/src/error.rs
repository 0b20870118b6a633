//! Why a message is refused.

use http::StatusCode;

/// Why a head is refused. The connection that it came on cannot be used further: nobody knows where
/// the next message would begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// A line ends with LF alone, or a CR stands alone (RFC 9112 section 2.2).
    #[error("a line does not end with CR LF")]
    LineEnd,
    /// The request line is not `method SP target SP version` (RFC 9112 section 3).
    #[error("the request line is malformed")]
    RequestLine,
    /// The request line ends with nothing like a version of HTTP: its client speaks something else, such as HTTP/2 with a
    /// bad preface (RFC 9113 section 3.4), and would not understand an answer.
    #[error("this is not HTTP/1")]
    NotHttp,
    /// The method is no token (RFC 9110 section 9.1).
    #[error("the method is not valid")]
    Method,
    /// The target is of no form that fits its method (RFC 9112 section 3.2).
    #[error("the request target is not valid")]
    Target,
    /// The request line is longer than a head may be.
    #[error("the request target is too long")]
    TargetTooLong,
    /// The version is neither HTTP/1.0 nor HTTP/1.1.
    #[error("the version of HTTP is not supported")]
    Version,
    /// The status line is not `version SP status SP reason` (RFC 9112 section 4).
    #[error("the status line is malformed")]
    StatusLine,
    /// A field line without a colon, or with a name that is no token (RFC 9112 section 5.1: no
    /// whitespace before the colon).
    #[error("the name of a field is not valid")]
    FieldName,
    /// A field value with control bytes (RFC 9110 section 5.5).
    #[error("the value of a field is not valid")]
    FieldValue,
    /// A line that begins with whitespace (RFC 9112 section 5.2, `obs-fold`).
    #[error("a field is folded over several lines")]
    Folding,
    /// The head has too many bytes.
    #[error("the head is too large")]
    TooLarge,
    /// The head has too many fields.
    #[error("the head has too many fields")]
    TooManyFields,
    /// `Content-Length` is no number, too large, or there is more than one (RFC 9112 section 6.3).
    #[error("the content length is not valid")]
    ContentLength,
    /// `Content-Length` and `Transfer-Encoding` in one head (RFC 9112 section 6.1).
    #[error("the head has both a content length and a transfer coding")]
    TwoLengths,
    /// `Transfer-Encoding` in HTTP/1.0 (RFC 9112 section 6.1).
    #[error("HTTP/1.0 has no transfer codings")]
    CodingVersion,
    /// The last transfer coding is not `chunked`, or `chunked` stands there twice (RFC 9112 section 6.3).
    #[error("the transfer coding does not end with one chunked")]
    CodingOrder,
    /// A transfer coding before `chunked`: a valid message that this codec does not understand (RFC 9112
    /// section 6.1).
    #[error("no transfer coding but chunked is supported")]
    Coding,
}

/// Why a body is refused. What came before may have been passed on already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The connection ended before the body did.
    #[error("the body ended early")]
    Incomplete,
    /// A chunk's size is no hexadecimal number, or too large (RFC 9112 section 7.1).
    #[error("the size of a chunk is not valid")]
    ChunkSize,
    /// A line of the chunked coding does not end with CR LF.
    #[error("a line of the chunked coding does not end with CR LF")]
    ChunkEnd,
    /// A chunk extension has control bytes (RFC 9112 section 7.1.1).
    #[error("a chunk extension is not valid")]
    Extension,
    /// A line with a chunk's size is too long, or all extensions together are.
    #[error("chunk extensions are too long")]
    ExtensionTooLong,
    /// The trailer section is refused as a head would be.
    #[error("the trailer section is refused: {0}")]
    Trailers(HeadError),
}

impl HeadError {
    /// The status that a server refuses such a request with.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::TooLarge | Self::TooManyFields => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::Coding => StatusCode::NOT_IMPLEMENTED,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl BodyError {
    /// The status that a server refuses the request with, if it has not answered yet.
    #[must_use]
    pub fn status(self) -> StatusCode {
        StatusCode::BAD_REQUEST
    }
}
