//! What a Secret's certificate says about itself, for people. The key is never kept.

use k8s_openapi::{api::core::v1::Secret, jiff::Timestamp};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use x509_parser::{
    certificate::X509Certificate,
    extensions::GeneralName,
    prelude::{FromDer as _, ParsedExtension},
};

/// The leaf certificate of a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateFacts {
    /// It can be read.
    Readable {
        /// DNS names and addresses that it is for.
        names: Vec<String>,
        /// When it ends.
        not_after: Timestamp,
    },
    /// The Secret holds none, or none that can be read.
    Unreadable,
    /// Whoever asks may not read the Secret.
    Hidden,
}

impl CertificateFacts {
    /// Reads `tls.crt`, from `data` or `stringData`.
    pub fn of(secret: &Secret) -> Self {
        let data = secret.data.as_ref().and_then(|data| data.get("tls.crt"));
        let text = secret
            .string_data
            .as_ref()
            .and_then(|data| data.get("tls.crt"));
        let pem = text.map_or_else(
            || data.map_or(&[][..], |bytes| bytes.0.as_slice()),
            |text| text.as_bytes(),
        );
        Self::of_pem(pem).unwrap_or(Self::Unreadable)
    }

    fn of_pem(pem: &[u8]) -> Option<Self> {
        let der = CertificateDer::from_pem_slice(pem).ok()?;
        let (_, leaf) = X509Certificate::from_der(&der).ok()?;
        let not_after = Timestamp::from_second(leaf.validity().not_after.timestamp()).ok()?;
        Some(Self::Readable {
            names: names(&leaf),
            not_after,
        })
    }
}

fn names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let alternatives =
        leaf.extensions()
            .iter()
            .filter_map(|extension| match extension.parsed_extension() {
                ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
                _ => None,
            });
    alternatives
        .flatten()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => address(bytes),
            _ => None,
        })
        .collect()
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::Ipv4Addr::from(four).to_string());
    }
    let sixteen = <[u8; 16]>::try_from(bytes).ok()?;
    Some(std::net::Ipv6Addr::from(sixteen).to_string())
}
