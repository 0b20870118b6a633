//! Content versions of resources and digests of snapshots.
//!
//! Both ends compute them alike: the control plane to publish, the agent to check that what it holds
//! is what was published.

use std::fmt;

use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::v1;

/// The version of a resource: the first 16 bytes of the SHA-256 over its encoded body. The encoded
/// body is the encoding of the `Resource` with `name` and `version` left empty.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentVersion([u8; 16]);

impl ContentVersion {
    /// The version of an encoded body.
    pub fn of_encoded_body(body: &[u8]) -> Self {
        let hash: [u8; 32] = Sha256::digest(body).into();
        let mut version = [0; 16];
        version.copy_from_slice(&hash[..16]);
        Self(version)
    }

    /// The version of a resource's body, whatever its `name` and `version` fields hold.
    pub fn of(resource: &v1::Resource) -> Self {
        let body = v1::Resource {
            body: resource.body.clone(),
            ..v1::Resource::default()
        };
        Self::of_encoded_body(&body.encode_to_vec())
    }

    /// Reads the 32 hexadecimal digits of a version as it stands on the wire.
    pub fn parse(text: &str) -> Option<Self> {
        parse_hex(text).map(Self)
    }
}

impl fmt::Display for ContentVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The digest of a set of (name, version) pairs: the sum modulo 2^256 of one SHA-256 per pair, over
/// the length of the name as 8 bytes little-endian, the name, and the version as it stands on the
/// wire.
///
/// A sum does not depend on order and is kept up to date pair by pair, so equal content has an
/// equal digest on every replica, and a change costs no more than itself. It tells snapshots apart;
/// it is no protection against someone who chooses resources to make two sums collide.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SnapshotDigest {
    /// Little-endian words.
    words: [u64; 4],
}

impl SnapshotDigest {
    /// The digest of the empty set. On the wire it is 64 zeros, not the empty string, which means
    /// that nothing was ever held.
    pub const EMPTY: Self = Self { words: [0; 4] };

    /// Puts a pair in.
    pub fn add(&mut self, name: &str, version: &str) {
        let mut carry = false;
        for (word, term) in self.words.iter_mut().zip(term(name, version)) {
            let (sum, first) = word.overflowing_add(term);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            *word = sum;
            carry = first || second;
        }
    }

    /// Takes a pair out that was put in before.
    pub fn remove(&mut self, name: &str, version: &str) {
        let mut borrow = false;
        for (word, term) in self.words.iter_mut().zip(term(name, version)) {
            let (difference, first) = word.overflowing_sub(term);
            let (difference, second) = difference.overflowing_sub(u64::from(borrow));
            *word = difference;
            borrow = first || second;
        }
    }

    /// Reads the 64 hexadecimal digits of a digest as it stands on the wire.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 32] = parse_hex(text)?;
        let mut words = [0; 4];
        for (word, chunk) in words.iter_mut().rev().zip(bytes.chunks_exact(8)) {
            *word = chunk
                .iter()
                .fold(0, |word, byte| (word << 8) | u64::from(*byte));
        }
        Some(Self { words })
    }
}

impl fmt::Display for SnapshotDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.words
            .iter()
            .rev()
            .try_for_each(|word| write!(f, "{word:016x}"))
    }
}

impl fmt::Debug for SnapshotDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn term(name: &str, version: &str) -> [u64; 4] {
    let mut hash = Sha256::new();
    hash.update((name.len() as u64).to_le_bytes());
    hash.update(name.as_bytes());
    hash.update(version.as_bytes());
    let hash: [u8; 32] = hash.finalize().into();
    let mut words = [0; 4];
    for (word, chunk) in words.iter_mut().zip(hash.chunks_exact(8)) {
        *word = chunk
            .iter()
            .rev()
            .fold(0, |word, byte| (word << 8) | u64::from(*byte));
    }
    words
}

fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            *byte = (*byte << 4) | value;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_changes_does_not_count() {
        let pairs: Vec<_> = (0..500)
            .map(|n| (format!("route/{n}"), format!("{n:032x}")))
            .collect();
        let mut forth = SnapshotDigest::EMPTY;
        let mut back = SnapshotDigest::EMPTY;
        for (name, version) in &pairs {
            forth.add(name, version);
            assert_ne!(forth, SnapshotDigest::EMPTY);
        }
        for (name, version) in pairs.iter().rev() {
            back.add(name, version);
        }
        assert_eq!(forth, back);
        for (name, version) in &pairs {
            forth.remove(name, version);
        }
        assert_eq!(forth, SnapshotDigest::EMPTY);
    }

    #[test]
    fn the_text_reads_back() {
        let mut digest = SnapshotDigest::EMPTY;
        digest.add("a", "1");
        assert_eq!(SnapshotDigest::parse(&digest.to_string()), Some(digest));
        assert_eq!(
            SnapshotDigest::parse(&"0".repeat(64)),
            Some(SnapshotDigest::EMPTY)
        );
        for bad in ["", "0", &"0".repeat(63), &"G".repeat(64)] {
            assert_eq!(SnapshotDigest::parse(bad), None, "{bad}");
        }
        let version = ContentVersion::of_encoded_body(b"x");
        assert_eq!(ContentVersion::parse(&version.to_string()), Some(version));
    }

    #[test]
    fn the_border_between_name_and_version_counts() {
        let mut one = SnapshotDigest::EMPTY;
        one.add("ab", "c");
        let mut other = SnapshotDigest::EMPTY;
        other.add("a", "bc");
        assert_ne!(one, other);
    }

    #[test]
    fn name_and_version_do_not_count_for_the_content() {
        let body = Some(v1::resource::Body::TrustBundle(v1::TrustBundle::default()));
        let bare = v1::Resource {
            body: body.clone(),
            ..v1::Resource::default()
        };
        let named = v1::Resource {
            name: "trust/ConfigMap/a/b".into(),
            version: "x".into(),
            body,
        };
        assert_eq!(ContentVersion::of(&bare), ContentVersion::of(&named));
        assert_eq!(
            ContentVersion::of(&bare),
            ContentVersion::of_encoded_body(&bare.encode_to_vec())
        );
    }
}
