//! The gRPC server: snapshot discovery, reflection and health.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt as _, future::Either, pin_mut, stream};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::transport::server::{Connected, Router};
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::{
    admission::Admission,
    authenticate::Authenticate,
    guard::Guarded,
    publisher::Publisher,
    service::Discovery,
    session::SessionLimits,
    stream::StreamContext,
    tls::{self, TlsSettings},
};

/// Who may reach a server that speaks plaintext.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Exposure {
    /// This host alone: snapshots hold private keys.
    #[default]
    LoopbackOnly,
    /// Whoever reaches the address.
    AnyAddress,
}

/// Settings of a [`Server`].
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Streams of agents at one time. Default 1,000.
    pub max_sessions: usize,
    /// How long a subscription, a message of a step, and its ack may take. Default 30 s.
    pub ack_deadline: Duration,
    /// How long a drain waits for peers before it cuts their connections. Default 5 s.
    pub drain_deadline: Duration,
    /// How often a silent connection is probed. Default 10 s.
    pub keepalive_interval: Duration,
    /// How long the answer to a probe may take. Default 10 s.
    pub keepalive_timeout: Duration,
    /// Whether [`Server::serve`] takes a listener that others than this host reach.
    pub exposure: Exposure,
    /// What one session accepts.
    pub session: SessionLimits,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            max_sessions: 1_000,
            ack_deadline: Duration::from_secs(30),
            drain_deadline: Duration::from_secs(5),
            keepalive_interval: Duration::from_secs(10),
            keepalive_timeout: Duration::from_secs(10),
            exposure: Exposure::default(),
            session: SessionLimits::default(),
        }
    }
}

