//! TLS on both sides.
use rustls_pki_types::ServerName;
use std::sync::Arc;

/// TLS.
#[derive(Debug, Default)]
pub struct TlsConfigs {}

/// A client.
#[derive(Debug)]
pub struct BackendClient {
    /// SNI.
    pub server_name: ServerName<'static>,
    /// h1
    pub http1: Arc<rustls::ClientConfig>,
    /// h2
    pub http2: Arc<rustls::ClientConfig>,
}

impl TlsConfigs {
    /// build
    pub fn build(_t: &novaedge_router::Tables, _p: &Arc<Self>) -> (Arc<Self>, Vec<novaedge_proto::v1::RejectedResource>) {
        (Arc::default(), vec![])
    }

    /// server
    pub fn server(&self, _listener: &str) -> Option<Arc<rustls::ServerConfig>> {
        None
    }
    /// backend
    pub fn backend(
        &self,
        _backend: &str,
        _certificate: Option<&str>,
    ) -> Option<Arc<BackendClient>> {
        None
    }
}
