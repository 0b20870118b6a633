//! Puts the messages of a step together.

use std::time::Duration;

use bytes::Bytes;
use novaedge_proto::v1;
use prost::Message as _;

use crate::upsert::Upsert;

/// A `v1::SnapshotStep` on the wire whose resources stay encoded.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StepMessage {
    /// The step that it is a part of.
    #[prost(string, tag = "1")]
    pub nonce: String,
    /// The snapshot that the step leads to.
    #[prost(message, optional, tag = "2")]
    pub version: Option<v1::Version>,
    /// Encoded `v1::Resource`s.
    #[prost(bytes = "bytes", repeated, tag = "3")]
    pub upserts: Vec<Bytes>,
    /// Names of resources that are gone.
    #[prost(string, repeated, tag = "4")]
    pub removed: Vec<String>,
    /// Whether it is the last one of the step.
    #[prost(bool, tag = "5")]
    pub last: bool,
    /// Microseconds since the version was published; 0: not said.
    #[prost(uint64, tag = "6")]
    pub age_us: u64,
}

/// Why the messages make no step. The stream is of no use then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StagingError {
    /// A step began before the one before was complete.
    #[error("step {found:?} began before step {expected:?} was complete")]
    Interrupted {
        /// The nonce of the incomplete step.
        expected: String,
        /// The nonce of the message.
        found: String,
    },
    /// The messages of a step lead to different snapshots.
    #[error("the messages of step {0:?} name different versions")]
    VersionChanged(String),
    /// A step leads nowhere.
    #[error("step {0:?} has no version")]
    NoVersion(String),
    /// A resource is no message of the protocol.
    #[error("a resource of step {nonce:?} can't be decoded")]
    Resource {
        /// The step.
        nonce: String,
        /// What is wrong with it.
        #[source]
        source: prost::DecodeError,
    },
    /// A step is larger than the agent has room for.
    #[error("step {nonce:?} is larger than the limit of {limit} bytes (max_staged_bytes)")]
    TooLarge {
        /// The step.
        nonce: String,
        /// The limit in bytes.
        limit: u64,
    },
}

/// A step of which all messages are here.
#[derive(Debug, Clone, PartialEq)]
pub struct Staged {
    /// To be named in the answer.
    pub nonce: String,
    /// The snapshot that the step leads to.
    pub version: v1::Version,
    /// Resources that are new or have changed.
    pub upserts: Vec<Upsert>,
    /// Names of resources that are gone.
    pub removed: Vec<String>,
    /// How long ago the version was published, when its last message was sent.
    pub age: Option<Duration>,
}

/// The messages of a step until its last one.
#[derive(Debug)]
pub struct Staging {
    limit: u64,
    size: u64,
    step: Option<Staged>,
}

impl Staging {
    /// Room for steps of at most `limit` encoded bytes.
    pub fn new(limit: u64) -> Self {
        Self {
            limit,
            size: 0,
            step: None,
        }
    }

    /// Takes a message. Returns the step when it is complete.
    pub fn accept(&mut self, message: StepMessage) -> Result<Option<Staged>, StagingError> {
        self.size += message.encoded_len() as u64;
        let nonce = message.nonce;
        if self.size > self.limit {
            let limit = self.limit;
            return Err(StagingError::TooLarge { nonce, limit });
        }
        let Some(version) = message.version else {
            return Err(StagingError::NoVersion(nonce));
        };
        let mut step = match self.step.take() {
            None => Staged {
                nonce,
                version,
                upserts: Vec::new(),
                removed: Vec::new(),
                age: None,
            },
            Some(step) if step.nonce != nonce => {
                return Err(StagingError::Interrupted {
                    expected: step.nonce,
                    found: nonce,
                });
            }
            Some(step) if step.version != version => {
                return Err(StagingError::VersionChanged(nonce));
            }
            Some(step) => step,
        };
        for encoded in message.upserts {
            match Upsert::decode(encoded) {
                Ok(upsert) => step.upserts.push(upsert),
                Err(source) => {
                    let nonce = step.nonce;
                    return Err(StagingError::Resource { nonce, source });
                }
            }
        }
        step.removed.extend(message.removed);
        if message.last {
            self.size = 0;
            let age = message.age_us;
            step.age = (age > 0).then(|| Duration::from_micros(age));
            return Ok(Some(step));
        }
        self.step = Some(step);
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(nonce: &str, sequence: u64, name: &str, last: bool) -> StepMessage {
        StepMessage {
            nonce: nonce.into(),
            version: Some(v1::Version {
                sequence,
                ..v1::Version::default()
            }),
            removed: vec![name.into()],
            last,
            age_us: 0,
            ..StepMessage::default()
        }
    }

    #[test]
    fn a_step_is_here_with_its_last_message() {
        let mut staging = Staging::new(1_000);
        for nonce in ["1", "2"] {
            assert_eq!(staging.accept(message(nonce, 1, "a", false)), Ok(None));
            let step = staging.accept(message(nonce, 1, "b", true)).unwrap();
            assert_eq!(step.unwrap().removed, ["a", "b"]);
        }
    }

    #[test]
    fn messages_that_do_not_belong_together_are_named() {
        let check = |first, second, expected: &str| {
            let mut staging = Staging::new(1_000);
            staging.accept(first).unwrap();
            let error = staging.accept(second).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        };
        let first = message("1", 1, "a", false);
        check(first.clone(), message("2", 1, "b", true), "began before");
        check(
            first.clone(),
            message("1", 2, "b", true),
            "different versions",
        );
        let bad = StepMessage {
            upserts: vec![Bytes::from_static(b"\xff")],
            ..first.clone()
        };
        check(first.clone(), bad, "can't be decoded");
        let no_version = StepMessage {
            version: None,
            ..first.clone()
        };
        check(first, no_version, "no version");
    }

    #[test]
    fn a_step_is_bounded_and_the_bound_counts_per_step() {
        let mut staging = Staging::new(50);
        for _ in 0..10 {
            let step = staging.accept(message("1", 1, &"n".repeat(30), true));
            assert!(step.unwrap().is_some());
        }
        staging
            .accept(message("1", 1, &"n".repeat(30), false))
            .unwrap();
        let error = staging
            .accept(message("1", 1, &"n".repeat(30), true))
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("limit of 50 bytes (max_staged_bytes)")
        );
    }
}
