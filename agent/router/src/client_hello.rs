//! The ClientHello of a TLS connection, read without taking part in the handshake.
//!
//! A listener that several hostnames share chooses by SNI before it knows whether TLS ends here
//! (HTTPS, TLS Terminate) or the bytes go on untouched (TLS Passthrough). So the bytes are only
//! looked at; the caller keeps them and hands them on.
//!
//! The message may be spread over several TLS records (RFC 8446 section 5.1) and over any number of
//! TCP segments; large key shares make both common. [`ClientHelloReader`] looks at each byte a
//! bounded number of times however the bytes come in, and holds at most [`MAX_CLIENT_HELLO`].

use std::net::IpAddr;

/// The most bytes a client may send, record headers included, before its ClientHello must be
/// complete.
pub const MAX_CLIENT_HELLO: usize = 64 * 1024;

const RECORD_HEADER: usize = 5;
const HANDSHAKE_HEADER: usize = 4;
const MAX_RECORD: usize = 1 << 14;
const CONTENT_HANDSHAKE: u8 = 22;
const MESSAGE_CLIENT_HELLO: u8 = 1;
const EXTENSION_SERVER_NAME: u16 = 0;
const EXTENSION_ALPN: u16 = 16;
const NAME_TYPE_HOST: u8 = 0;

/// What the choice of a listener needs from a ClientHello.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientHello {
    /// The host name of the server_name extension (RFC 6066 section 3), in lower case and without
    /// a trailing dot. `None`: the client named no host, or an IP address, which is no host name.
    pub sni: Option<String>,
    /// The protocols offered (RFC 7301), in the client's order; may hold GREASE values.
    pub alpn: Vec<Vec<u8>>,
}

/// How far a [`ClientHelloReader`] has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More bytes are needed.
    Incomplete,
    /// The whole message was there.
    Complete(ClientHello),
    /// No further byte can make this a ClientHello.
    Invalid(ClientHelloError),
}

/// Why bytes are no ClientHello.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientHelloError {
    /// The first bytes are no TLS handshake record: plain HTTP on a TLS port, for instance.
    #[error("not a TLS handshake record")]
    NotTls,
    /// A record is empty or longer than RFC 8446 section 5.1 allows.
    #[error("TLS record of an impossible length")]
    RecordLength,
    /// The first handshake message is another one.
    #[error("first handshake message is not a ClientHello")]
    NotClientHello,
    /// The message does not end within [`MAX_CLIENT_HELLO`] bytes.
    #[error("ClientHello exceeds {MAX_CLIENT_HELLO} bytes")]
    TooLarge,
    /// A length inside the message points outside of it, or a mandatory part is missing.
    #[error("malformed ClientHello")]
    Malformed,
    /// The server_name extension holds no host name of the DNS.
    #[error("server name is not a host name")]
    ServerName,
}

/// Finds the ClientHello at the start of a growing buffer.
#[derive(Debug, Default)]
pub struct ClientHelloReader {
    /// Start of the first record that was not yet whole.
    position: usize,
    /// The fragments of the records before, joined.
    message: Vec<u8>,
}

impl ClientHelloReader {
    /// A reader at the start of a connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks at `received`, which is everything received so far: what earlier calls saw, and more
    /// behind it. Bytes behind the ClientHello are not looked at.
    pub fn advance(&mut self, received: &[u8]) -> Progress {
        match self.step(received) {
            Ok(Some(hello)) => Progress::Complete(hello),
            Ok(None) => Progress::Incomplete,
            Err(error) => Progress::Invalid(error),
        }
    }

    fn step(&mut self, received: &[u8]) -> Result<Option<ClientHello>, ClientHelloError> {
        while let Some(fragment) = record(received, self.position)? {
            self.position += RECORD_HEADER + fragment.len();
            if self.message.is_empty()
                && let Some(body) = handshake_body(fragment)?
            {
                // Nearly every ClientHello is one record: no copy.
                return parse_body(body).map(Some);
            }
            self.message.extend_from_slice(fragment);
            if let Some(body) = handshake_body(&self.message)? {
                return parse_body(body).map(Some);
            }
            if self.position >= MAX_CLIENT_HELLO {
                return Err(ClientHelloError::TooLarge);
            }
        }
        if received.len() >= MAX_CLIENT_HELLO {
            return Err(ClientHelloError::TooLarge);
        }
        Ok(None)
    }
}

/// The fragment of the record that starts at `position`, when the record is whole.
fn record(received: &[u8], position: usize) -> Result<Option<&[u8]>, ClientHelloError> {
    let rest = received.get(position..).unwrap_or_default();
    // The first bytes are judged as soon as they are there: a client that speaks another protocol
    // may be waiting for the server's answer and never send more.
    if rest.first().is_some_and(|kind| *kind != CONTENT_HANDSHAKE)
        || rest.get(1).is_some_and(|major| *major != 3)
    {
        return Err(ClientHelloError::NotTls);
    }
    let Some((header, body)) = rest.split_first_chunk::<RECORD_HEADER>() else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
    if length == 0 || length > MAX_RECORD {
        return Err(ClientHelloError::RecordLength);
    }
    Ok(body.get(..length))
}

