//! Judges certificates in Secrets and ConfigMaps, for statuses and for the snapshot alike.
//!
//! Nothing here looks at a clock: an expired certificate is well-formed, and clients refuse it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};

/// Data key of a certificate chain, leaf first.
pub const TLS_CERT: &str = "tls.crt";
/// Data key of the leaf's private key.
pub const TLS_KEY: &str = "tls.key";
/// Data key of the authorities to trust.
pub const CA_CERT: &str = "ca.crt";

/// Characters in a line of PEM (RFC 7468, section 2).
const PEM_LINE: usize = 64;

/// A certificate with its key, checked to belong together.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsSecret {
    /// PEM, leaf first, without anything else that stood beside the certificates.
    pub chain_pem: Vec<u8>,
    /// PEM.
    pub private_key_pem: Vec<u8>,
    /// SHA-256 of the leaf, hexadecimal.
    pub fingerprint: String,
    /// When all certificates of the chain are valid.
    pub validity: Validity,
}

/// A span of time in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// First second of it.
    pub not_before: i64,
    /// Last second of it.
    pub not_after: i64,
}

impl Validity {
    const ALWAYS: Self = Self {
        not_before: i64::MIN,
        not_after: i64::MAX,
    };
    /// Nobody needs a warning earlier than this, in seconds.
    const LONGEST_WARNING: i64 = 14 * 24 * 60 * 60;

    /// When people should hear that the end is near: after nine tenths of the span, at most two weeks before its end.
    pub fn warn_at(self) -> i64 {
        let tenth = self.not_after.saturating_sub(self.not_before) / 10;
        self.not_after
            .saturating_sub(tenth.clamp(0, Self::LONGEST_WARNING))
    }

    fn and(self, other: Self) -> Self {
        Self {
            not_before: self.not_before.max(other.not_before),
            not_after: self.not_after.min(other.not_after),
        }
    }
}

impl std::fmt::Debug for TlsSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsSecret")
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

/// Why a Secret or ConfigMap gives no certificate. The text names the data key and the fix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// A data key is absent or empty.
    #[error("data key {0} is missing; add it in PEM form")]
    Missing(&'static str),
    /// A data key holds no PEM block of the kind wanted.
    #[error("data key {key} holds no PEM {block}; put one there, in full")]
    NoPem {
        /// The data key.
        key: &'static str,
        /// CERTIFICATE or PRIVATE KEY.
        block: &'static str,
    },
    /// A certificate does not parse.
    #[error("certificate {index} in data key {key} is malformed ({reason}); replace it")]
    Malformed {
        /// The data key.
        key: &'static str,
        /// From 1.
        index: usize,
        /// What the parser says.
        reason: String,
    },
    /// The key is of an algorithm or encoding that cannot be used.
    #[error(
        "private key in data key tls.key cannot be used; give an RSA, ECDSA or Ed25519 key in PKCS#8, PKCS#1 or SEC1 form"
    )]
    UnusableKey,
    /// The key belongs to another certificate.
    #[error(
        "private key in data key tls.key does not belong to the first certificate in tls.crt; replace one of them"
    )]
    KeyMismatch,
}

/// The certificate and key in a Secret, whatever its type.
pub fn check_tls_secret(secret: &Secret) -> Result<TlsSecret, CertificateError> {
    let chain = secret_value(secret, TLS_CERT)?;
    let private_key_pem = secret_value(secret, TLS_KEY)?;
    let chain = certificates(chain, TLS_CERT)?;
    let mut validity = Validity::ALWAYS;
    for (index, certificate) in chain.iter().enumerate() {
        validity = validity.and(parse(certificate, TLS_CERT, index)?);
    }
    let key =
        PrivateKeyDer::from_pem_slice(private_key_pem).map_err(|_| CertificateError::NoPem {
            key: TLS_KEY,
            block: "PRIVATE KEY",
        })?;
    let fingerprint = chain.first().map(fingerprint).unwrap_or_default();
    let chain_pem = pem(&chain);
    let key = any_supported_type(&key).map_err(|_| CertificateError::UnusableKey)?;
    CertifiedKey::new(chain, key)
        .keys_match()
        .map_err(|_| CertificateError::KeyMismatch)?;
    Ok(TlsSecret {
        chain_pem,
        private_key_pem: private_key_pem.to_vec(),
        fingerprint,
        validity,
    })
}

/// The authorities in a ConfigMap's `ca.crt`, as PEM.
pub fn check_ca_config_map(map: &ConfigMap) -> Result<Vec<u8>, CertificateError> {
    let text = map.data.as_ref().and_then(|data| data.get(CA_CERT));
    let binary = || bytes_of(map.binary_data.as_ref(), CA_CERT);
    let pem = text.map(String::as_bytes).or_else(binary);
    check_ca_pem(pem.unwrap_or_default())
}

/// The authorities in a Secret's `ca.crt`, as PEM.
pub fn check_ca_secret(secret: &Secret) -> Result<Vec<u8>, CertificateError> {
    check_ca_pem(secret_value(secret, CA_CERT)?)
}

/// Authorities in PEM: every certificate must be one that can be trusted. What stands beside them is left out.
pub fn check_ca_pem(pem: &[u8]) -> Result<Vec<u8>, CertificateError> {
    if pem.is_empty() {
        return Err(CertificateError::Missing(CA_CERT));
    }
    let authorities = certificates(pem, CA_CERT)?;
    let text = self::pem(&authorities);
    let mut roots = RootCertStore::empty();
    for (index, certificate) in authorities.into_iter().enumerate() {
        roots
            .add(certificate)
            .map_err(|error| malformed(CA_CERT, index, &error))?;
    }
    Ok(text)
}

