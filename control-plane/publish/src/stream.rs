//! The task of one agent's stream: moves messages between the session and the transport, and keeps
//! the deadlines.

use std::{collections::VecDeque, future::pending, sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt as _};
use novaedge_proto::v1;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use crate::{
    agents::{Entrant, Place},
    authenticate::Caller,
    feed::Feed,
    publisher::Publisher,
    scope::Scope,
    session::{Received, Session, SessionError, SessionLimits},
    step::StepMessage,
};

/// How long a stream that ends with an error tries to tell the agent why.
const FAREWELL: Duration = Duration::from_secs(1);

/// What all streams of a server share.
#[derive(Debug)]
pub(crate) struct StreamContext {
    pub(crate) publisher: Publisher,
    pub(crate) limits: SessionLimits,
    /// How long a subscription, a message of a step, and its ack may take.
    pub(crate) ack_deadline: Duration,
    /// Cancelled when the server drains.
    pub(crate) drain: CancellationToken,
    /// Milliseconds since the Unix epoch.
    pub(crate) now_ms: fn() -> i64,
}

/// What the transport sends.
pub(crate) type Outbound = mpsc::Sender<Result<StepMessage, Status>>;

/// The other end of a stream.
#[derive(Debug)]
pub(crate) struct StreamPeer {
    /// For people.
    pub(crate) address: String,
    /// Whose credentials it has; `None` when none are asked for.
    pub(crate) caller: Option<Caller>,
    /// What it is given: the feed of the caller's scope.
    pub(crate) feed: Arc<Feed>,
}

/// Serves a stream until either side ends it.
pub(crate) async fn serve<I>(
    context: Arc<StreamContext>,
    inbound: I,
    outbound: Outbound,
    peer: StreamPeer,
) where
    I: Stream<Item = Result<v1::AgentMessage, Status>> + Unpin,
{
    let metrics = context.publisher.metrics();
    metrics.sessions_opened.add(1);
    let mut stream = AgentStream {
        session: Session::new(context.limits),
        context: &context,
        peer_address: peer.address,
        caller: peer.caller,
        feed: peer.feed,
        place: None,
        unsent: VecDeque::new(),
        published: None,
        deadline: Instant::now() + context.ack_deadline,
    };
    let end = stream.run(inbound, &outbound).await;
    let node = stream.node().to_owned();
    if let Some(place) = &stream.place {
        context.publisher.agents().leave(place);
    }
    metrics.sessions_closed.add(1);
    match end {
        Ok(()) => tracing::info!(node, peer = stream.peer_address, "agent left"),
        Err(status) => {
            tracing::info!(node, peer = stream.peer_address, code = ?status.code(),
                reason = status.message(), "stream closed");
            let farewell = outbound.send(Err(status));
            // A transport that takes nothing any more is gone or stuck; the agent then sees the end
            // of the stream alone.
            let _ = tokio::time::timeout(FAREWELL, farewell).await;
        }
    }
}

struct AgentStream<'a> {
    context: &'a StreamContext,
    session: Session,
    peer_address: String,
    caller: Option<Caller>,
    feed: Arc<Feed>,
    place: Option<Place>,
    /// Messages of the step in flight that the transport has not taken yet.
    unsent: VecDeque<StepMessage>,
    /// When the version of the step in flight was published, if the agent waited for it.
    published: Option<std::time::Instant>,
    deadline: Instant,
}

