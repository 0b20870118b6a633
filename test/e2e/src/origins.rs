//! Origins that tell who they are. Each stops when it is dropped.

mod http;
mod layer4;

use std::{future::Future, net::SocketAddr};

use tokio::task::JoinHandle;

pub use self::http::{Echo, http, http_tls};
pub use layer4::{tcp, udp};

/// A running origin.
pub struct Origin {
    /// Where it listens.
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Origin {
    fn spawn(address: SocketAddr, serve: impl Future<Output = ()> + Send + 'static) -> Self {
        Self {
            address,
            task: tokio::spawn(serve),
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}
