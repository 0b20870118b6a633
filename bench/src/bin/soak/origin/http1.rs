//! An origin over HTTP/1.1 that keeps connections, and echoes over WebSocket.

use std::io;

use tokio::net::TcpStream;

use super::Origin;
use crate::wire::{Head, Wire};

/// The key of RFC 6455 section 1.3, which all clients here send.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// The proof that the RFC gives for it.
const PROOF: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Field by which a request is known; its answer has it as its body.
pub const ID: &str = "x-id";

/// Starts it.
pub async fn start() -> anyhow::Result<Origin> {
    Origin::start(|stream| async move {
        // Its client knows how a connection ended.
        let _ = serve(stream).await;
    })
    .await
}

async fn serve(stream: TcpStream) -> io::Result<()> {
    let mut wire = Wire::new(stream);
    while let Some(head) = wire.head().await? {
        if head.field("upgrade").is_some() {
            let switch = format!(
                "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: \
                 upgrade\r\nsec-websocket-accept: {PROOF}\r\n\r\n"
            );
            wire.send(switch.as_bytes()).await?;
            return echo_frames(wire).await;
        }
        wire.body(&head).await?;
        wire.send(&answer(&head)).await?;
    }
    Ok(())
}

/// The answer to a request.
pub fn answer(head: &Head) -> Vec<u8> {
    let id = head.field(ID).unwrap_or_default();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{id}",
        id.len()
    )
    .into_bytes()
}

/// Sends back what frames hold, unmasked as servers must (RFC 6455 section 5.1).
async fn echo_frames(mut wire: Wire<TcpStream>) -> io::Result<()> {
    loop {
        let payload = crate::flow::websocket::read(&mut wire).await?;
        let frame = crate::flow::websocket::frame(&payload, None);
        wire.send(&frame).await?;
    }
}