/// The body of the ClientHello at the start of `message`, when all of it is there.
fn handshake_body(message: &[u8]) -> Result<Option<&[u8]>, ClientHelloError> {
    if message
        .first()
        .is_some_and(|kind| *kind != MESSAGE_CLIENT_HELLO)
    {
        return Err(ClientHelloError::NotClientHello);
    }
    let Some((header, body)) = message.split_first_chunk::<HANDSHAKE_HEADER>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes([0, header[1], header[2], header[3]]) as usize;
    if length > MAX_CLIENT_HELLO {
        return Err(ClientHelloError::TooLarge);
    }
    Ok(body.get(..length))
}

/// RFC 8446 section 4.1.2; the older versions of TLS have the same shape.
fn parse_body(body: &[u8]) -> Result<ClientHello, ClientHelloError> {
    let mut hello = ClientHello {
        sni: None,
        alpn: Vec::new(),
    };
    let mut body = Cursor(body);
    let (_version, _random) = (body.take(2)?, body.take(32)?);
    let (_session, _suites, _compression) = (body.vector8()?, body.vector16()?, body.vector8()?);
    if body.is_empty() {
        return Ok(hello);
    }
    let mut extensions = Cursor(body.vector16()?);
    if !body.is_empty() {
        return Err(ClientHelloError::Malformed);
    }
    let (mut names_seen, mut protocols_seen) = (false, false);
    while !extensions.is_empty() {
        let kind = extensions.number16()?;
        let value = extensions.vector16()?;
        let seen = match kind {
            EXTENSION_SERVER_NAME => &mut names_seen,
            EXTENSION_ALPN => &mut protocols_seen,
            _ => continue,
        };
        // Two server names could send the connection to one place here and to another at the
        // backend, so a repeated extension is refused as RFC 8446 section 4.2 demands.
        if std::mem::replace(seen, true) {
            return Err(ClientHelloError::Malformed);
        }
        if kind == EXTENSION_SERVER_NAME {
            hello.sni = parse_server_name(value)?;
        } else {
            hello.alpn = parse_alpn(value)?;
        }
    }
    Ok(hello)
}

fn parse_server_name(value: &[u8]) -> Result<Option<String>, ClientHelloError> {
    let mut value = Cursor(value);
    let mut names = Cursor(value.vector16()?);
    if names.is_empty() || !value.is_empty() {
        return Err(ClientHelloError::Malformed);
    }
    let mut host = None;
    while !names.is_empty() {
        let kind = names.number8()?;
        let name = names.vector16()?;
        if kind == NAME_TYPE_HOST && host.replace(name).is_some() {
            return Err(ClientHelloError::Malformed);
        }
    }
    host.map_or(Ok(None), host_name)
}

/// Lower case, without the trailing dot; `None` for an IP address.
fn host_name(name: &[u8]) -> Result<Option<String>, ClientHelloError> {
    let name = std::str::from_utf8(name).map_err(|_| ClientHelloError::ServerName)?;
    if name.parse::<IpAddr>().is_ok() {
        return Ok(None);
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let label = |label: &str| {
        matches!(label.len(), 1..=63)
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if name.len() > 253 || !name.split('.').all(label) {
        return Err(ClientHelloError::ServerName);
    }
    Ok(Some(name.to_ascii_lowercase()))
}

fn parse_alpn(value: &[u8]) -> Result<Vec<Vec<u8>>, ClientHelloError> {
    let mut value = Cursor(value);
    let mut names = Cursor(value.vector16()?);
    if !value.is_empty() {
        return Err(ClientHelloError::Malformed);
    }
    let mut protocols = Vec::new();
    while !names.is_empty() {
        protocols.push(names.vector8()?.to_vec());
    }
    Ok(protocols)
}

/// The rest of a slice; taking more than there is makes the message malformed.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ClientHelloError> {
        let (head, tail) = self
            .0
            .split_at_checked(length)
            .ok_or(ClientHelloError::Malformed)?;
        self.0 = tail;
        Ok(head)
    }

    fn number8(&mut self) -> Result<u8, ClientHelloError> {
        let (head, tail) = self.0.split_first().ok_or(ClientHelloError::Malformed)?;
        self.0 = tail;
        Ok(*head)
    }

    fn number16(&mut self) -> Result<u16, ClientHelloError> {
        let (head, tail) = self
            .0
            .split_first_chunk()
            .ok_or(ClientHelloError::Malformed)?;
        self.0 = tail;
        Ok(u16::from_be_bytes(*head))
    }

    /// Bytes behind their length in one byte.
    fn vector8(&mut self) -> Result<&'a [u8], ClientHelloError> {
        let length = self.number8()?;
        self.take(usize::from(length))
    }

    /// Bytes behind their length in two bytes.
    fn vector16(&mut self) -> Result<&'a [u8], ClientHelloError> {
        let length = self.number16()?;
        self.take(usize::from(length))
    }
}

#[cfg(test)]
mod tests;
