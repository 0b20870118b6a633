//! One stream to the control plane.

use std::{
    collections::BTreeMap,
    io,
    sync::Arc,
    time::{Instant, SystemTime},
};

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::uri::PathAndQuery;
use novaedge_proto::{
    digest::ContentVersion,
    v1::{self, agent_message::Message},
};
use prost::Message as _;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{
    IntoStreamingRequest, Request, Response, Status as GrpcStatus, Streaming,
    client::Grpc,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};
use tonic_prost::ProstCodec;

use crate::{
    answer::answer,
    config::SubscriberConfig,
    connector::read,
    holdings::{Holdings, HoldingsError},
    metrics::Metrics,
    staging::{Staged, Staging, StagingError, StepMessage},
    status::{Phase, Status},
    step::{Applier, Origin, Step},
    upsert::Upsert,
    writer::{Change, Writer},
};

/// The largest message that is received, in bytes: gRPC's default.
const MAX_INBOUND_BYTES: usize = 4 << 20;

/// The method, as HTTP/2 names it.
const STREAM_SNAPSHOTS: &str = "/novaedge.v1.SnapshotDiscovery/StreamSnapshots";

/// Answers that wait for the transport.
const OUTBOUND_MESSAGES: usize = 4;

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    #[error("the control plane did not open the stream in time")]
    Timeout,
    #[error("the token cannot be used: {0}")]
    Token(io::Error),
    #[error("{}: {}", .0.code(), .0.message())]
    Grpc(#[from] GrpcStatus),
    #[error("the control plane ended the stream")]
    Ended,
    /// An answer tells of the resources of its step only; those of earlier steps come again with a new
    /// subscription.
    #[error("resources are to be judged anew")]
    Anew,
    #[error(transparent)]
    Staging(#[from] StagingError),
    #[error(transparent)]
    Holdings(#[from] HoldingsError),
}

/// What outlives a stream.
pub(crate) struct Held {
    pub(crate) holdings: Holdings,
    pub(crate) rejected: BTreeMap<String, v1::RejectedResource>,
    /// Whether resources of earlier steps may be judged otherwise by now.
    pub(crate) anew: bool,
    pub(crate) writer: Option<Writer>,
    /// Turns true when the agent is about to end.
    pub(crate) leaving: watch::Receiver<bool>,
    pub(crate) status: watch::Sender<Status>,
    pub(crate) metrics: Arc<Metrics>,
}

/// Serves one stream. Returns `Ok` when `stop` is cancelled.
pub(crate) async fn serve<A: Applier>(
    channel: Channel,
    config: &SubscriberConfig,
    held: &mut Held,
    applier: &mut A,
    stop: &CancellationToken,
) -> Result<(), StreamError> {
    let (outbound, answers) = mpsc::channel(OUTBOUND_MESSAGES);
    // The subscription leaves while the stream opens: the control plane may wait for it.
    let subscription = held.holdings.subscribe(&config.node);
    let messages = tokio_stream::iter(subscription).chain(ReceiverStream::new(answers));
    let mut request = Request::new(messages);
    authorize(&mut request, config).await?;
    let open = tokio::time::timeout(config.connect_timeout * 2, open_stream(channel, request));
    let mut inbound = tokio::select! {
        open = open => open.map_err(|_| StreamError::Timeout)??.into_inner(),
        // What recovers meanwhile was subscribed to as refused: it comes with the first step.
        () = keep_recovering(applier) => return Ok(()),
        () = stop.cancelled() => return Ok(()),
    };
    held.status
        .send_modify(|status| status.phase = Phase::Subscribed);
    let mut staging = Staging::new(config.max_staged_bytes);
    let mut leaving = held.leaving.clone();
    let mut announced = false;
    loop {
        let message = tokio::select! {
            message = inbound.message() => message?.ok_or(StreamError::Ended)?,
            () = applier.recover() => return Err(StreamError::Anew),
            () = turned_true(&mut leaving), if !announced => {
                announced = true;
                let drain = v1::AgentMessage {
                    message: Some(Message::Drain(v1::Drain {})),
                };
                tokio::select! {
                    // When nobody takes it, the next message tells why.
                    _ = outbound.send(drain) => continue,
                    () = stop.cancelled() => return Ok(()),
                }
            }
            () = stop.cancelled() => return Ok(()),
        };
        held.metrics.bytes.add(message.encoded_len() as u64);
        let Some(staged) = staging.accept(message)? else {
            continue;
        };
        let (received, age) = (Instant::now(), staged.age);
        let answers = held.take(staged, applier).await?;
        let took = received.elapsed();
        held.metrics.apply.observe(took);
        if let Some(age) = age {
            held.metrics.propagation.observe(age + took);
        }
        for message in answers {
            let sent = tokio::select! {
                sent = outbound.send(message) => sent,
                () = stop.cancelled() => return Ok(()),
            };
            // When nobody takes the answer, the next message tells why.
            if sent.is_err() {
                break;
            }
        }
        if std::mem::take(&mut held.anew) {
            return Err(StreamError::Anew);
        }
    }
}

/// Calls `SnapshotDiscovery.StreamSnapshots`, with a type of messages that leaves the resources encoded.
async fn open_stream(
    channel: Channel,
    request: impl IntoStreamingRequest<Message = v1::AgentMessage>,
) -> Result<Response<Streaming<StepMessage>>, GrpcStatus> {
    let mut client = Grpc::new(channel)
        .max_decoding_message_size(MAX_INBOUND_BYTES)
        .max_encoding_message_size(MAX_INBOUND_BYTES);
    let ready = client.ready().await;
    ready.map_err(|error| GrpcStatus::unknown(format!("Service was not ready: {error}")))?;
    let path = PathAndQuery::from_static(STREAM_SNAPSHOTS);
    let request = request.into_streaming_request();
    client.streaming(request, path, ProstCodec::default()).await
}

/// Puts the token into the metadata. It goes over TLS alone: whoever reads it is this agent.
pub(crate) async fn authorize<T>(
    request: &mut Request<T>,
    config: &SubscriberConfig,
) -> Result<(), StreamError> {
    let Some(file) = &config.token_file else {
        return Ok(());
    };
    if !config.endpoint.starts_with("https://") {
        return Ok(());
    }
    let token = read(file).await.map_err(StreamError::Token)?;
    let token = String::from_utf8_lossy(&token);
    let mut value: MetadataValue<Ascii> = format!("Bearer {}", token.trim())
        .parse()
        .map_err(|error| StreamError::Token(io::Error::other(error)))?;
    value.set_sensitive(true);
    request.metadata_mut().insert("authorization", value);
    Ok(())
}

/// Ends once the value is true; never when there is nobody left to change it.
async fn turned_true(value: &mut watch::Receiver<bool>) {
    if value.wait_for(|is_true| *is_true).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Lets the applier recover what it can. Never ends.
pub(crate) async fn keep_recovering<A: Applier>(applier: &mut A) {
    loop {
        applier.recover().await;
    }
}

impl Held {
    /// Puts a step of the stream in force, and returns the answer.
    async fn take<A: Applier>(
        &mut self,
        staged: Staged,
        applier: &mut A,
    ) -> Result<Vec<v1::AgentMessage>, HoldingsError> {
        let checked = self.holdings.check(&staged)?;
        let brought = Brought::of(&staged.upserts);
        let full = checked.is_full();
        let step = Step {
            version: staged.version.clone(),
            upserts: staged.upserts,
            removed: staged.removed,
            full,
            origin: Origin::Stream,
        };
        let (rejected, mut change) = self.apply(step, &brought, applier).await;
        self.holdings
            .commit(checked, |name| rejected.contains_key(name));
        change.kept = full.then(|| rejected.keys().cloned().collect());
        if let Some(writer) = &self.writer {
            writer.record(change);
        }
        self.status.send_modify(|status| {
            status.phase = Phase::Synced;
            status.last_error = None;
        });
        let rejected: Vec<_> = rejected.into_values().collect();
        Ok(answer(&staged.nonce, &staged.version, &rejected))
    }

    /// Puts a snapshot from disk in force.
    pub(crate) async fn restore<A: Applier>(
        &mut self,
        version: v1::Version,
        resources: Vec<Upsert>,
        applier: &mut A,
    ) {
        let brought = Brought::of(&resources);
        let step = Step {
            version: version.clone(),
            upserts: resources,
            removed: Vec::new(),
            full: true,
            origin: Origin::Disk,
        };
        let (rejected, change) = self.apply(step, &brought, applier).await;
        let usable = brought
            .iter()
            .filter(|(name, _)| !rejected.contains_key(*name))
            .filter_map(|(name, version)| Some((name.to_owned(), ContentVersion::parse(version)?)));
        self.holdings.restore(usable);
        if let Some(writer) = &self.writer {
            writer.restore(version, change.upserts);
        }
    }

    async fn apply<A: Applier>(
        &mut self,
        step: Step,
        brought: &Brought,
        applier: &mut A,
    ) -> (BTreeMap<String, v1::RejectedResource>, Change) {
        let mut change = Change {
            version: step.version.clone(),
            upserts: self.encoded(&step.upserts),
            removed: step.removed.clone(),
            kept: None,
        };
        let origin = step.origin;
        let before = std::mem::take(&mut self.rejected);
        let of_step =
            |name: &String| brought.version(name).is_some() || step.removed.contains(name);
        let (judged, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
            before.into_iter().partition(|(name, _)| of_step(name));
        if !step.full {
            self.rejected = others;
        }
        let touches_listeners = (brought.iter().any(|(name, _)| is_listener(name)))
            || step.removed.iter().any(|name| is_listener(name));
        let mut rejected = BTreeMap::new();
        for mut one in applier.apply(step).await {
            match brought.version(&one.name) {
                Some(version) => {
                    version.clone_into(&mut one.version);
                    rejected.insert(one.name.clone(), one);
                }
                None => self.reject_held(one),
            }
        }
        let heals = judged.keys().any(|name| !rejected.contains_key(name));
        self.anew |= heals && !self.rejected.is_empty()
            || touches_listeners && self.rejected.keys().any(|name| is_listener(name));
        rejected.values().for_each(warn);
        change
            .upserts
            .retain(|(name, _)| !rejected.contains_key(name));
        self.rejected.extend(rejected.clone());
        self.metrics.steps.add(1);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.ok().and_then(|now| u64::try_from(now.as_millis()).ok());
        self.metrics.applied_ms.set(now.unwrap_or(0));
        self.metrics.rejections.add(rejected.len() as u64);
        self.status.send_modify(|status| {
            status.version = Some(change.version.clone());
            status.origin = Some(origin);
            status.rejected = self.rejected.values().cloned().collect();
        });
        (rejected, change)
    }

    /// A resource that was in force is refused for what the step did to others.
    fn reject_held(&mut self, mut rejected: v1::RejectedResource) {
        if let Some(version) = self.holdings.release(&rejected.name) {
            rejected.version = version.to_string();
            warn(&rejected);
            self.rejected.insert(rejected.name.clone(), rejected);
            self.anew = true;
        }
    }

    fn encoded(&self, resources: &[Upsert]) -> Vec<(String, Bytes)> {
        if self.writer.is_none() {
            return Vec::new();
        }
        let encoded = resources.iter();
        encoded
            .map(|one| (one.name().to_owned(), one.to_bytes()))
            .collect()
    }
}

/// Listeners compete for sockets and hostnames: a change of one may let another in.
fn is_listener(name: &str) -> bool {
    name.starts_with("listener/")
}

fn warn(rejected: &v1::RejectedResource) {
    tracing::warn!(
        resource = rejected.name,
        version = rejected.version,
        error = rejected.error,
        "resource refused"
    );
}

/// What a step brought, by name. It shares the bytes of the messages.
struct Brought(Vec<Upsert>);

impl Brought {
    fn of(upserts: &[Upsert]) -> Self {
        let mut brought = upserts.to_vec();
        brought.sort_unstable_by(|a, b| a.name().cmp(b.name()));
        Self(brought)
    }

    /// The version of a resource; none if the step did not bring it.
    fn version(&self, name: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|one| one.name().cmp(name));
        self.0.get(at.ok()?).map(Upsert::version)
    }

    /// Names and versions.
    fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|one| (one.name(), one.version()))
    }
}
