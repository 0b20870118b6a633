//! Certificates, TLS clients and TLS origins.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use novaedge_proto::v1::{self, resource::Body};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::Bed;
use super::resources::resource;

/// A certificate authority.
pub struct Authority {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key, as PEM.
pub struct Identity {
    pub chain: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    pub fn issue(&self, names: &[&str]) -> Identity {
        let (uris, names): (Vec<&str>, Vec<&str>) =
            names.iter().partition(|name| name.contains("://"));
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(names).unwrap();
        for uri in uris {
            params
                .subject_alt_names
                .push(SanType::URI(uri.try_into().unwrap()));
        }
        let chain = params.signed_by(&key, &self.issuer).unwrap().pem();
        Identity {
            chain,
            key: key.serialize_pem(),
        }
    }

    pub fn bundle(&self, name: &str) -> v1::Resource {
        resource(
            name,
            Body::TrustBundle(v1::TrustBundle {
                ca_pem: self.pem.clone().into_bytes().into(),
            }),
        )
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap())
            .unwrap();
        roots
    }
}

impl Identity {
    pub fn resource(&self, name: &str) -> v1::Resource {
        let certificate = v1::Certificate {
            chain_pem: self.chain.clone().into_bytes().into(),
            private_key_pem: self.key.clone().into_bytes().into(),
            fingerprint: String::new(),
        };
        resource(name, Body::Certificate(certificate))
    }

    fn parts(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let chain = CertificateDer::pem_slice_iter(self.chain.as_bytes())
            .map(Result::unwrap)
            .collect();
        (
            chain,
            PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap(),
        )
    }

    /// The leaf, to compare with what a server shows.
    pub fn leaf(&self) -> CertificateDer<'static> {
        self.parts().0.remove(0)
    }
}

/// A client that trusts `authority` and perhaps shows a certificate.
pub fn client(
    authority: &Authority,
    identity: Option<&Identity>,
    alpn: &[&str],
) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(authority.roots());
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = identity.parts();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    config.alpn_protocols = alpn
        .iter()
        .map(|protocol| protocol.as_bytes().to_vec())
        .collect();
    Arc::new(config)
}

pub async fn connect(
    bed: &Bed,
    config: &Arc<ClientConfig>,
    sni: &str,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(bed.address).await.unwrap();
    let name = ServerName::try_from(sni.to_owned()).unwrap();
    TlsConnector::from(Arc::clone(config))
        .connect(name, stream)
        .await
}

/// A TLS server that answers each HTTP/1.1 request with the SNI and whether a client certificate came.
pub async fn origin(identity: &Identity, clients: Option<&Authority>) -> u16 {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let (chain, key) = identity.parts();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(Arc::new(authority.roots()), provider)
                .build()
                .unwrap(),
        ),
    };
    let acceptor = TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).unwrap()));
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::task::spawn_local(async move {
        loop {
            let (stream, _) = socket.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::task::spawn_local(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let session = stream.get_ref().1;
                let shown = if session.peer_certificates().is_some() {
                    "certificate"
                } else {
                    "none"
                };
                let body = format!("{} {shown}", session.server_name().unwrap_or("-"));
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                let mut buffer = vec![0; 4096];
                while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    port
}
