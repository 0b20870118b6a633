//! What the transport needs, as it changes.

use std::sync::Arc;

use novaedge_publish::TlsSettings;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tokio::sync::watch;

use crate::error::IdentityError;

/// How a replica connects to others; `None` until it has a certificate.
pub type ClientSettings = watch::Receiver<Option<Arc<ClientConfig>>>;

/// The TLS settings of a replica.
#[derive(Debug, Clone)]
pub struct Material {
    /// Towards agents, people and other replicas.
    pub server: TlsSettings,
    /// Towards other replicas.
    pub client: ClientSettings,
}

/// The sending end.
#[derive(Debug)]
pub(crate) struct MaterialSender {
    server: watch::Sender<Option<Arc<ServerConfig>>>,
    client: watch::Sender<Option<Arc<ClientConfig>>>,
}

/// Material that is not there yet.
pub(crate) fn channel() -> (MaterialSender, Material) {
    let (server, server_settings) = watch::channel(None);
    let (client, client_settings) = watch::channel(None);
    let material = Material {
        server: server_settings,
        client: client_settings,
    };
    (MaterialSender { server, client }, material)
}

impl MaterialSender {
    /// Whether there is any yet.
    pub(crate) fn is_there(&self) -> bool {
        self.server.borrow().is_some()
    }

    /// Puts new material in force. `clients` are the authorities of client certificates, `servers`
    /// those of other replicas.
    pub(crate) fn send(
        &self,
        chain: &[CertificateDer<'static>],
        key: &PrivateKeyDer<'static>,
        clients: Option<RootCertStore>,
        servers: RootCertStore,
    ) -> Result<(), IdentityError> {
        let server = novaedge_publish::server_config(chain.to_vec(), key.clone_key(), clients)?;
        let mut client =
            ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_protocol_versions(&[&rustls::version::TLS13])?
                .with_root_certificates(servers)
                .with_client_auth_cert(chain.to_vec(), key.clone_key())?;
        client.alpn_protocols = vec![b"h2".to_vec()];
        self.server.send_replace(Some(server));
        self.client.send_replace(Some(Arc::new(client)));
        Ok(())
    }
}
