//! Origins that tell who they are. Each stops when it is dropped.

mod http;
mod layer4;

use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::task::JoinHandle;

pub use self::http::{Echo, http, http_tls};
pub use layer4::{resetting, tcp, udp};

/// A running origin.
pub struct Origin {
    /// Where it listens.
    pub address: SocketAddr,
    hits: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Origin {
    fn spawn<F>(address: SocketAddr, serve: impl FnOnce(Arc<AtomicUsize>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let hits = Arc::new(AtomicUsize::new(0));
        Self {
            address,
            task: tokio::spawn(serve(hits.clone())),
            hits,
        }
    }

    /// Requests, connections or datagrams that have arrived.
    pub fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}
