//! Origins that send back what comes, over TCP and over TLS.

use std::{io, sync::Arc};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

use super::Origin;

/// Over TCP.
pub async fn tcp() -> anyhow::Result<Origin> {
    Origin::start(|stream| async move {
        let _ = echo(stream).await;
    })
    .await
}

/// Over TLS.
pub async fn tls(config: Arc<ServerConfig>) -> anyhow::Result<Origin> {
    let acceptor = TlsAcceptor::from(config);
    Origin::start(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                let _ = echo(stream).await;
            }
        }
    })
    .await
}

async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut buffer = vec![0; 8 * 1_024];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return stream.shutdown().await;
        }
        stream
            .write_all(buffer.get(..count).unwrap_or_default())
            .await?;
        stream.flush().await?;
    }
}
