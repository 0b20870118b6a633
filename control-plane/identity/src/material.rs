//! What the transport needs, as it changes.

use std::sync::Arc;

use novaedge_publish::TlsSettings;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use tokio::sync::watch;

use crate::{authority::roots, error::IdentityError};

/// How a replica connects to others; `None` until it has a certificate.
pub type ClientSettings = watch::Receiver<Option<Arc<ClientConfig>>>;

/// What knows the certificates of other replicas from those of agents; `None` until there are authorities.
pub type OwnAuthorities = watch::Receiver<Option<Arc<dyn ClientCertVerifier>>>;

/// The TLS settings of a replica.
#[derive(Debug, Clone)]
pub struct Material {
    /// Towards agents, people and other replicas.
    pub server: TlsSettings,
    /// Towards other replicas.
    pub client: ClientSettings,
    /// The authorities of replicas.
    pub own: OwnAuthorities,
}

/// The sending end.
#[derive(Debug)]
pub(crate) struct MaterialSender {
    server: watch::Sender<Option<Arc<ServerConfig>>>,
    client: watch::Sender<Option<Arc<ClientConfig>>>,
    own: watch::Sender<Option<Arc<dyn ClientCertVerifier>>>,
}

/// Material that is not there yet.
pub(crate) fn channel() -> (MaterialSender, Material) {
    let (server, server_settings) = watch::channel(None);
    let (client, client_settings) = watch::channel(None);
    let (own, own_authorities) = watch::channel(None);
    let material = Material {
        server: server_settings,
        client: client_settings,
        own: own_authorities,
    };
    let sender = MaterialSender {
        server,
        client,
        own,
    };
    (sender, material)
}

impl MaterialSender {
    /// Whether there is any yet.
    pub(crate) fn is_there(&self) -> bool {
        self.server.borrow().is_some()
    }

    /// Puts new material in force. `servers` are the authorities of replicas; agents' certificates may also be of
    /// `client_authorities` (PEM).
    pub(crate) fn send(
        &self,
        chain: &[CertificateDer<'static>],
        key: &PrivateKeyDer<'static>,
        servers: RootCertStore,
        client_authorities: Option<&[u8]>,
    ) -> Result<(), IdentityError> {
        let mut clients = servers.clone();
        if let Some(pem) = client_authorities {
            clients.extend(roots("the file of client authorities", pem)?.roots);
        }
        let server =
            novaedge_publish::server_config(chain.to_vec(), key.clone_key(), Some(clients))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let own = own_authorities(&servers, &provider)?;
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(servers)
            .with_client_auth_cert(chain.to_vec(), key.clone_key())?;
        client.alpn_protocols = vec![b"h2".to_vec()];
        self.own.send_replace(own);
        self.server.send_replace(Some(server));
        self.client.send_replace(Some(Arc::new(client)));
        Ok(())
    }
}

/// Nobody is a replica where there are no authorities.
fn own_authorities(
    roots: &RootCertStore,
    provider: &Arc<rustls::crypto::CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, IdentityError> {
    if roots.is_empty() {
        return Ok(None);
    }
    let roots = Arc::new(roots.clone());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
    let verifier = verifier
        .build()
        .map_err(novaedge_publish::TlsError::ClientAuthorities)?;
    Ok(Some(verifier))
}
