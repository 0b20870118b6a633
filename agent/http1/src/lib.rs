//! HTTP/1.x as a proxy needs it: heads and bodies from bytes and into bytes, without IO.
//!
//! The codec is strict by construction (RFC 9112, RFC 9110): what two readers could take for two
//! different messages is refused, with a typed error that says status and reason. Nothing is repaired
//! silently, because the next hop might repair it in another way.
//!
//! Values are slices of the received bytes; nothing but names that `http` does not know is copied.
//! The caller reads bytes into a [`bytes::BytesMut`] and asks again; what was looked at is not looked at
//! again, so a head that comes byte by byte costs no more than one that comes at once.
//!
//! Modules, in reading order: [`limits`], [`error`] (refusals), `grammar` (bytes and numbers), `section`
//! (where a head ends, and its fields), `framing` (how long a body is), [`request`] and [`response`]
//! (heads), [`body`] (the decoder, with `chunked`), [`encode`] (into bytes), [`date`].
//!
//! What is stricter than the specification asks, and why, stands where it is checked.

pub mod body;
mod chunked;
pub mod date;
pub mod encode;
pub mod error;
mod framing;
mod grammar;
pub mod limits;
pub mod request;
pub mod response;
mod section;

pub use self::{
    body::{BodyDecoder, Piece},
    error::{BodyError, HeadError},
    framing::{BodyLength, Persistence},
    grammar::decimal,
    limits::{BodyLimits, HeadLimits},
    request::{RequestHead, RequestReader},
    response::{Asked, ResponseHead, ResponseReader},
};