impl AgentStream<'_> {
    /// Runs until the agent ends the stream (`Ok`) or it has to be closed.
    async fn run<I>(&mut self, mut inbound: I, outbound: &Outbound) -> Result<(), Status>
    where
        I: Stream<Item = Result<v1::AgentMessage, Status>> + Unpin,
    {
        let mut versions = self.feed.versions();
        loop {
            versions.mark_unchanged();
            self.prepare_step()?;
            let idle = self.session.is_subscribed() && self.session.in_flight().is_none();
            let taken_over = async {
                match &self.place {
                    Some(place) => place.taken_over.cancelled().await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = self.context.drain.cancelled() => {
                    return Err(Status::unavailable("the control plane shuts down"));
                }
                () = taken_over => {
                    let node = self.node();
                    return Err(Status::aborted(format!("another stream of node {node} took over")));
                }
                () = tokio::time::sleep_until(self.deadline), if !idle => return Err(self.too_late()),
                () = outbound.closed() => return Ok(()),
                permit = outbound.reserve(), if !self.unsent.is_empty() => match permit {
                    Ok(permit) => self.send(permit),
                    Err(_closed) => return Ok(()),
                },
                // The publisher outlives its streams, so this does not fail.
                _ = versions.changed(), if idle => {}
                message = inbound.next() => match message {
                    Some(Ok(message)) => self.receive(message)?,
                    Some(Err(status)) => return Err(self.unreadable(status)),
                    None => return Ok(()),
                },
            }
        }
    }

    fn prepare_step(&mut self) -> Result<(), Status> {
        let has_followed = self.session.acknowledged().is_some();
        let log = self.feed.log();
        let step = self.session.next_step(&log);
        self.published = self.feed.published().filter(|_| has_followed);
        drop(log);
        let Some(step) = step.map_err(|error| self.breach(&error))? else {
            return Ok(());
        };
        self.unsent = step.messages.into();
        self.deadline = Instant::now() + self.context.ack_deadline;
        if let Some(place) = &self.place {
            self.context.publisher.agents().sent(place, step.version);
        }
        tracing::debug!(
            node = self.node(),
            version = step.version.sequence,
            messages = self.unsent.len(),
            "step begins"
        );
        Ok(())
    }

    fn send(&mut self, permit: mpsc::Permit<'_, Result<StepMessage, Status>>) {
        let Some(mut message) = self.unsent.pop_front() else {
            return;
        };
        if let Some(published) = self.published.filter(|_| message.last) {
            let age = published.elapsed().as_micros();
            message.age_us = u64::try_from(age).unwrap_or(u64::MAX).max(1);
        }
        let metrics = self.context.publisher.metrics();
        metrics.messages_sent.add(1);
        metrics.bytes_sent.add(message.encoded_len() as u64);
        if message.last {
            metrics.steps_sent.add(1);
        }
        permit.send(Ok(message));
        // A slow network gets the time for every message anew.
        self.deadline = Instant::now() + self.context.ack_deadline;
    }

    fn receive(&mut self, message: v1::AgentMessage) -> Result<(), Status> {
        let publisher = &self.context.publisher;
        let received = self.session.receive(message);
        match received.map_err(|error| self.breach(&error))? {
            Received::Part => {}
            Received::Stale => publisher.metrics().stale_acks.add(1),
            Received::Draining => {
                tracing::info!(node = self.node(), "agent is about to end");
                if let Some(place) = &self.place {
                    publisher.agents().draining(place);
                }
            }
            Received::Subscribed(node) => {
                let node = self.admit(node)?;
                tracing::info!(
                    node = node.id,
                    agent_version = node.agent_version,
                    peer = self.peer_address,
                    "agent subscribed"
                );
                let scope = self.caller.as_ref().map(|caller| caller.scope.clone());
                let entrant = Entrant {
                    node,
                    peer_address: self.peer_address.clone(),
                    scope: scope.unwrap_or(Scope::All),
                    feed: Arc::clone(&self.feed),
                };
                let now_ms = (self.context.now_ms)();
                self.place = Some(publisher.agents().join(entrant, now_ms));
            }
            Received::Acknowledged {
                version,
                rejected,
                texts_cut,
            } => {
                if !self.unsent.is_empty() {
                    publisher.metrics().sessions_failed.add(1);
                    return Err(Status::invalid_argument(
                        "an ack came before the end of its step",
                    ));
                }
                publisher.metrics().acks.add(1);
                let answers = match rejected {
                    0 => &self.feed.acks,
                    _ => &self.feed.nacks,
                };
                answers.add(1);
                publisher.metrics().rejections.add(rejected as u64);
                let cut = texts_cut as u64;
                publisher.metrics().rejection_texts_cut.add(cut);
                if let Some(place) = &self.place {
                    let now_ms = (self.context.now_ms)();
                    let all = self.session.rejected();
                    let serves = Arc::clone(self.session.serves());
                    publisher
                        .agents()
                        .acknowledged(place, version, all, serves, now_ms);
                }
                tracing::debug!(
                    node = self.node(),
                    version = version.sequence,
                    rejected,
                    "step acknowledged"
                );
            }
        }
        Ok(())
    }

    fn admit(&self, node: v1::Node) -> Result<v1::Node, Status> {
        let Some(caller) = &self.caller else {
            return Ok(node);
        };
        caller.admit(node).map_err(|why| {
            self.context.publisher.metrics().callers_refused.add(1);
            Status::permission_denied(why)
        })
    }

    /// The agent's end of the stream broke, or it sent what is no message or too large a one.
    fn unreadable(&self, status: Status) -> Status {
        if matches!(status.code(), Code::OutOfRange | Code::Internal) {
            self.context.publisher.metrics().sessions_failed.add(1);
        }
        status
    }

    fn too_late(&self) -> Status {
        self.context.publisher.metrics().sessions_failed.add(1);
        let seconds = self.context.ack_deadline.as_secs_f64();
        let what = if self.session.is_subscribed() {
            "step was not taken and acknowledged"
        } else {
            "subscription did not come"
        };
        Status::deadline_exceeded(format!("the {what} within {seconds} s"))
    }

    fn breach(&self, error: &SessionError) -> Status {
        let message = error.to_string();
        match error {
            SessionError::LogTruncated(_) => Status::aborted(message),
            SessionError::TooManyHeld(_) => {
                self.context.publisher.metrics().sessions_failed.add(1);
                Status::resource_exhausted(message)
            }
            _ => {
                self.context.publisher.metrics().sessions_failed.add(1);
                Status::invalid_argument(message)
            }
        }
    }

    fn node(&self) -> &str {
        self.place.as_ref().map_or("", Place::node)
    }
}
