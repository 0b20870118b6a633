//! The seams for other transports than plain TCP.

use std::{
    io,
    task::{Context, Poll},
};

use hyper_util::rt::TokioIo;
use novaedge_publish::{Publisher, Server, ServerConfig};
use novaedge_subscribe::{Phase, Subscriber};
use tokio::{io::DuplexStream, sync::mpsc};
use tokio_stream::{StreamExt as _, wrappers::UnboundedReceiverStream};
use tokio_util::sync::CancellationToken;
use tonic::{
    codegen::{BoxFuture, Service},
    transport::Uri,
};

use crate::harness::{Agent, config, names, publish};

/// Connects to a server in the same process.
#[derive(Clone)]
struct InMemory(mpsc::UnboundedSender<DuplexStream>);

impl Service<Uri> for InMemory {
    type Response = TokioIo<DuplexStream>;
    type Error = io::Error;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        // Smaller than a message, so that flow control has a part in it.
        let (ours, theirs) = tokio::io::duplex(4_096);
        let sent = self.0.send(theirs);
        Box::pin(async move {
            sent.map_err(|_| io::ErrorKind::ConnectionRefused)?;
            Ok(TokioIo::new(ours))
        })
    }
}

#[tokio::test]
async fn server_and_agent_meet_in_memory() {
    let publisher = Publisher::default();
    let (connections, incoming) = mpsc::unbounded_channel();
    let incoming = UnboundedReceiverStream::new(incoming).map(Ok);
    let shutdown = CancellationToken::new();
    let server = Server::new(publisher.clone(), ServerConfig::default());
    let serve = server.serve_incoming(incoming, shutdown.clone().cancelled_owned());
    let serve = tokio::spawn(serve);
    let connector = InMemory(connections);
    let subscriber = Subscriber::new(config(([127, 0, 0, 1], 1).into()), None, Box::new(|| 0.5));
    let dial = move |endpoint: &tonic::transport::Endpoint| {
        endpoint.connect_with_connector_lazy(connector.clone())
    };
    let mut agent = Agent::run(subscriber.unwrap().dialing(Box::new(dial)));
    let all: Vec<_> = (0..2_000).map(|n| format!("route/{n}")).collect();
    let upserts: Vec<_> = all.iter().map(|name| (name.as_str(), 1)).collect();
    publish(&publisher, &upserts);
    agent.until("synced", |s| s.phase == Phase::Synced).await;
    publisher.wait_acknowledged(1).await;
    assert_eq!(names(&agent.steps()[0]).len(), 2_000);
    agent.stop().await;
    shutdown.cancel();
    serve.await.unwrap().unwrap();
}
