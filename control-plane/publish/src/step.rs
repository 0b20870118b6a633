//! A step as it goes over the wire: messages of bounded size that share the encoded resources.

use std::sync::Arc;

use bytes::BufMut;
use novaedge_proto::v1;
use prost::{
    Message as _,
    encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len},
};

use crate::{encoded::EncodedResource, log::Delta};

// Field numbers of `v1::SnapshotStep`.
const NONCE: u32 = 1;
const VERSION: u32 = 2;
const UPSERTS: u32 = 3;
const REMOVED: u32 = 4;
const LAST: u32 = 5;
const AGE_US: u32 = 6;

/// Bytes of the largest age.
const MAX_AGE: usize = 10;

/// One message of a step, in the same encoding as `v1::SnapshotStep`.
#[derive(Debug, Clone)]
pub struct StepMessage {
    /// The same in all messages of a step.
    pub nonce: Arc<str>,
    /// The snapshot that the step leads to.
    pub version: v1::Version,
    /// Resources that are new or have changed.
    pub upserts: Vec<Arc<EncodedResource>>,
    /// Names of resources that are gone.
    pub removed: Vec<Arc<str>>,
    /// Whether this message completes the step.
    pub last: bool,
    /// Microseconds since the version was published; 0: not said.
    pub age_us: u64,
}

impl StepMessage {
    /// The size of the encoding in bytes.
    pub fn encoded_len(&self) -> usize {
        let upserts = self.upserts.iter().map(|r| upsert_len(r)).sum::<usize>();
        let removed = self.removed.iter().map(|n| removed_len(n)).sum::<usize>();
        let last = if self.last { key_len(LAST) + 1 } else { 0 };
        let age = match self.age_us {
            0 => 0,
            age => key_len(AGE_US) + encoded_len_varint(age),
        };
        head_len(&self.nonce, &self.version) + upserts + removed + last + age
    }

    /// Writes the encoding. The resources are copied, not encoded again.
    pub fn encode(&self, buffer: &mut impl BufMut) {
        put_bytes(NONCE, self.nonce.as_bytes(), buffer);
        prost::encoding::message::encode(VERSION, &self.version, buffer);
        for resource in &self.upserts {
            put_bytes(UPSERTS, resource.bytes(), buffer);
        }
        for name in &self.removed {
            put_bytes(REMOVED, name.as_bytes(), buffer);
        }
        if self.last {
            encode_key(LAST, WireType::Varint, buffer);
            encode_varint(1, buffer);
        }
        if self.age_us > 0 {
            encode_key(AGE_US, WireType::Varint, buffer);
            encode_varint(self.age_us, buffer);
        }
    }
}

/// Cuts a delta into messages of at most `limit` bytes; a resource that is larger goes alone. There
/// is always a last message, even for an empty delta.
pub fn chunk(nonce: &Arc<str>, delta: &Delta, limit: usize) -> Vec<StepMessage> {
    let version = delta.version.to_wire();
    let empty = StepMessage {
        nonce: Arc::clone(nonce),
        version,
        upserts: Vec::new(),
        removed: Vec::new(),
        last: false,
        age_us: 0,
    };
    let tail = key_len(LAST) + 1 + key_len(AGE_US) + MAX_AGE;
    let head = head_len(nonce, &empty.version) + tail;
    let mut messages = Vec::new();
    let mut message = empty.clone();
    let mut size = head;
    let removed = delta.removed.iter().map(Item::Removed);
    let upserts = delta.upserts.iter().map(Item::Upsert);
    for item in removed.chain(upserts) {
        let len = item.len();
        if size > head && size + len > limit {
            messages.push(std::mem::replace(&mut message, empty.clone()));
            size = head;
        }
        size += len;
        match item {
            Item::Upsert(resource) => message.upserts.push(Arc::clone(resource)),
            Item::Removed(name) => message.removed.push(Arc::clone(name)),
        }
    }
    message.last = true;
    messages.push(message);
    messages
}

