//! The UDP origin.

use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::net::UdpSocket;

/// Sends each datagram back.
pub async fn echo(address: SocketAddr) -> anyhow::Result<()> {
    let socket = UdpSocket::bind(address)
        .await
        .with_context(|| format!("listening on {address}"))?;
    let mut buffer = vec![0; 65_535];
    loop {
        let (length, peer) = socket.recv_from(&mut buffer).await.context("receiving")?;
        if let Some(datagram) = buffer.get(..length) {
            // A peer that is gone loses its own answer.
            let _ = socket.send_to(datagram, peer).await;
        }
    }
}
