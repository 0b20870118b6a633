//! The way of spans to a collector: a queue of bounded length, and a thread that sends what is in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    Sampler, SdkTracerProvider, Span, SpanData, SpanExporter, SpanProcessor,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use tonic::transport::Endpoint;
use tracing::Dispatch;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::tracer::{Sampling, TARGET, Tracer};

/// Spans that wait for the collector.
const WAITING: usize = 4096;

/// Spans that are sent at once.
const BATCH: usize = 512;

/// How long a batch is gathered.
const GATHER: Duration = Duration::from_millis(500);

/// How long the collector may take for a batch.
const ANSWER: Duration = Duration::from_secs(10);

/// How traces are kept.
#[derive(Clone, Debug)]
pub struct TraceConfig {
    /// `http://host:port` of a collector that speaks OTLP over gRPC.
    pub endpoint: String,
    /// What is recorded.
    pub sampling: Sampling,
    /// `service.name`.
    pub service: &'static str,
    /// `service.version`.
    pub version: &'static str,
    /// `service.instance.id`.
    pub instance: String,
}

/// Traces cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The address of the collector is none.
    #[error(
        "--otlp-endpoint {endpoint:?} must be http://HOST:PORT of a collector that speaks OTLP over gRPC"
    )]
    Endpoint {
        /// As it was given.
        endpoint: String,
    },
    /// There is no thread for it.
    #[error("can't start the thread that sends traces")]
    Thread(#[source] std::io::Error),
}

/// What became of the spans.
#[derive(Debug, Default)]
pub struct Counters {
    sent: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

impl Counters {
    /// Spans that the collector has taken.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Spans dropped, because too many waited.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Spans that were sent, and not taken.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

/// The thread that sends. Dropped, it stops at once.
#[derive(Debug)]
pub struct Export {
    stop: Option<oneshot::Sender<Instant>>,
    ended: oneshot::Receiver<()>,
}

impl Export {
    /// Sends what waits, for at most `limit`, then ends.
    pub async fn stop(mut self, limit: Duration) {
        let end = Instant::now() + limit;
        if let Some(stop) = self.stop.take() {
            // A thread that has ended needs no word.
            let _ = stop.send(end);
        }
        // It is dropped at the end of the thread.
        let _ = timeout_at(end, self.ended).await;
    }
}

/// Begins to send spans to the collector. It need not be there: what it does not take is counted.
pub fn start(config: TraceConfig) -> Result<(Tracer, Export), TraceError> {
    let refused = |_| TraceError::Endpoint {
        endpoint: config.endpoint.clone(),
    };
    let endpoint = Endpoint::from_shared(config.endpoint.clone()).map_err(refused)?;
    let uri = endpoint.uri();
    if uri.scheme_str() != Some("http") || uri.authority().is_none() {
        return Err(TraceError::Endpoint {
            endpoint: config.endpoint,
        });
    }
    let endpoint = endpoint.connect_timeout(ANSWER).timeout(ANSWER);
    let resource = Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.name", config.service),
            KeyValue::new("service.version", config.version),
            KeyValue::new("service.instance.id", config.instance),
        ])
        .build();
    let (queue, spans) = mpsc::channel(WAITING);
    let (stop, stopped) = oneshot::channel();
    let (ending, ended) = oneshot::channel();
    let counters = Arc::new(Counters::default());
    let sender = Sender {
        endpoint,
        resource: resource.clone(),
        spans,
        counters: Arc::clone(&counters),
        is_told: false,
    };
    std::thread::Builder::new()
        .name("otlp".into())
        .spawn(move || {
            let _ending = ending;
            sender.run(stopped);
        })
        .map_err(TraceError::Thread)?;
    let provider = SdkTracerProvider::builder()
        .with_sampler(Sampler::AlwaysOn) // what is not recorded has no span
        .with_resource(resource)
        .with_span_processor(Queue {
            spans: queue,
            counters: Arc::clone(&counters),
        })
        .build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("novaedge"))
        .with_location(false)
        .with_threads(false)
        .with_level(false)
        .with_target(false)
        .with_tracked_inactivity(false);
    let only = Targets::new().with_target(TARGET, LevelFilter::INFO);
    let dispatch = Dispatch::new(Registry::default().with(only).with(layer));
    let tracer = Tracer::new(dispatch, config.sampling, counters);
    let export = Export {
        stop: Some(stop),
        ended,
    };
    Ok((tracer, export))
}

/// Takes spans that have ended, from any thread.
#[derive(Debug)]
struct Queue {
    spans: mpsc::Sender<SpanData>,
    counters: Arc<Counters>,
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.spans.try_send(span).is_err() {
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// The thread's part.
struct Sender {
    endpoint: Endpoint,
    resource: Resource,
    spans: mpsc::Receiver<SpanData>,
    counters: Arc<Counters>,
    /// That the collector does not take them has been logged.
    is_told: bool,
}

impl Sender {
    fn run(self, stopped: oneshot::Receiver<Instant>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        match runtime {
            Ok(runtime) => runtime.block_on(self.send(stopped)),
            Err(error) => tracing::error!(%error, "traces can't be sent"),
        }
    }

    async fn send(mut self, mut stopped: oneshot::Receiver<Instant>) {
        let channel = self.endpoint.connect_lazy();
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_channel(channel)
            .with_timeout(ANSWER)
            .build();
        let mut exporter = match exporter {
            Ok(exporter) => exporter,
            Err(error) => {
                tracing::error!(%error, "traces can't be sent");
                return;
            }
        };
        exporter.set_resource(&self.resource);
        let mut batch = Vec::new();
        let end = loop {
            let gathering = self.gather(&mut batch);
            tokio::select! {
                end = &mut stopped => match end {
                    Ok(end) => break end,
                    Err(_) => return,
                },
                () = gathering => {}
            }
            if batch.is_empty() {
                // The tracer is gone.
                return;
            }
            self.export(&exporter, std::mem::take(&mut batch)).await;
        };
        self.spans.close();
        let rest = async {
            while !batch.is_empty() || self.spans.recv_many(&mut batch, BATCH).await > 0 {
                self.export(&exporter, std::mem::take(&mut batch)).await;
            }
        };
        let _ = timeout_at(end, rest).await;
    }

    /// Waits for the first span, and a moment for more.
    async fn gather(&mut self, batch: &mut Vec<SpanData>) {
        if self.spans.recv_many(batch, BATCH).await == 0 {
            return;
        }
        let end = Instant::now() + GATHER;
        while batch.len() < BATCH {
            let more = self.spans.recv_many(batch, BATCH - batch.len());
            if timeout_at(end, more).await.unwrap_or(0) == 0 {
                return;
            }
        }
    }

    async fn export(&mut self, exporter: &opentelemetry_otlp::SpanExporter, batch: Vec<SpanData>) {
        let count = batch.len() as u64;
        let sent = timeout(ANSWER, exporter.export(batch)).await;
        match sent
            .map_err(|late| late.to_string())
            .and_then(|sent| sent.map_err(|error| error.to_string()))
        {
            Ok(()) => {
                self.counters.sent.fetch_add(count, Ordering::Relaxed);
                self.is_told = false;
            }
            Err(error) => {
                self.counters.failed.fetch_add(count, Ordering::Relaxed);
                if !self.is_told {
                    tracing::warn!(error, "the collector of traces does not take them");
                }
                self.is_told = true;
            }
        }
    }
}
