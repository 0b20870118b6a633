//! Sessions over UDP.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::UdpSocket;

use super::{Flow, Lasting, payload};
use crate::{origin::udp, random::Random};

/// The longest datagram that is sent.
const LONGEST: u64 = 1_200;

/// A session: all its datagrams come to the origin from one port.
pub struct Session {
    socket: UdpSocket,
    port: Option<Vec<u8>>,
}

impl Session {
    /// Begins one.
    pub async fn open(to: SocketAddr) -> anyhow::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        socket.connect(to).await?;
        Ok(Self { socket, port: None })
    }
}

impl Flow for Session {
    async fn exchange(&mut self, random: &mut Random) -> anyhow::Result<()> {
        let sent = payload(random, LONGEST);
        self.socket.send(&sent).await?;
        let mut buffer = vec![0; udp::LONGEST];
        let count = self.socket.recv(&mut buffer).await?;
        let came = buffer.get(..count).unwrap_or_default();
        let (echo, port) = came.split_at_checked(sent.len()).unwrap_or_default();
        anyhow::ensure!(echo == sent, "another datagram came back");
        let known = self.port.get_or_insert_with(|| port.to_vec());
        anyhow::ensure!(known == port, "the session was begun anew");
        Ok(())
    }

    fn lasts(&self) -> Lasting {
        Lasting::Connection
    }
}
