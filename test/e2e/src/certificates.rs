//! Certificates made for one test.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

/// A certificate authority.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate.
    pub pem: String,
}

/// A certificate with its key, as PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Leaf certificate.
    pub certificate: String,
    /// Private key of the test.
    pub key: String,
}

impl Ca {
    /// A new authority.
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// A certificate for `hosts`.
    pub fn issue(&self, hosts: &[&str]) -> Identity {
        self.sign(&names(hosts))
    }

    /// A certificate for clients that are known by a URI.
    pub fn issue_for(&self, uri: &str) -> Identity {
        let mut params = names(&[]);
        let uri = uri.try_into().expect("a URI in ASCII");
        params.subject_alt_names.push(SanType::URI(uri));
        self.sign(&params)
    }

    /// A certificate for `hosts` that has expired long ago.
    pub fn issue_expired(&self, hosts: &[&str]) -> Identity {
        let mut params = names(hosts);
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let certificate = params
            .signed_by(&key, &self.issuer)
            .expect("a certificate")
            .pem();
        Identity {
            certificate,
            key: key.serialize_pem(),
        }
    }

    /// A client that trusts this authority alone and offers `alpn`.
    pub fn client(&self, alpn: &[&str]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        let der = CertificateDer::from_pem_slice(self.pem.as_bytes()).expect("PEM");
        roots.add(der).expect("a root");
        let mut config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

impl Default for Ca {
    fn default() -> Self {
        Self::new()
    }
}

impl Identity {
    /// A server that shows this certificate.
    pub fn server(&self, alpn: &[&str]) -> Arc<ServerConfig> {
        let certificate = CertificateDer::from_pem_slice(self.certificate.as_bytes()).expect("PEM");
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("PEM");
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("a server configuration");
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// A Secret of type kubernetes.io/tls.
    pub fn secret(&self, name: &str) -> String {
        let indented = |pem: &str| pem.trim_end().replace('\n', "\n    ");
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\ntype: kubernetes.io/tls\n\
             stringData:\n  tls.crt: |\n    {}\n  tls.key: |\n    {}\n",
            indented(&self.certificate),
            indented(&self.key)
        )
    }
}

fn names(hosts: &[&str]) -> CertificateParams {
    let names: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    CertificateParams::new(names).expect("parameters")
}