/// Why a server does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Plaintext is for loopback, unless asked for.
    #[error(
        "{0} is no loopback address, and snapshots with private keys would leave this host in plaintext: use one such as 127.0.0.1"
    )]
    NotLoopback(SocketAddr),
    /// The listener has no address.
    #[error("the listener's address cannot be read")]
    Listener(#[source] io::Error),
    /// The reflection service cannot be built.
    #[error("the descriptors of the services are broken")]
    Reflection(#[source] tonic_reflection::server::Error),
    /// The transport failed.
    #[error("the gRPC transport failed")]
    Transport(#[source] tonic::transport::Error),
}

/// Serves what a [`Publisher`] publishes.
#[derive(Debug)]
pub struct Server {
    publisher: Publisher,
    config: ServerConfig,
    authenticate: Option<Arc<dyn Authenticate>>,
}

impl Server {
    /// A server for one publisher. Several servers may share one.
    pub fn new(publisher: Publisher, config: ServerConfig) -> Self {
        Self {
            publisher,
            config,
            authenticate: None,
        }
    }

    /// Lets in those alone whom `authenticate` knows. Health and reflection stay open to all, and
    /// inspection to this host.
    #[must_use]
    pub fn authenticating(mut self, authenticate: Arc<dyn Authenticate>) -> Self {
        self.authenticate = Some(authenticate);
        self
    }

    /// Serves TLS on a listener until `shutdown`, then drains like [`Server::serve`]. Until `settings`
    /// hold a certificate connections wait. A change of `settings` holds for new connections.
    pub async fn serve_tls(
        self,
        listener: TcpListener,
        mut settings: TlsSettings,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ServeError> {
        pin_mut!(shutdown);
        let ready = settings.clone();
        let certificate = async { settings.wait_for(Option::is_some).await.is_ok() };
        pin_mut!(certificate);
        let shutdown = match futures_util::future::select(certificate, shutdown).await {
            Either::Left((true, shutdown)) => shutdown,
            // Whoever makes the certificates has ended, so there will be none.
            Either::Left((false, _)) | Either::Right(_) => return Ok(()),
        };
        let accepted = accept(listener, self.publisher.clone());
        let incoming = tls::handshakes(accepted, ready, self.publisher.clone());
        self.serve_incoming(incoming, shutdown).await
    }

    /// Serves plaintext on a listener until `shutdown`, then drains: agents are told to go elsewhere,
    /// and after the drain deadline what is left is cut.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ServeError> {
        let address = listener.local_addr().map_err(ServeError::Listener)?;
        if self.config.exposure == Exposure::LoopbackOnly && !address.ip().is_loopback() {
            return Err(ServeError::NotLoopback(address));
        }
        let incoming = accept(listener, self.publisher.clone());
        self.serve_incoming(incoming, shutdown).await
    }

    /// Serves on connections that the caller has made, for instance after a TLS handshake.
    pub async fn serve_incoming<I, IO>(
        self,
        incoming: I,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ServeError>
    where
        I: Stream<Item = io::Result<IO>> + Send,
        IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    {
        let drain = CancellationToken::new();
        let cut = CancellationToken::new();
        // When the caller drops this future, nothing of the server stays behind.
        let _guards = (drain.clone().drop_guard(), cut.clone().drop_guard());
        let tasks = TaskTracker::new();
        let (reporter, router) = self.router(&drain, &tasks)?;
        let incoming = incoming.map(|io| io.map(|io| Guarded::new(io, cut.clone())));
        let served = router.serve_with_incoming_shutdown(incoming, drain.clone().cancelled_owned());
        let lifecycle = async {
            let ready = report_ready(&self.publisher, &reporter);
            pin_mut!(ready, shutdown);
            if let Either::Left(((), shutdown)) =
                futures_util::future::select(ready, shutdown).await
            {
                shutdown.await;
            }
            reporter
                .set_service_status("", ServingStatus::NotServing)
                .await;
            reporter.set_not_serving::<Discovery>().await;
            drain.cancel();
            tokio::time::sleep(self.config.drain_deadline).await;
            tracing::warn!("the drain deadline has passed, remaining connections are cut");
            self.publisher.metrics().drains_cut.add(1);
            cut.cancel();
            std::future::pending::<()>().await;
        };
        let result = {
            pin_mut!(served, lifecycle);
            match futures_util::future::select(served, lifecycle).await {
                Either::Left((result, _)) => result,
                Either::Right(((), served)) => served.await,
            }
        };
        // The transport is gone, also when it failed: what is left of the streams ends now.
        drain.cancel();
        cut.cancel();
        tasks.close();
        tasks.wait().await;
        result.map_err(ServeError::Transport)
    }

    fn router(
        &self,
        drain: &CancellationToken,
        tasks: &TaskTracker,
    ) -> Result<(HealthReporter, Router), ServeError> {
        let config = &self.config;
        let context = StreamContext {
            publisher: self.publisher.clone(),
            limits: config.session,
            ack_deadline: config.ack_deadline,
            drain: drain.clone(),
            now_ms: unix_ms,
        };
        let admission = Admission::new(self.authenticate.clone());
        let discovery = Discovery::new(context, admission, config.max_sessions, tasks.clone());
        let descriptors = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(novaedge_proto::FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let v1 = descriptors().build_v1().map_err(ServeError::Reflection)?;
        let v1alpha = descriptors()
            .build_v1alpha()
            .map_err(ServeError::Reflection)?;
        let (reporter, health) = tonic_health::server::health_reporter();
        let router = tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(config.keepalive_interval))
            .http2_keepalive_timeout(Some(config.keepalive_timeout))
            .max_concurrent_streams(64)
            .http2_max_header_list_size(16 << 10)
            .add_service(health)
            .add_service(v1)
            .add_service(v1alpha)
            .add_service(discovery);
        Ok((reporter, router))
    }
}

/// Keeps the discovery service's health on "not serving" until there is a snapshot.
async fn report_ready(publisher: &Publisher, reporter: &HealthReporter) {
    reporter.set_not_serving::<Discovery>().await;
    // The publisher outlives the wait, so it does not fail.
    let _ = publisher
        .versions()
        .wait_for(|version| version.sequence > 0)
        .await;
    reporter.set_serving::<Discovery>().await;
}

/// Accepts for ever: running out of file descriptors passes.
fn accept(
    listener: TcpListener,
    publisher: Publisher,
) -> impl Stream<Item = io::Result<TcpStream>> {
    stream::unfold((listener, publisher), |(listener, publisher)| async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    // Steps are small and wanted at once. Failing to set it costs latency alone.
                    let _ = stream.set_nodelay(true);
                    return Some((Ok(stream), (listener, publisher)));
                }
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    publisher.metrics().accept_errors.add(1);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    })
}

fn unix_ms() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .ok()
        .and_then(|elapsed| i64::try_from(elapsed.as_millis()).ok())
        .unwrap_or(0)
}
