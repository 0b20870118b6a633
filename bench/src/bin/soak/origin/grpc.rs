//! An origin over cleartext HTTP/2 that sends back what streams bring, with the trailers of gRPC.

use bytes::Bytes;
use h2::{
    RecvStream,
    server::{self, SendResponse},
};
use http::{HeaderMap, HeaderValue, Response};
use tokio::{net::TcpStream, task::JoinSet};

use super::Origin;

/// Starts it.
pub async fn start() -> anyhow::Result<Origin> {
    Origin::start(|stream| async move {
        // Clients see what went wrong.
        let _ = serve(stream).await;
    })
    .await
}

async fn serve(stream: TcpStream) -> Result<(), h2::Error> {
    let mut connection = server::handshake(stream).await?;
    let mut streams = JoinSet::new();
    while let Some(request) = connection.accept().await {
        let (request, respond) = request?;
        streams.spawn(async move {
            let _ = echo(request.into_body(), respond).await;
        });
        while streams.try_join_next().is_some() {}
    }
    Ok(())
}

async fn echo(mut body: RecvStream, mut respond: SendResponse<Bytes>) -> Result<(), h2::Error> {
    let mut response = Response::new(());
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", grpc);
    let mut send = respond.send_response(response, false)?;
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        // Messages are small: they may wait for room in the window.
        send.send_data(data, false)?;
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    send.send_trailers(trailers)
}