enum Item<'a> {
    Upsert(&'a Arc<EncodedResource>),
    Removed(&'a Arc<str>),
}

impl Item<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Upsert(resource) => upsert_len(resource),
            Self::Removed(name) => removed_len(name),
        }
    }
}

fn head_len(nonce: &str, version: &v1::Version) -> usize {
    bytes_len(NONCE, nonce.len()) + bytes_len(VERSION, version.encoded_len())
}

fn upsert_len(resource: &EncodedResource) -> usize {
    bytes_len(UPSERTS, resource.bytes().len())
}

fn removed_len(name: &str) -> usize {
    bytes_len(REMOVED, name.len())
}

fn bytes_len(field: u32, len: usize) -> usize {
    key_len(field) + encoded_len_varint(len as u64) + len
}

fn put_bytes(field: u32, bytes: &[u8], buffer: &mut impl BufMut) {
    encode_key(field, WireType::LengthDelimited, buffer);
    encode_varint(bytes.len() as u64, buffer);
    buffer.put_slice(bytes);
}

#[cfg(test)]
mod tests {
    use novaedge_proto::MAX_MESSAGE_BYTES;

    use super::*;
    use crate::{
        log::SnapshotVersion,
        testing::{resource, wire},
    };

    fn delta(upserts: usize, removed: usize) -> Delta {
        Delta {
            version: SnapshotVersion {
                sequence: 7,
                ..SnapshotVersion::default()
            },
            upserts: (0..upserts)
                .map(|n| Arc::new(resource(&format!("route/{n:05}"), n as u64)))
                .collect(),
            removed: (0..removed).map(|n| format!("gone/{n}").into()).collect(),
        }
    }

    fn decoded(message: &StepMessage) -> v1::SnapshotStep {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        assert_eq!(bytes.len(), message.encoded_len());
        let step = v1::SnapshotStep::decode(bytes.as_slice()).unwrap();
        assert_eq!(step.encode_to_vec(), bytes, "the same bytes as prost's");
        step
    }

    #[test]
    fn encodes_like_the_message_type() {
        let nonce = Arc::from("3");
        let messages = chunk(&nonce, &delta(2, 1), MAX_MESSAGE_BYTES);
        assert_eq!(messages.len(), 1);
        let step = decoded(&messages[0]);
        assert_eq!(step.nonce, "3");
        assert_eq!(step.version.unwrap().sequence, 7);
        assert_eq!(step.upserts[1].name, "route/00001");
        assert_eq!(step.upserts[1].body, wire(1).body);
        assert_eq!(step.removed, ["gone/0"]);
        assert!(step.last);
    }

    #[test]
    fn an_empty_step_is_one_message() {
        let messages = chunk(&Arc::from("1"), &delta(0, 0), MAX_MESSAGE_BYTES);
        assert_eq!(messages.len(), 1);
        assert!(decoded(&messages[0]).last);
    }

    #[test]
    fn chunks_keep_the_limit_and_everything_once() {
        for limit in [150, 200, 1_000, 4_096] {
            let whole = delta(100, 50);
            let messages = chunk(&Arc::from("12"), &whole, limit);
            assert!(messages.len() > 1);
            let mut upserts = Vec::new();
            let mut removed = Vec::new();
            for (n, message) in messages.iter().enumerate() {
                let step = decoded(message);
                let items = step.upserts.len() + step.removed.len();
                assert!(message.encoded_len() <= limit || items == 1);
                assert!(items > 0);
                assert_eq!(step.last, n + 1 == messages.len());
                upserts.extend(step.upserts.into_iter().map(|r| r.name));
                removed.extend(step.removed);
            }
            let names = whole.upserts.iter().map(|r| r.name().to_string());
            assert_eq!(upserts, names.collect::<Vec<_>>());
            assert_eq!(removed.len(), 50);
        }
    }
}
