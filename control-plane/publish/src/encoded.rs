//! A resource, encoded once and shared by all sessions.

use std::{fmt, sync::Arc};

use bytes::{Bytes, BytesMut};
use novaedge_proto::{digest::ContentVersion, v1};
use prost::Message as _;

/// The largest resource in its encoding: what fits a message of gRPC's default limit of 4 MiB with
/// room to spare.
pub const MAX_RESOURCE_BYTES: usize = 3 << 20;

/// The longest resource name. Three Kubernetes names and a prefix fit.
pub const MAX_NAME_BYTES: usize = 1024;

/// Why a resource is not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefusedError {
    /// The name is empty.
    #[error("the resource has no name")]
    NoName,
    /// The name is longer than [`MAX_NAME_BYTES`].
    #[error("the name has {0} bytes, more than the limit of {MAX_NAME_BYTES}")]
    NameTooLong(usize),
    /// The body is not set.
    #[error("the resource has no body")]
    NoBody,
    /// The encoding is larger than [`MAX_RESOURCE_BYTES`].
    #[error("the resource has {0} bytes, more than the limit of {MAX_RESOURCE_BYTES}")]
    TooLarge(usize),
    /// The snapshot is full.
    #[error("the snapshot holds {0} resources already, which is the limit (max_resources)")]
    TooMany(usize),
}

/// A resource that is not published, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("resource {name}: {error}")]
pub struct Refused {
    /// The resource's name.
    pub name: String,
    /// What is wrong with it.
    pub error: RefusedError,
}

/// A resource in its encoding as a `v1::Resource`, with its name and version in it.
#[derive(Clone, PartialEq, Eq)]
pub struct EncodedResource {
    name: Arc<str>,
    version: ContentVersion,
    bytes: Bytes,
}

impl EncodedResource {
    /// Encodes a resource under `name`. Its own `name` and `version` do not count.
    pub fn encode(name: &str, mut resource: v1::Resource) -> Result<Self, RefusedError> {
        if name.is_empty() {
            return Err(RefusedError::NoName);
        }
        if name.len() > MAX_NAME_BYTES {
            return Err(RefusedError::NameTooLong(name.len()));
        }
        if resource.body.is_none() {
            return Err(RefusedError::NoBody);
        }
        resource.name.clear();
        resource.version.clear();
        let body = resource.encode_to_vec();
        let version = ContentVersion::of_encoded_body(&body);
        let head = v1::Resource {
            name: name.to_owned(),
            version: version.to_string(),
            body: None,
        };
        // Name and version are fields 1 and 2, the body's fields come after them: the two encodings
        // one after the other are the encoding of the whole.
        let size = head.encoded_len() + body.len();
        if size > MAX_RESOURCE_BYTES {
            return Err(RefusedError::TooLarge(size));
        }
        let mut bytes = BytesMut::with_capacity(size);
        bytes.extend_from_slice(&head.encode_to_vec());
        bytes.extend_from_slice(&body);
        Ok(Self {
            name: name.into(),
            version,
            bytes: bytes.freeze(),
        })
    }

    /// The name, unique in a snapshot.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The version of the content.
    pub fn version(&self) -> ContentVersion {
        self.version
    }

    /// The encoded `v1::Resource`.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The resource with private keys blanked, for inspection.
    pub fn decode_for_inspection(&self) -> Result<v1::Resource, prost::DecodeError> {
        let mut resource = v1::Resource::decode(self.bytes.clone())?;
        if let Some(v1::resource::Body::Certificate(certificate)) = &mut resource.body {
            certificate.private_key_pem.clear();
        }
        Ok(resource)
    }
}

/// Shows no content: it may be a private key.
impl fmt::Debug for EncodedResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncodedResource")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("size", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(key: &'static [u8]) -> v1::Resource {
        v1::Resource {
            name: "ignored".into(),
            version: "ignored".into(),
            body: Some(v1::resource::Body::Certificate(v1::Certificate {
                chain_pem: Bytes::from_static(b"chain"),
                private_key_pem: Bytes::from_static(key),
                fingerprint: "ab".into(),
            })),
        }
    }

    #[test]
    fn decodes_to_the_resource_with_its_name_and_version() {
        let encoded = EncodedResource::encode("certificate/a/b", certificate(b"k")).unwrap();
        let decoded = v1::Resource::decode(encoded.bytes().clone()).unwrap();
        assert_eq!(decoded.name, "certificate/a/b");
        assert_eq!(decoded.version, ContentVersion::of(&decoded).to_string());
        assert_eq!(decoded.body, certificate(b"k").body);
        assert_eq!(decoded.encode_to_vec(), *encoded.bytes());
    }

    #[test]
    fn no_key_is_shown() {
        let encoded = EncodedResource::encode("certificate/a/b", certificate(b"SECRET")).unwrap();
        assert!(!format!("{encoded:?}").contains("SECRET"));
        let shown = encoded.decode_for_inspection().unwrap();
        assert!(!shown.encode_to_vec().windows(6).any(|w| w == b"SECRET"));
    }

    #[test]
    fn refuses_what_cannot_be_sent() {
        let refused = |name: &str, resource| EncodedResource::encode(name, resource).unwrap_err();
        assert_eq!(refused("", certificate(b"")), RefusedError::NoName);
        assert_eq!(
            refused(&"n".repeat(1025), certificate(b"")),
            RefusedError::NameTooLong(1025)
        );
        assert_eq!(refused("a", v1::Resource::default()), RefusedError::NoBody);
        let large = v1::Resource {
            body: Some(v1::resource::Body::TrustBundle(v1::TrustBundle {
                ca_pem: vec![0; MAX_RESOURCE_BYTES].into(),
            })),
            ..v1::Resource::default()
        };
        let error = refused("a", large);
        assert!(matches!(error, RefusedError::TooLarge(_)));
        assert!(error.to_string().contains("limit of 3145728"), "{error}");
    }
}
