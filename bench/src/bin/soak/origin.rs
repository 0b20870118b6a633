//! Origins, in this process.

pub mod careless;
pub mod grpc;
pub mod http1;
pub mod stream;
pub mod udp;

use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddr},
};

use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// A listening origin; it and all its connections end when this is dropped.
pub struct Origin {
    /// Where it listens.
    pub address: SocketAddr,
    _task: JoinSet<()>,
}

impl Origin {
    /// Serves every connection with `connection`.
    pub async fn start<C>(
        mut connection: impl FnMut(TcpStream) -> C + Send + 'static,
    ) -> anyhow::Result<Self>
    where
        C: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        if let Ok((stream, _)) = accepted {
                            let _ = stream.set_nodelay(true);
                            connections.spawn(connection(stream));
                        }
                    }
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Ok(Self {
            address,
            _task: task,
        })
    }

    /// An origin that runs as one task.
    fn of(address: SocketAddr, task: JoinSet<()>) -> Self {
        Self {
            address,
            _task: task,
        }
    }
}
