//! Versions of resources as they are held.

use std::fmt;

use novaedge_proto::digest::ContentVersion;

/// The version of a resource. Those of the protocol are kept as the bytes that their digits say.
#[derive(Clone, Debug)]
pub(super) enum Version {
    Content(ContentVersion),
    /// An absent one, or whatever else stands for it.
    Other(Box<str>),
}

impl Version {
    /// Whether a resource is the one that is held: equal content has an equal version, and an absent version says nothing.
    pub(super) fn is(&self, new: &str) -> bool {
        match self {
            Self::Content(held) => ContentVersion::parse(new) == Some(*held),
            Self::Other(held) => !new.is_empty() && **held == *new,
        }
    }
}

impl From<&str> for Version {
    fn from(text: &str) -> Self {
        ContentVersion::parse(text).map_or_else(|| Self::Other(text.into()), Self::Content)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Content(held) => held.fmt(f),
            Self::Other(held) => f.write_str(held),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_told_back_and_is_itself_alone() {
        let digits = "00112233445566778899aabbccddeeff";
        let texts = [digits, &digits.to_uppercase(), "1", "", &digits[1..]];
        for text in texts {
            let version = Version::from(text);
            assert_eq!(version.to_string(), text);
            for other in texts {
                assert_eq!(
                    version.is(other),
                    text == other && !text.is_empty(),
                    "{other}"
                );
            }
        }
        assert!(matches!(Version::from(digits), Version::Content(_)));
    }
}
