//! An authority, the certificates that it issues, and TLS settings of clients that trust it.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, SerialNumber,
};
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion,
    client::Resumption,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    version::{TLS12, TLS13},
};

/// The names of all certificates.
const NAME: &str = "*.example.com";

/// A certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

/// A certificate with its key, as PEM, and the certificate as servers show it.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate as PEM.
    pub certificate: String,
    /// Its key as PEM.
    pub key: String,
    /// The certificate as DER.
    pub der: CertificateDer<'static>,
}

/// Versions of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// Whether a client remembers sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Every handshake is a full one.
    Forgets,
    /// It resumes a session where it can.
    Remembers,
}

impl Authority {
    /// A new authority.
    pub fn new() -> anyhow::Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let root = params.self_signed(&key)?.der().clone();
        let issuer = Issuer::new(params, key);
        Ok(Self { issuer, root })
    }

    /// A certificate with this serial number, and a key of its own.
    pub fn issue(&self, serial: u64) -> anyhow::Result<Identity> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![NAME.to_owned()])?;
        // A first byte of 1 keeps it positive.
        params.serial_number = Some(SerialNumber::from((1 << 56) | serial));
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Identity {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            der: certificate.der().clone(),
        })
    }

    /// Settings of a client that trusts this authority alone and speaks one version.
    pub fn client(&self, version: Version, memory: Memory) -> anyhow::Result<Arc<ClientConfig>> {
        let versions: &[&SupportedProtocolVersion] = match version {
            Version::Tls12 => &[&TLS12],
            Version::Tls13 => &[&TLS13],
        };
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone())?;
        let mut config = ClientConfig::builder_with_protocol_versions(versions)
            .with_root_certificates(roots)
            .with_no_client_auth();
        if memory == Memory::Forgets {
            config.resumption = Resumption::disabled();
        }
        Ok(Arc::new(config))
    }
}

impl Identity {
    /// Settings of a server that shows it.
    pub fn server(&self) -> anyhow::Result<Arc<ServerConfig>> {
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes())?;
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![self.der.clone()], key)?;
        Ok(Arc::new(config))
    }
}