fn secret_value<'a>(secret: &'a Secret, key: &'static str) -> Result<&'a [u8], CertificateError> {
    // `stringData` is written by people in files; the API server would have merged it into `data`.
    let text = secret.string_data.as_ref().and_then(|data| data.get(key));
    text.map(String::as_bytes)
        .or_else(|| bytes_of(secret.data.as_ref(), key))
        .filter(|value| !value.is_empty())
        .ok_or(CertificateError::Missing(key))
}

fn bytes_of<'a>(data: Option<&'a BTreeMap<String, ByteString>>, key: &str) -> Option<&'a [u8]> {
    data?.get(key).map(|value| value.0.as_slice())
}

fn certificates(
    pem: &[u8],
    key: &'static str,
) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let mut found = Vec::new();
    for (index, certificate) in CertificateDer::pem_slice_iter(pem).enumerate() {
        found.push(certificate.map_err(|error| malformed(key, index, &error))?);
    }
    if found.is_empty() {
        return Err(CertificateError::NoPem {
            key,
            block: "CERTIFICATE",
        });
    }
    Ok(found)
}

/// The certificates and nothing else. People keep a private key in one file with its certificate, and certificates are
/// shown by every inspection.
fn pem(certificates: &[CertificateDer<'_>]) -> Vec<u8> {
    let mut text = String::new();
    for certificate in certificates {
        let base64 = serde_json::to_value(ByteString(certificate.to_vec()));
        let base64 = base64.expect("bytes are always a JSON string");
        let mut rest = base64.as_str().unwrap_or_default();
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        while !rest.is_empty() {
            let (line, below) = rest.split_at(rest.len().min(PEM_LINE));
            text.push_str(line);
            text.push('\n');
            rest = below;
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text.into_bytes()
}

/// Checks a certificate; returns when it is valid.
fn parse(
    certificate: &CertificateDer<'_>,
    key: &'static str,
    index: usize,
) -> Result<Validity, CertificateError> {
    match x509_parser::parse_x509_certificate(certificate) {
        Ok(([], parsed)) => Ok(Validity {
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
        }),
        Ok(_) => Err(malformed(key, index, &"bytes after its end")),
        Err(error) => Err(malformed(key, index, &error)),
    }
}

fn malformed(key: &'static str, index: usize, reason: &dyn std::fmt::Display) -> CertificateError {
    CertificateError::Malformed {
        key,
        index: index + 1,
        reason: reason.to_string(),
    }
}

fn fingerprint(certificate: &CertificateDer<'static>) -> String {
    let digest = Sha256::digest(certificate.as_ref());
    let mut text = String::with_capacity(64);
    for byte in digest {
        write!(text, "{byte:02x}").expect("writing to a String never fails");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(cert: &str, key: &str) -> Secret {
        let data = [(TLS_CERT, cert), (TLS_KEY, key)];
        Secret {
            data: Some(
                data.map(|(name, value)| (name.to_owned(), ByteString(value.as_bytes().to_vec())))
                    .into(),
            ),
            ..Secret::default()
        }
    }

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["example.com".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn a_matching_pair_is_taken_and_its_key_is_never_shown() {
        let (cert, key) = pair();
        let checked = check_tls_secret(&secret(&cert, &key)).unwrap();
        assert_eq!(checked.fingerprint.len(), 64);
        assert!(!format!("{checked:?}").contains("PRIVATE"));
        assert_eq!(check_ca_pem(cert.as_bytes()).unwrap(), cert.as_bytes());
    }

    #[test]
    fn a_key_beside_its_certificate_goes_no_further() {
        let (cert, key) = pair();
        let both = format!("Subject: example.com\n{key}{cert}{key}");
        let checked = check_tls_secret(&secret(&both, &both)).unwrap();
        assert_eq!(checked.chain_pem, cert.as_bytes());
        assert_eq!(check_ca_pem(both.as_bytes()).unwrap(), cert.as_bytes());
        let one_line_each = both.replace('\n', "\r");
        if let Ok(authorities) = check_ca_pem(one_line_each.as_bytes()) {
            assert_eq!(authorities, cert.as_bytes());
        }
    }

    #[test]
    fn carriage_returns_and_ec_parameters_do_no_harm() {
        let (cert, key) = pair();
        let parameters =
            "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
        let key = format!("{parameters}{key}").replace('\n', "\r\n");
        assert!(check_tls_secret(&secret(&cert.replace('\n', "\r\n"), &key)).is_ok());
    }

    #[test]
    fn a_warning_comes_in_the_last_tenth_and_the_last_two_weeks() {
        let warned_for = |length: i64| {
            let validity = Validity {
                not_before: 1_000,
                not_after: 1_000 + length,
            };
            validity.not_after - validity.warn_at()
        };
        let day = 24 * 60 * 60;
        assert_eq!(warned_for(day), day / 10);
        assert_eq!(warned_for(90 * day), 9 * day);
        assert_eq!(warned_for(3_650 * day), 14 * day);
        assert_eq!(warned_for(-day), 0);
    }

    #[test]
    fn each_fault_is_named() {
        let (cert, key) = pair();
        let (other, _) = pair();
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let cases = [
            (String::new(), key.clone(), "tls.crt is missing"),
            (cert.clone(), String::new(), "tls.key is missing"),
            ("Hello world".into(), key.clone(), "no PEM CERTIFICATE"),
            (cert.clone(), "Hello world".into(), "no PEM PRIVATE KEY"),
            (
                broken.into(),
                key.clone(),
                "certificate 1 in data key tls.crt is malformed",
            ),
            (format!("{cert}{broken}"), key.clone(), "certificate 2"),
            (other, key, "does not belong"),
        ];
        for (cert, key, expected) in cases {
            let error = check_tls_secret(&secret(&cert, &key))
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
