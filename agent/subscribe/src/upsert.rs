//! Resources as they came, to be decoded one at a time.

use std::fmt;

use bytes::Bytes;
use novaedge_proto::v1;
use prost::Message as _;

/// A resource of a step, encoded.
///
/// A decoded one takes several times the memory, in many small pieces between which others come to lie that last. So each
/// is decoded when its turn comes, and dropped before the next.
#[derive(Clone, PartialEq, Eq)]
pub struct Upsert {
    head: Head,
    encoded: Bytes,
}

/// The fields of a `v1::Resource` that are looked at without its body.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct Head {
    #[prost(bytes = "bytes", tag = "1")]
    name: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    version: Bytes,
}

impl Upsert {
    /// Reads name and version of an encoded `v1::Resource`, and keeps its bytes without a copy.
    pub fn decode(encoded: Bytes) -> Result<Self, prost::DecodeError> {
        let head = Head::decode(encoded.clone())?;
        Ok(Self { head, encoded })
    }

    /// The name of the resource. Text that is not UTF-8 is as good as none.
    pub fn name(&self) -> &str {
        text(&self.head.name)
    }

    /// The version of the resource.
    pub fn version(&self) -> &str {
        text(&self.head.version)
    }

    /// The resource, which holds none of the bytes that it was decoded from. One whose body is damaged has none.
    pub fn resource(&self) -> v1::Resource {
        // From a slice, because what is decoded from `Bytes` shares them, with all else that came in the same message.
        v1::Resource::decode(&*self.encoded).unwrap_or_else(|_| v1::Resource {
            name: self.name().to_owned(),
            version: self.version().to_owned(),
            body: None,
        })
    }

    /// The encoded resource alone: a copy that keeps no message in memory.
    pub fn to_bytes(&self) -> Bytes {
        Bytes::copy_from_slice(&self.encoded)
    }
}

impl From<&v1::Resource> for Upsert {
    fn from(resource: &v1::Resource) -> Self {
        Self {
            head: Head {
                name: Bytes::copy_from_slice(resource.name.as_bytes()),
                version: Bytes::copy_from_slice(resource.version.as_bytes()),
            },
            encoded: resource.encode_to_vec().into(),
        }
    }
}

/// Shows no body: it may be a private key.
impl fmt::Debug for Upsert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upsert")
            .field("name", &self.name())
            .field("version", &self.version())
            .finish_non_exhaustive()
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate() -> v1::Resource {
        v1::Resource {
            name: "certificate/a/b".into(),
            version: "1".into(),
            body: Some(v1::resource::Body::Certificate(v1::Certificate {
                chain_pem: Bytes::from_static(b"chain"),
                private_key_pem: Bytes::from_static(b"key"),
                fingerprint: String::new(),
            })),
        }
    }

    #[test]
    fn a_certificate_does_not_keep_its_message() {
        let message = Bytes::from(certificate().encode_to_vec());
        let upsert = Upsert::decode(message.clone()).unwrap();
        assert_eq!((upsert.name(), upsert.version()), ("certificate/a/b", "1"));
        let (kept, copy) = (upsert.resource(), upsert.to_bytes());
        assert_eq!((&kept, &copy), (&certificate(), &message));
        drop(upsert);
        assert!(message.is_unique());
    }

    #[test]
    fn a_resource_whose_body_is_damaged_has_none() {
        let mut bytes = certificate().encode_to_vec();
        // The length of the body is that of its first field, and more than there is.
        let at = bytes.iter().position(|byte| *byte == 15 << 3 | 2).unwrap();
        bytes[at + 2] = 0xff;
        let damaged = Upsert::decode(bytes.into()).unwrap();
        let resource = damaged.resource();
        assert_eq!(
            (resource.name.as_str(), resource.body),
            ("certificate/a/b", None)
        );
        assert!(Upsert::decode(Bytes::from_static(b"\x0a\xff")).is_err());
    }
}
