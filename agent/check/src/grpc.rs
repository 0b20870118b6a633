//! The messages of `grpc.health.v1.Health/Check`, and how gRPC frames them.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use prost::Message;

/// The path of the method.
pub(crate) const PATH: &str = "/grpc.health.v1.Health/Check";

/// Bytes before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

#[derive(Clone, PartialEq, Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, Message)]
struct HealthCheckResponse {
    #[prost(enumeration = "ServingStatus", tag = "1")]
    status: i32,
}

/// What a server says of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
pub(crate) enum ServingStatus {
    Unknown = 0,
    Serving = 1,
    NotServing = 2,
    ServiceUnknown = 3,
}

/// The body of a request.
pub(crate) fn request(service: &str) -> Bytes {
    let message = HealthCheckRequest {
        service: service.to_owned(),
    };
    let message = message.encode_to_vec();
    let mut body = BytesMut::with_capacity(PREFIX + message.len());
    body.put_u8(0);
    body.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    body.put_slice(&message);
    body.freeze()
}

/// What the body of an answer says; `None` if it is no such message.
pub(crate) fn response(body: &[u8]) -> Option<ServingStatus> {
    let mut prefix = body.get(..PREFIX)?;
    let message = body.get(PREFIX..)?;
    let (compressed, length) = (prefix.get_u8(), prefix.get_u32());
    if compressed != 0 || usize::try_from(length).ok()? != message.len() {
        return None;
    }
    Some(HealthCheckResponse::decode(message).ok()?.status())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_framed() {
        assert_eq!(request("")[..], [0; 5]);
        assert_eq!(request("a")[..], [0, 0, 0, 0, 3, 0x0a, 1, b'a']);
        let serving = [0, 0, 0, 0, 2, 8, 1];
        assert_eq!(response(&serving), Some(ServingStatus::Serving));
        assert_eq!(response(&[0; 5]), Some(ServingStatus::Unknown));
        for bad in [
            &serving[..6],
            &[0; 4],
            &[1, 0, 0, 0, 0],
            &[0, 0, 0, 0, 1, 8],
        ] {
            assert_eq!(response(bad), None, "{bad:?}");
        }
    }
}
