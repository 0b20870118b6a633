//! Keeps the agent subscribed.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{future::Either, pin_mut};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;

use crate::{
    answering::{self, Answers},
    backoff::Backoff,
    config::{Dial, Jitter, SubscribeError, SubscriberConfig},
    connector::Connector,
    holdings::Holdings,
    last_good::LastGood,
    metrics::Metrics,
    status::{Phase, Status},
    step::Applier,
    stream::{self, Held, StreamError},
    writer::Writer,
};

/// The wait before a subscription that begins anew of the agent's own accord. Short, because until then the
/// control plane does not count the agent; not zero, whatever makes it begin anew.
const ANEW_WAIT: Duration = Duration::from_millis(10);

/// Keeps a stream to the control plane, any number of reconnections long.
pub struct Subscriber {
    config: SubscriberConfig,
    endpoint: Endpoint,
    last_good: Option<LastGood>,
    jitter: Jitter,
    dial: Dial,
    leaving: watch::Receiver<bool>,
    answers: Option<Arc<dyn Answers>>,
    status: watch::Sender<Status>,
    metrics: Arc<Metrics>,
}

impl Subscriber {
    /// A subscriber that has not begun. Without `last_good` nothing is kept on disk.
    pub fn new(
        config: SubscriberConfig,
        last_good: Option<LastGood>,
        jitter: Jitter,
    ) -> Result<Self, SubscribeError> {
        let connector = Connector {
            resolve: Arc::clone(&config.resolve),
            tls: config.tls.clone(),
        };
        Ok(Self {
            endpoint: config.transport()?,
            config,
            last_good,
            jitter,
            dial: Box::new(move |endpoint| endpoint.connect_with_connector_lazy(connector.clone())),
            leaving: watch::channel(false).1,
            answers: None,
            status: watch::Sender::default(),
            metrics: Arc::default(),
        })
    }

    /// Tells the control plane once `leaving` is true that this agent is about to end, so that it gets
    /// no new connections, and goes on until `shutdown`.
    #[must_use]
    pub fn announcing(mut self, leaving: watch::Receiver<bool>) -> Self {
        self.leaving = leaving;
        self
    }

    /// Answers what people ask of this agent.
    #[must_use]
    pub fn answering(mut self, answers: Arc<dyn Answers>) -> Self {
        self.answers = Some(answers);
        self
    }

    /// Makes connections in another way, for instance in memory.
    #[must_use]
    pub fn dialing(mut self, dial: Dial) -> Self {
        self.dial = dial;
        self
    }

    /// What the subscriber is doing, as it changes.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Counters.
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    /// Puts the last good snapshot in force, then follows the control plane until `shutdown`. Returns
    /// after the step in progress and the final write.
    pub async fn run<A: Applier>(self, applier: &mut A, shutdown: impl Future<Output = ()> + Send) {
        let stop = CancellationToken::new();
        let follow = self.follow(applier, stop.clone());
        pin_mut!(follow, shutdown);
        if let Either::Left(((), follow)) = futures_util::future::select(shutdown, follow).await {
            stop.cancel();
            follow.await;
        }
    }

    async fn follow<A: Applier>(mut self, applier: &mut A, stop: CancellationToken) {
        let writer = self.last_good.clone();
        let writer = writer.map(|last_good| Writer::start(last_good, Arc::clone(&self.metrics)));
        let mut held = Held {
            holdings: Holdings::default(),
            rejected: BTreeMap::new(),
            anew: false,
            writer,
            leaving: self.leaving.clone(),
            status: self.status.clone(),
            metrics: Arc::clone(&self.metrics),
        };
        self.load(&mut held, applier).await;
        let mut backoff = Backoff::new(self.config.backoff);
        while !stop.is_cancelled() {
            self.status
                .send_modify(|status| status.phase = Phase::Connecting);
            self.metrics.connections.add(1);
            let begin = Instant::now();
            let channel = (self.dial)(&self.endpoint);
            let answering = answering::keep(channel.clone(), &self.config, self.answers.clone());
            let end = tokio::select! {
                end = stream::serve(channel, &self.config, &mut held, applier, &stop) => end,
                () = answering => Ok(()),
            };
            let Err(error) = end else { break };
            self.note(&error, &mut held);
            if begin.elapsed() >= self.config.stable_after {
                backoff.reset();
            }
            let wait = match error {
                StreamError::Anew => ANEW_WAIT.min(self.config.backoff.min),
                _ => backoff.next((self.jitter)()),
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stream::keep_recovering(applier) => {}
                () = stop.cancelled() => {}
            }
        }
        if let Some(writer) = held.writer.take() {
            writer.finish().await;
        }
        self.status
            .send_modify(|status| status.phase = Phase::Ended);
    }

    // Exclusive, because the jitter and the dial need not be `Sync`.
    async fn load<A: Applier>(&mut self, held: &mut Held, applier: &mut A) {
        let Some(last_good) = self.last_good.clone() else {
            return;
        };
        match tokio::task::spawn_blocking(move || last_good.load()).await {
            Ok(Ok(Some((version, resources)))) => {
                tracing::info!(
                    resources = resources.len(),
                    "the last good snapshot is loaded"
                );
                held.restore(version, resources, applier).await;
            }
            Ok(Ok(None)) => tracing::info!("there is no last good snapshot"),
            Ok(Err(error)) => self.warn_of_disk(&error),
            Err(error) => self.warn_of_disk(&error),
        }
    }

    fn warn_of_disk(&self, error: &(dyn std::error::Error + 'static)) {
        tracing::warn!(error, "the last good snapshot was not loaded");
        self.status
            .send_modify(|status| status.last_error = Some(error.to_string()));
    }

    fn note(&self, error: &StreamError, held: &mut Held) {
        match error {
            StreamError::Staging(_) => self.metrics.protocol_errors.add(1),
            StreamError::Holdings(_) => {
                self.metrics.protocol_errors.add(1);
                held.holdings.distrust();
            }
            StreamError::Anew => {
                tracing::info!("subscribing anew: refused resources are to be judged again");
                return;
            }
            StreamError::Timeout
            | StreamError::Token(_)
            | StreamError::Grpc(_)
            | StreamError::Ended => {}
        }
        tracing::info!(%error, endpoint = self.config.endpoint, "the stream ended");
        self.status.send_modify(|status| {
            status.phase = Phase::Connecting;
            status.last_error = Some(error.to_string());
        });
    }
}
