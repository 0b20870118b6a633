//! TCP, TLS and UDP clients.

use std::{io, net::SocketAddr, sync::Arc};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpStream, UdpSocket},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::within;

/// A connection to a [`crate::origins::tcp`] origin.
pub struct Tcp {
    stream: BufReader<TcpStream>,
    /// The origin's name.
    pub origin: String,
}

impl Tcp {
    /// Connects and reads the origin's name; an error when the gateway closes instead.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        within("a TCP greeting", async {
            let mut stream = BufReader::new(TcpStream::connect(address).await?);
            let mut origin = String::new();
            if stream.read_line(&mut origin).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok(Self {
                stream,
                origin: origin.trim_end().to_owned(),
            })
        })
        .await
    }

    /// Sends `text` and reads it back.
    pub async fn echo(&mut self, text: &str) -> io::Result<()> {
        within("a TCP echo", async {
            self.stream.write_all(text.as_bytes()).await?;
            let mut back = vec![0; text.len()];
            self.stream.read_exact(&mut back).await?;
            assert_eq!(back, text.as_bytes());
            Ok(())
        })
        .await
    }

    /// Closes the sending half and reads what still comes.
    pub async fn finish(mut self) -> io::Result<Vec<u8>> {
        within("the end of a TCP stream", async {
            self.stream.get_mut().shutdown().await?;
            let mut rest = Vec::new();
            self.stream.read_to_end(&mut rest).await?;
            Ok(rest)
        })
        .await
    }
}

/// A client of a [`crate::origins::udp`] origin.
pub struct Udp {
    socket: UdpSocket,
}

impl Udp {
    /// A socket that talks to `address`.
    pub async fn connect(address: SocketAddr) -> Self {
        let socket = UdpSocket::bind(("127.0.0.1", 0))
            .await
            .expect("a free port");
        socket.connect(address).await.expect("a UDP socket");
        Self { socket }
    }

    /// Sends `text`; the origin's name and the port that the origin saw.
    pub async fn ask(&self, text: &str) -> (String, u16) {
        within("a UDP answer", async {
            self.socket
                .send(text.as_bytes())
                .await
                .expect("a datagram is sent");
            let mut buffer = vec![0; 65_535];
            let length = self.socket.recv(&mut buffer).await.expect("an answer");
            let answer = String::from_utf8_lossy(&buffer[..length]).into_owned();
            let mut parts = answer.splitn(3, ':');
            let name = parts.next().unwrap_or_default().to_owned();
            let port = parts.next().and_then(|p| p.parse().ok()).expect("a port");
            assert_eq!(parts.next(), Some(text));
            (name, port)
        })
        .await
    }
}

/// A TLS connection with the SNI `host`.
pub async fn connect_tls(
    address: SocketAddr,
    host: &str,
    config: Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    within("a TLS handshake", async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(host.to_owned()).expect("a host name");
        TlsConnector::from(config).connect(name, stream).await
    })
    .await
}
