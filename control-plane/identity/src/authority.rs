//! Authorities, and the Secret that keeps them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use crate::{
    error::IdentityError,
    rotation::{Rotation, after},
};

/// An authority with its key.
#[derive(Clone, PartialEq, Eq)]
pub struct Authority {
    /// When it was made, in seconds since 1970. Its name comes from it.
    pub made: i64,
    certificate: String,
    key: String,
}

/// Authorities by the time of their making.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authorities {
    by_time: BTreeMap<i64, Authority>,
}

impl Authority {
    /// Makes an authority with a new key.
    pub fn make(made: i64, rotation: &Rotation) -> Result<Self, IdentityError> {
        let key = KeyPair::generate()?;
        let mut params = params(made)?;
        let end = after(made, rotation.authority_life);
        set_validity(
            &mut params,
            made.saturating_sub(seconds(rotation.clock_skew)),
            end,
        );
        Ok(Self {
            made,
            certificate: params.self_signed(&key)?.pem(),
            key: key.serialize_pem(),
        })
    }

    /// What signs by it.
    pub(crate) fn issuer(&self) -> Result<Issuer<'static, KeyPair>, IdentityError> {
        Ok(Issuer::new(
            params(self.made)?,
            KeyPair::from_pem(&self.key)?,
        ))
    }
}

impl Authorities {
    /// Reads the data of the Secret.
    pub fn from_data(data: &BTreeMap<String, Vec<u8>>) -> Result<Self, IdentityError> {
        let mut by_time = BTreeMap::new();
        let text = |key: &str| {
            let bytes = data.get(key).cloned();
            bytes.and_then(|bytes| String::from_utf8(bytes).ok())
        };
        for key in data.keys().filter(|key| key.ends_with(CERTIFICATE)) {
            let not_understood = || IdentityError::Secret(key.clone());
            let stem = key.trim_end_matches(CERTIFICATE);
            let made = stem.strip_prefix(PREFIX).and_then(|made| made.parse().ok());
            let made: i64 = made.ok_or_else(not_understood)?;
            let authority = Authority {
                made,
                certificate: text(key).ok_or_else(not_understood)?,
                key: text(&format!("{stem}{KEY}")).ok_or_else(not_understood)?,
            };
            KeyPair::from_pem(&authority.key).map_err(|_| not_understood())?;
            certificates(key, authority.certificate.as_bytes())?;
            by_time.insert(made, authority);
        }
        Ok(Self { by_time })
    }

    /// The data of the Secret.
    pub fn to_data(&self) -> BTreeMap<String, Vec<u8>> {
        let mut data = BTreeMap::new();
        for (made, authority) in &self.by_time {
            let certificate = authority.certificate.clone().into_bytes();
            data.insert(format!("{PREFIX}{made}{CERTIFICATE}"), certificate);
            let key = authority.key.clone().into_bytes();
            data.insert(format!("{PREFIX}{made}{KEY}"), key);
        }
        data
    }

    /// When each was made.
    pub fn made(&self) -> BTreeSet<i64> {
        self.by_time.keys().copied().collect()
    }

    /// The one that was made then.
    pub fn get(&self, made: i64) -> Option<&Authority> {
        self.by_time.get(&made)
    }

    /// Adds one.
    pub fn insert(&mut self, authority: Authority) {
        self.by_time.insert(authority.made, authority);
    }

    /// Drops one.
    pub fn remove(&mut self, made: i64) {
        self.by_time.remove(&made);
    }

    /// The certificates of all, as PEM, newest last.
    pub fn bundle(&self) -> String {
        let certificates = self.by_time.values();
        certificates
            .map(|authority| authority.certificate.as_str())
            .collect()
    }

    /// The same for rustls.
    pub fn roots(&self) -> Result<RootCertStore, IdentityError> {
        roots("the bundle", self.bundle().as_bytes())
    }
}

/// Shows no key.
impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("made", &self.made)
            .finish_non_exhaustive()
    }
}

/// The certificates in a PEM text; `what` names it in the error.
pub(crate) fn certificates(
    what: &str,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|source| IdentityError::Pem {
            what: what.to_owned(),
            source,
        })?;
    if found.is_empty() {
        return Err(IdentityError::Empty(what.to_owned()));
    }
    Ok(found)
}

/// The authorities in a PEM text.
pub(crate) fn roots(what: &str, pem: &[u8]) -> Result<RootCertStore, IdentityError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(what, pem)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

/// Makes a certificate valid from one time to another, in seconds since 1970.
pub(crate) fn set_validity(params: &mut CertificateParams, from: i64, to: i64) {
    let time = |seconds: i64| {
        let seconds = u64::try_from(seconds).unwrap_or(0);
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds)
    };
    params.not_before = time(from);
    params.not_after = time(to);
}

pub(crate) fn seconds(duration: Duration) -> i64 {
    after(0, duration)
}

const PREFIX: &str = "authority-";
const CERTIFICATE: &str = ".crt";
const KEY: &str = ".key";

/// All that tells an authority apart comes from the time of its making, so that its issuer can be made
/// again from its key alone.
fn params(made: i64) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "NovaEdge");
    name.push(DnType::CommonName, format!("novaedge-ca-{made}"));
    params.distinguished_name = name;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_keeps_what_signs() {
        let rotation = Rotation::default();
        let mut authorities = Authorities::default();
        for made in [1_800_000_000, 1_700_000_000] {
            authorities.insert(Authority::make(made, &rotation).unwrap());
        }
        let data = authorities.to_data();
        assert_eq!(data.len(), 4);
        assert_eq!(Authorities::from_data(&data).unwrap(), authorities);
        assert_eq!(authorities.roots().unwrap().len(), 2);
        assert!(!authorities.bundle().contains("PRIVATE"));
        assert!(!format!("{authorities:?}").contains("PRIVATE"));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for key in ["authority-x.crt", "authority-5.crt", "ca.crt"] {
            let data = BTreeMap::from([(key.to_owned(), b"x".to_vec())]);
            let error = Authorities::from_data(&data).unwrap_err();
            assert!(error.to_string().contains(key), "{error}");
        }
    }
}
