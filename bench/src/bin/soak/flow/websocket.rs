//! WebSockets (RFC 6455), as much of them as an echo needs.

use std::{io, net::SocketAddr, sync::Arc};

use anyhow::Context as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::rustls::ClientConfig;

use super::{Flow, Lasting, http1, payload, tls};
use crate::{origin::http1::KEY, random::Random, wire::Wire};

/// The longest message.
const LONGEST: u64 = 4_096;
/// FIN, and the opcode of binary messages.
const BINARY: u8 = 0x82;
const MASKED: u8 = 0x80;
/// Says that two bytes of length follow.
const LONG: u8 = 126;

/// An open WebSocket.
pub struct WebSocket<S>(Wire<S>);

/// Opens one over cleartext.
pub async fn open(to: SocketAddr, host: &str) -> anyhow::Result<WebSocket<tokio::net::TcpStream>> {
    shake_hands(Wire::new(http1::connect(to).await?), host).await
}

/// Opens one over TLS.
pub async fn open_tls(
    to: SocketAddr,
    host: &str,
    config: &Arc<ClientConfig>,
) -> anyhow::Result<WebSocket<tls::Stream>> {
    shake_hands(Wire::new(tls::connect(to, host, config).await?), host).await
}

async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(
    mut wire: Wire<S>,
    host: &str,
) -> anyhow::Result<WebSocket<S>> {
    let request = format!(
        "GET / HTTP/1.1\r\nhost: {host}\r\nupgrade: websocket\r\nconnection: \
         upgrade\r\nsec-websocket-key: {KEY}\r\nsec-websocket-version: 13\r\n\r\n"
    );
    wire.send(request.as_bytes()).await?;
    let head = wire.head().await?.context("closed without an answer")?;
    anyhow::ensure!(head.status() == 101, "status {}", head.status());
    Ok(WebSocket(wire))
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Flow for WebSocket<S> {
    async fn exchange(&mut self, random: &mut Random) -> anyhow::Result<()> {
        let sent = payload(random, LONGEST);
        let mask = random.next().to_be_bytes();
        let mask = mask.first_chunk().copied();
        self.0.send(&frame(&sent, mask)).await?;
        let came = read(&mut self.0).await?;
        anyhow::ensure!(came == sent, "another message came back");
        Ok(())
    }

    fn lasts(&self) -> Lasting {
        Lasting::Connection
    }
}

/// A message as one frame; clients mask it.
pub fn frame(payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let bit = if mask.is_some() { MASKED } else { 0 };
    let mut frame = vec![BINARY];
    match u8::try_from(payload.len()) {
        Ok(length) if length < LONG => frame.push(bit | length),
        _ => {
            frame.push(bit | LONG);
            let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
            frame.extend(length.to_be_bytes());
        }
    }
    match mask {
        None => frame.extend_from_slice(payload),
        Some(mask) => {
            frame.extend(mask);
            frame.extend(masked(payload, mask));
        }
    }
    frame
}

/// The message of the next frame.
pub async fn read<S: AsyncRead + AsyncWrite + Unpin>(wire: &mut Wire<S>) -> io::Result<Vec<u8>> {
    let head = wire.exact(2).await?;
    let (Some(BINARY), Some(second)) = (head.first().copied(), head.get(1).copied()) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let length = match second & !MASKED {
        LONG => {
            let bytes = wire.exact(2).await?;
            usize::from(u16::from_be_bytes(
                bytes.try_into().map_err(|_| io::ErrorKind::InvalidData)?,
            ))
        }
        length => usize::from(length),
    };
    if second & MASKED == 0 {
        return wire.exact(length).await;
    }
    let mask = wire.exact(4).await?;
    let mask = mask.try_into().map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(masked(&wire.exact(length).await?, mask).collect())
}

fn masked(payload: &[u8], mask: [u8; 4]) -> impl Iterator<Item = u8> {
    let mask = mask.into_iter().cycle();
    payload.iter().zip(mask).map(|(byte, mask)| byte ^ mask)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a panic is how a test fails

    use super::*;

    #[tokio::test]
    async fn frames_are_read_as_they_were_written() {
        let (near, far) = tokio::io::duplex(16 * 1_024);
        let (mut near, mut far) = (Wire::new(near), Wire::new(far));
        for length in [0, 1, 125, 126, 4_096] {
            let payload: Vec<u8> = (0..length).map(|at: u32| at.to_be_bytes()[3]).collect();
            for mask in [None, Some([1, 2, 3, 4])] {
                near.send(&frame(&payload, mask)).await.unwrap();
                assert_eq!(read(&mut far).await.unwrap(), payload);
            }
        }
    }
}
