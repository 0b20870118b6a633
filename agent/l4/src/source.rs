//! What a worker needs from its surroundings: the snapshot in force, and addresses of names.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use novaedge_router::Tables;
use rustls::{ClientConfig, ServerConfig};

/// The snapshot in force. It may change between two calls, never within one.
pub trait Source: 'static {
    /// Looks at the snapshot. Called once per connection and once per UDP datagram, so it should
    /// cost no more than an atomic load; the view must not be kept.
    fn with<R>(&self, look: impl FnOnce(View<'_>) -> R) -> R;
}

/// A look at one snapshot.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The routing tables.
    pub tables: &'a Arc<Tables>,
    /// The TLS configurations made from the same snapshot.
    pub tls: &'a dyn TlsLookup,
}

/// TLS configurations by resource name.
pub trait TlsLookup {
    /// For clients of a listener. `None`: it has no usable certificate.
    fn server(&self, listener: &str) -> Option<Arc<ServerConfig>>;

    /// For connections to a backend; `client_certificate` is the one to show when it asks.
    /// `None`: the backend's TLS can't be set up as configured.
    fn client(&self, backend: &str, client_certificate: Option<&str>) -> Option<Arc<ClientConfig>>;
}

/// The addresses of a name.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + 'a>>;

/// Turns DNS names into addresses. The implementation caches as the records allow.
pub trait Resolve {
    /// The addresses of `name`, in the order to try them.
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a>;
}
