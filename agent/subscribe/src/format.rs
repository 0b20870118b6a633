//! The file of the last good snapshot.
//!
//! | bytes | content |
//! |---|---|
//! | 8 | `NOVASNAP` |
//! | 4 | format version, little-endian |
//! | 8 | length of the payload, little-endian |
//! | 32 | SHA-256 of the payload |
//! | … | payload: a `v1::Version`, then `v1::Resource`s by name, each after its length as a varint |

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use bytes::Bytes;
use novaedge_proto::v1;
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::upsert::Upsert;

const MAGIC: &[u8; 8] = b"NOVASNAP";
const FORMAT: u32 = 1;

/// Bytes before the payload.
pub const HEADER_BYTES: usize = 52;

/// Why a file is no snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The file is shorter than its header, or than the header says.
    #[error("the file is cut short")]
    Truncated,
    /// There is more in the file than the header says.
    #[error("the file is longer than its header says")]
    TooLong,
    /// It is another file.
    #[error("the file is no snapshot")]
    Magic,
    /// It is from another version of the agent.
    #[error("the file has format {0}, this agent reads format {FORMAT}")]
    Format(u32),
    /// The content is damaged.
    #[error("the checksum does not match")]
    Checksum,
    /// The content matches the checksum but cannot be read.
    #[error("the content cannot be decoded")]
    Payload(#[from] prost::DecodeError),
}

/// A snapshot with encoded resources.
#[derive(Clone, Default)]
pub struct Snapshot {
    /// The version as the control plane named it.
    pub version: v1::Version,
    /// Encoded `v1::Resource`s by name.
    pub resources: BTreeMap<String, Bytes>,
}

/// Shows no content: it may be a private key.
impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot")
            .field("version", &self.version)
            .field("resources", &self.resources.len())
            .finish_non_exhaustive()
    }
}

impl Snapshot {
    /// The size of the file in bytes.
    pub fn file_bytes(&self) -> u64 {
        let mut size = HEADER_BYTES as u64;
        self.pieces(|piece| {
            size += piece.len() as u64;
            Ok(())
        })
        .map_or(u64::MAX, |()| size)
    }

    /// Writes the file.
    pub fn write(&self, file: &mut impl Write) -> io::Result<()> {
        let mut length = 0_u64;
        let mut checksum = Sha256::new();
        self.pieces(|piece| {
            length += piece.len() as u64;
            checksum.update(piece);
            Ok(())
        })?;
        file.write_all(MAGIC)?;
        file.write_all(&FORMAT.to_le_bytes())?;
        file.write_all(&length.to_le_bytes())?;
        file.write_all(&checksum.finalize())?;
        self.pieces(|piece| file.write_all(piece))
    }

    fn pieces(&self, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        each(&self.version.encode_length_delimited_to_vec())?;
        let mut prefix = Vec::with_capacity(10);
        for resource in self.resources.values() {
            prefix.clear();
            prost::encoding::encode_varint(resource.len() as u64, &mut prefix);
            each(&prefix)?;
            each(resource)?;
        }
        Ok(())
    }
}

/// Reads a file, of which the resources share the bytes. Whatever stands in it, this returns.
pub fn read(file: &Bytes) -> Result<(v1::Version, Vec<Upsert>), FormatError> {
    let (magic, rest) = file
        .split_first_chunk::<8>()
        .ok_or(FormatError::Truncated)?;
    if magic != MAGIC {
        return Err(FormatError::Magic);
    }
    let (format, rest) = rest.split_first_chunk().ok_or(FormatError::Truncated)?;
    let format = u32::from_le_bytes(*format);
    if format != FORMAT {
        return Err(FormatError::Format(format));
    }
    let (length, rest) = rest.split_first_chunk().ok_or(FormatError::Truncated)?;
    let (checksum, payload) = rest
        .split_first_chunk::<32>()
        .ok_or(FormatError::Truncated)?;
    match u64::from_le_bytes(*length).cmp(&(payload.len() as u64)) {
        std::cmp::Ordering::Less => return Err(FormatError::TooLong),
        std::cmp::Ordering::Greater => return Err(FormatError::Truncated),
        std::cmp::Ordering::Equal => {}
    }
    if Sha256::digest(payload).as_slice() != checksum {
        return Err(FormatError::Checksum);
    }
    let mut payload = file.slice_ref(payload);
    let version = v1::Version::decode_length_delimited(&mut payload)?;
    let mut resources = Vec::new();
    while !payload.is_empty() {
        let length = prost::decode_length_delimiter(&mut payload)?;
        if length > payload.len() {
            return Err(FormatError::Truncated);
        }
        resources.push(Upsert::decode(payload.split_to(length))?);
    }
    Ok((version, resources))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(file: &[u8]) -> Result<(v1::Version, Vec<Upsert>), FormatError> {
        super::read(&Bytes::copy_from_slice(file))
    }

    fn file() -> Vec<u8> {
        let mut snapshot = Snapshot {
            version: v1::Version {
                sequence: 7,
                digest: "ab".into(),
            },
            ..Snapshot::default()
        };
        for n in 0..20 {
            let resource = v1::Resource {
                name: format!("route/{n:02}"),
                version: "v".repeat(n * 20),
                body: Some(v1::resource::Body::Route(v1::Route::default())),
            };
            let bytes = resource.encode_to_vec().into();
            snapshot.resources.insert(resource.name, bytes);
        }
        let mut file = Vec::new();
        snapshot.write(&mut file).unwrap();
        assert_eq!(file.len() as u64, snapshot.file_bytes());
        file
    }

    #[test]
    fn what_was_written_reads_back() {
        let (version, resources) = read(&file()).unwrap();
        assert_eq!(version.sequence, 7);
        assert_eq!(resources.len(), 20);
        assert_eq!(resources[19].name(), "route/19");
    }

    #[test]
    fn every_truncation_is_an_error() {
        let file = file();
        for length in 0..file.len() {
            assert_eq!(
                read(&file[..length]),
                Err(FormatError::Truncated),
                "{length}"
            );
        }
        let longer = [file.as_slice(), b"x"].concat();
        assert_eq!(read(&longer), Err(FormatError::TooLong));
    }

    #[test]
    fn a_file_of_a_later_agent_is_told_apart() {
        let mut file = file();
        file[8] = 2;
        let error = read(&file).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the file has format 2, this agent reads format 1"
        );
    }

    #[test]
    fn content_that_only_matches_its_checksum_is_an_error() {
        for payload in [
            &b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"[..],
            b"\x05",
            b"",
        ] {
            let mut file = Vec::from(*MAGIC);
            file.extend(FORMAT.to_le_bytes());
            file.extend((payload.len() as u64).to_le_bytes());
            file.extend(Sha256::digest(payload));
            file.extend(payload);
            assert!(matches!(read(&file), Err(FormatError::Payload(_))));
        }
    }

    proptest! {
        #[test]
        fn damage_is_found(at in 0..5_000_usize, bit in 0..8) {
            let mut file = file();
            let at = at % file.len();
            file[at] ^= 1_u8 << bit;
            prop_assert!(read(&file).is_err());
        }

        #[test]
        fn junk_never_panics(junk in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            prop_assert!(read(&junk).is_err());
            let file = [MAGIC.as_slice(), &FORMAT.to_le_bytes(), &junk].concat();
            prop_assert!(read(&file).is_err());
            let mut honest = Vec::from(*MAGIC);
            honest.extend(FORMAT.to_le_bytes());
            honest.extend((junk.len() as u64).to_le_bytes());
            honest.extend(Sha256::digest(&junk));
            honest.extend(&junk);
            let _ = read(&honest);
        }
    }
}
