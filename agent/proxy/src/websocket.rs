//! Opening handshakes of WebSockets where only one side speaks HTTP/1.1: HTTP/2 asks with an extended CONNECT, which has
//! neither key nor proof (RFC 8441 section 5), HTTP/1.1 with an upgrade, which has both (RFC 6455 section 4).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{self, HeaderMap, HeaderValue};
use sha1::{Digest as _, Sha1};

use crate::random::Random;

/// What a proof is made of besides the key (RFC 6455 section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The protocol, as both ways name it.
pub(crate) const NAME: &str = "websocket";

/// The same as the value of the field `Upgrade`.
pub(crate) const WEBSOCKET: HeaderValue = HeaderValue::from_static(NAME);

/// Whether this is the protocol that a request asks for.
pub(crate) fn is_asked(protocol: &HeaderValue) -> bool {
    protocol
        .as_bytes()
        .eq_ignore_ascii_case(WEBSOCKET.as_bytes())
}

/// Gives a request that came without a key one of its own. Returns the proof that its answer must have then.
pub(crate) fn complete(headers: &mut HeaderMap, random: &Random) -> Option<HeaderValue> {
    if headers.contains_key(header::SEC_WEBSOCKET_KEY) {
        return None;
    }
    // It tells old caches and lost servers from WebSocket servers, and is no secret.
    let nonce = [random.next().to_be_bytes(), random.next().to_be_bytes()];
    let key = value(STANDARD.encode(nonce.as_flattened()))?;
    let proof = proof(&key);
    headers.insert(header::SEC_WEBSOCKET_KEY, key);
    proof
}

/// The value of `Sec-WebSocket-Accept` for this key.
pub(crate) fn proof(key: &HeaderValue) -> Option<HeaderValue> {
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    value(STANDARD.encode(digest))
}

fn value(text: String) -> Option<HeaderValue> {
    HeaderValue::try_from(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proof_is_that_of_the_standard() {
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(proof(&key).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_key_is_made_only_where_there_is_none() {
        let (mut headers, random) = (HeaderMap::new(), Random::new(1));
        let expected = complete(&mut headers, &random).unwrap();
        let key = headers[header::SEC_WEBSOCKET_KEY].clone();
        assert_eq!(STANDARD.decode(&key).unwrap().len(), 16);
        assert_eq!(proof(&key).unwrap(), expected);
        assert_eq!(complete(&mut headers, &random), None);
        assert_eq!(headers[header::SEC_WEBSOCKET_KEY], key);
    }
}
