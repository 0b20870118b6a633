//! What the workers serve from, made from tables, and the layer 4 data path's view of it.

use std::sync::Arc;

use novaedge_l4::{Source, TlsLookup, View};
use novaedge_proto::v1;
use novaedge_proxy::{Live, Runtime, TlsConfigs};
use novaedge_router::Tables;
use rustls::{ClientConfig, ServerConfig};

/// The TLS configurations for `tables`; what can't be used is added to `rejected`.
pub(crate) fn build_tls(
    tables: &Arc<Tables>,
    before: &Runtime,
    rejected: &mut Vec<v1::RejectedResource>,
) -> Arc<TlsConfigs> {
    let (tls, refused) = TlsConfigs::build(tables, &before.tls);
    rejected.extend(refused);
    tls
}

/// Reads the pointer that a snapshot swaps.
pub(crate) struct LiveSource(pub(crate) Live);

impl Source for LiveSource {
    fn with<R>(&self, look: impl FnOnce(View<'_>) -> R) -> R {
        let runtime = self.0.load();
        look(View {
            tables: &runtime.tables,
            tls: &Configs(&runtime.tls),
        })
    }
}

struct Configs<'a>(&'a TlsConfigs);

impl TlsLookup for Configs<'_> {
    fn server(&self, listener: &str) -> Option<Arc<ServerConfig>> {
        self.0.server(listener)
    }

    fn client(&self, backend: &str, client_certificate: Option<&str>) -> Option<Arc<ClientConfig>> {
        self.0.client(backend, client_certificate)
    }
}
