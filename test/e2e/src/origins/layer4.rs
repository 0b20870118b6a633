//! TCP and UDP origins.

use std::sync::{Arc, atomic::Ordering};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, UdpSocket},
    task::JoinSet,
};

use super::Origin;

/// Says `<name>\n` to each connection, then sends back what arrives, and closes after the client
/// has closed its half.
pub async fn tcp(name: &str) -> Origin {
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .expect("a free port");
    let address = listener
        .local_addr()
        .expect("a bound socket has an address");
    let greeting: Arc<str> = format!("{name}\n").into();
    Origin::spawn(address, |hits| async move {
        let mut connections = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            hits.fetch_add(1, Ordering::SeqCst);
            let greeting = greeting.clone();
            connections.spawn(async move {
                let (mut read, mut write) = stream.split();
                if write.write_all(greeting.as_bytes()).await.is_ok() {
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                }
                let _ = write.shutdown().await;
            });
        }
    })
}

/// Answers each datagram with `<name>:<peer port>:<datagram>`.
pub async fn udp(name: &str) -> Origin {
    let socket = UdpSocket::bind(("127.0.0.1", 0))
        .await
        .expect("a free port");
    let address = socket.local_addr().expect("a bound socket has an address");
    let name = name.to_owned();
    Origin::spawn(address, |hits| async move {
        let mut buffer = vec![0; 65_535];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
            hits.fetch_add(1, Ordering::SeqCst);
            let mut answer = format!("{name}:{}:", peer.port()).into_bytes();
            answer.extend_from_slice(&buffer[..length]);
            let _ = socket.send_to(&answer, peer).await;
        }
    })
}

/// Reads something from each connection, then resets it. The hits are the connections that sent something.
pub async fn resetting() -> Origin {
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .expect("a free port");
    let address = listener
        .local_addr()
        .expect("a bound socket has an address");
    Origin::spawn(address, |hits| async move {
        let mut connections = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let hits = hits.clone();
            connections.spawn(async move {
                if matches!(stream.read(&mut [0; 1]).await, Ok(1)) {
                    hits.fetch_add(1, Ordering::SeqCst);
                }
                // What is left unread makes the kernel reset the connection when it is closed.
            });
        }
    })
}
