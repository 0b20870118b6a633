//! Checks of peers that rustls has no verifier for.

use std::sync::Arc;

use novaedge_router::SubjectAltName;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use super::PROVIDER;

/// The methods that both kinds of verifiers share: the peer must hold the key of the certificate that it shows.
macro_rules! check_signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            leaf: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls12_signature(
                message,
                leaf,
                signature,
                &PROVIDER.signature_verification_algorithms,
            )
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            leaf: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(
                message,
                leaf,
                signature,
                &PROVIDER.signature_verification_algorithms,
            )
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            PROVIDER
                .signature_verification_algorithms
                .supported_schemes()
        }
    };
}

/// A backend that is known by names other than its server name (BackendTLSPolicy
/// `validation.subjectAltNames`): its chain is checked, and one of the names must be in its certificate.
#[derive(Debug)]
pub(super) struct NamedBackend {
    roots: Arc<RootCertStore>,
    names: Vec<SubjectAltName>,
}

impl NamedBackend {
    pub(super) fn new(roots: Arc<RootCertStore>, names: Vec<SubjectAltName>) -> Self {
        Self { roots, names }
    }
}

impl ServerCertVerifier for NamedBackend {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(leaf)?;
        let algorithms = PROVIDER.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &self.roots,
            intermediates,
            now,
            algorithms,
        )?;
        if has_name(leaf, &self.names)? {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::NotValidForName.into())
        }
    }

    check_signatures!();
}

fn has_name(leaf: &CertificateDer<'_>, wanted: &[SubjectAltName]) -> Result<bool, Error> {
    let bad = || Error::InvalidCertificate(CertificateError::BadEncoding);
    let (_, leaf) = parse_x509_certificate(leaf).map_err(|_| bad())?;
    let Some(names) = leaf.subject_alternative_name().map_err(|_| bad())? else {
        return Ok(false);
    };
    Ok(names.value.general_names.iter().any(|name| match name {
        GeneralName::DNSName(name) => wanted.iter().any(
            |wanted| matches!(wanted, SubjectAltName::Dns(wanted) if dns_agrees(wanted, name)),
        ),
        GeneralName::URI(uri) => wanted
            .iter()
            .any(|wanted| matches!(wanted, SubjectAltName::Uri(wanted) if **wanted == **uri)),
        _ => false,
    }))
}

/// Equal, or one has a wildcard that stands for the first label of the other.
fn dns_agrees(wanted: &str, name: &str) -> bool {
    let covers = |pattern: &str, name: &str| {
        pattern.strip_prefix("*.").is_some_and(|suffix| {
            name.split_once('.')
                .is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(suffix))
        })
    };
    wanted.eq_ignore_ascii_case(name) || covers(wanted, name) || covers(name, wanted)
}

/// Asks clients for a certificate and takes any, or none (`AllowInsecureFallback`). One that is shown
/// must still be the client's own: the signature of the handshake is checked.
#[derive(Debug)]
pub(super) struct AcceptAnyClient;

impl ClientCertVerifier for AcceptAnyClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    check_signatures!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_for_one_label() {
        for (wanted, name, expect) in [
            ("a.example", "A.example", true),
            ("a.example", "*.example", true),
            ("*.example", "a.example", true),
            ("*.example", "*.example", true),
            ("a.b.example", "*.example", false),
            ("example", "*.example", false),
            ("b.example", "a.example", false),
        ] {
            assert_eq!(dns_agrees(wanted, name), expect, "{wanted} {name}");
        }
    }
}
