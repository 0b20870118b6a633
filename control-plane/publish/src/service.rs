//! The gRPC service `novaedge.v1.SnapshotDiscovery`.
//!
//! The dispatch is written by hand, because the generated one encodes every message anew for every
//! agent: the step stream has a codec of its own.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use novaedge_proto::v1;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::TaskTracker;
use tonic::{
    Request, Response, Status, Streaming,
    body::Body,
    codegen::{BoxFuture, Service},
    server::{Grpc, NamedService, ServerStreamingService, StreamingService, UnaryService},
};
use tonic_prost::ProstCodec;

use crate::{
    admission::{self, Admission, Method},
    asking::Asking,
    authenticate::Caller,
    codec::StepCodec,
    fetch::{self, FetchError},
    scope::Scope,
    step::StepMessage,
    stream::{self, StreamContext},
    watching,
};

/// Messages that wait for the transport, per stream.
const OUTBOUND_MESSAGES: usize = 1;

/// Other replicas that watch at one time.
const MAX_WATCHERS: usize = 64;

/// The largest message that an agent may send, in bytes.
pub(crate) const MAX_INBOUND_BYTES: usize = 4 << 20;

/// The largest message that is sent, in bytes: gRPC's default limit at the receiver.
pub(crate) const MAX_OUTBOUND_BYTES: usize = 4 << 20;

/// The service; a clone is the same service.
#[derive(Debug, Clone)]
pub(crate) struct Discovery {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    context: Arc<StreamContext>,
    admission: Admission,
    asking: Asking,
    sessions: Arc<Semaphore>,
    /// Streams on which agents answer: as many as there are sessions.
    answering: Arc<Semaphore>,
    watchers: Arc<Semaphore>,
    max_sessions: usize,
    tasks: TaskTracker,
}

impl Discovery {
    /// A service for at most `max_sessions` streams, which run as tasks of `tasks`.
    pub(crate) fn new(
        context: StreamContext,
        admission: Admission,
        max_sessions: usize,
        tasks: TaskTracker,
    ) -> Self {
        let max_sessions = max_sessions.min(Semaphore::MAX_PERMITS);
        Self {
            shared: Arc::new(Shared {
                context: Arc::new(context),
                admission,
                asking: Asking::default(),
                sessions: Arc::new(Semaphore::new(max_sessions)),
                answering: Arc::new(Semaphore::new(max_sessions)),
                watchers: Arc::new(Semaphore::new(MAX_WATCHERS)),
                max_sessions,
                tasks,
            }),
        }
    }
}

impl Shared {
    fn stream(
        &self,
        caller: Option<Caller>,
        request: Request<Streaming<v1::AgentMessage>>,
    ) -> Result<Response<ReceiverStream<Result<StepMessage, Status>>>, Status> {
        let publisher = &self.context.publisher;
        let metrics = publisher.metrics();
        let Ok(permit) = Arc::clone(&self.sessions).try_acquire_owned() else {
            metrics.sessions_refused.add(1);
            return Err(Status::resource_exhausted(format!(
                "{} agents are connected already, which is the limit (max_sessions)",
                self.max_sessions
            )));
        };
        let scope = caller.as_ref().map_or(&Scope::All, |caller| &caller.scope);
        let feed = publisher.feed(scope);
        let feed = feed.map_err(|error| Status::resource_exhausted(error.to_string()))?;
        let peer = admission::address(request.extensions());
        let peer = peer.map_or_else(String::new, |address| address.to_string());
        let (outbound, messages) = mpsc::channel(OUTBOUND_MESSAGES);
        let context = Arc::clone(&self.context);
        self.tasks.spawn(async move {
            let peer = stream::StreamPeer {
                address: peer,
                caller,
                feed,
            };
            stream::serve(context, request.into_inner(), outbound, peer).await;
            drop(permit);
        });
        Ok(Response::new(ReceiverStream::new(messages)))
    }

    fn watch(&self) -> Result<Response<ReceiverStream<Result<v1::AgentChanges, Status>>>, Status> {
        let Ok(permit) = Arc::clone(&self.watchers).try_acquire_owned() else {
            return Err(Status::resource_exhausted(
                "too many replicas watch already",
            ));
        };
        let (outbound, messages) = mpsc::channel(OUTBOUND_MESSAGES);
        let fleet = self.context.publisher.fleet_acks();
        let drain = self.context.drain.clone();
        self.tasks.spawn(async move {
            watching::serve(fleet, outbound, drain).await;
            drop(permit);
        });
        Ok(Response::new(ReceiverStream::new(messages)))
    }

    fn answer(
        &self,
        caller: Option<Caller>,
        request: Request<Streaming<v1::AgentAnswer>>,
    ) -> Result<Response<ReceiverStream<Result<v1::Question, Status>>>, Status> {
        let Ok(permit) = Arc::clone(&self.answering).try_acquire_owned() else {
            return Err(Status::resource_exhausted("too many agents answer already"));
        };
        let drain = self.context.drain.clone();
        let (questions, serve) = self.asking.seat(caller, request.into_inner(), drain);
        self.tasks.spawn(async move {
            serve.await;
            drop(permit);
        });
        Ok(Response::new(ReceiverStream::new(questions)))
    }

    fn ask(
        &self,
        request: &v1::AskAgentsRequest,
    ) -> Result<Response<ReceiverStream<Result<v1::AgentsAnswer, Status>>>, Status> {
        let (answers, watch) = self.asking.ask(request, self.context.drain.clone())?;
        self.tasks.spawn(watch);
        Ok(Response::new(ReceiverStream::new(answers)))
    }

    fn fetch(
        &self,
        request: &v1::FetchSnapshotRequest,
    ) -> Result<Response<v1::FetchSnapshotResponse>, Status> {
        let page = fetch::page(&self.context.publisher.log(), request);
        let page = page.map_err(|error| match error {
            FetchError::NothingPublished => Status::unavailable(error.to_string()),
            FetchError::WrongToken => Status::invalid_argument(error.to_string()),
        })?;
        let response = page.into_response();
        response
            .map(Response::new)
            .map_err(|error| Status::internal(format!("a published resource is broken: {error}")))
    }

    fn list(&self) -> Response<v1::ListAgentsResponse> {
        let publisher = &self.context.publisher;
        let (list, is_cut) = publisher.agents().list();
        publisher.metrics().listings_cut.add(u64::from(is_cut));
        Response::new(list)
    }
}

impl NamedService for Discovery {
    const NAME: &'static str = v1::snapshot_discovery_server::SERVICE_NAME;
}

impl Service<http::Request<Body>> for Discovery {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let path = request.uri().path().rsplit('/').next().unwrap_or_default();
            let (method, rpc) = match path {
                "StreamSnapshots" => (Method::StreamSnapshots, Rpc::StreamSnapshots),
                "AnswerQuestions" => (Method::AnswerQuestions, Rpc::AnswerQuestions),
                "AskAgents" => (Method::Inspect, Rpc::AskAgents),
                "WatchAgents" => (Method::WatchAgents, Rpc::WatchAgents),
                "FetchSnapshot" => (Method::Inspect, Rpc::FetchSnapshot),
                "ListAgents" => (Method::Inspect, Rpc::ListAgents),
                _ => return Ok(Status::unimplemented("no such method").into_http()),
            };
            let (parts, body) = request.into_parts();
            let metrics = shared.context.publisher.metrics();
            let caller = match shared.admission.admit(method, &parts, metrics).await {
                Ok(caller) => caller,
                Err(status) => return Ok(status.into_http()),
            };
            let request = http::Request::from_parts(parts, body);
            Ok(match rpc {
                Rpc::StreamSnapshots => {
                    let mut grpc = Grpc::new(StepCodec)
                        .max_decoding_message_size(MAX_INBOUND_BYTES)
                        .max_encoding_message_size(MAX_OUTBOUND_BYTES);
                    grpc.streaming(StreamSnapshots(shared, caller), request)
                        .await
                }
                Rpc::WatchAgents => grpc().server_streaming(WatchAgents(shared), request).await,
                Rpc::AnswerQuestions => {
                    let service = AnswerQuestions(shared, caller);
                    grpc().streaming(service, request).await
                }
                Rpc::AskAgents => grpc().server_streaming(AskAgents(shared), request).await,
                Rpc::FetchSnapshot => unary(FetchSnapshot(shared), request).await,
                Rpc::ListAgents => unary(ListAgents(shared), request).await,
            })
        })
    }
}

async fn unary<S, M, R>(service: S, request: http::Request<Body>) -> http::Response<Body>
where
    S: UnaryService<M, Response = R>,
    M: prost::Message + Default + Send + 'static,
    R: prost::Message + Send + 'static,
{
    grpc().unary(service, request).await
}

/// For methods whose messages are encoded as usual.
fn grpc<M, R>() -> Grpc<ProstCodec<R, M>>
where
    M: prost::Message + Default + Send + 'static,
    R: prost::Message + Send + 'static,
{
    Grpc::new(ProstCodec::default())
        .max_decoding_message_size(MAX_INBOUND_BYTES)
        .max_encoding_message_size(MAX_OUTBOUND_BYTES)
}

type Answer<T> = std::future::Ready<Result<Response<T>, Status>>;

enum Rpc {
    StreamSnapshots,
    AnswerQuestions,
    AskAgents,
    WatchAgents,
    FetchSnapshot,
    ListAgents,
}

struct StreamSnapshots(Arc<Shared>, Option<Caller>);

impl StreamingService<v1::AgentMessage> for StreamSnapshots {
    type Response = StepMessage;
    type ResponseStream = ReceiverStream<Result<StepMessage, Status>>;
    type Future = Answer<Self::ResponseStream>;

    fn call(&mut self, request: Request<Streaming<v1::AgentMessage>>) -> Self::Future {
        std::future::ready(self.0.stream(self.1.take(), request))
    }
}

struct AnswerQuestions(Arc<Shared>, Option<Caller>);

impl StreamingService<v1::AgentAnswer> for AnswerQuestions {
    type Response = v1::Question;
    type ResponseStream = ReceiverStream<Result<v1::Question, Status>>;
    type Future = Answer<Self::ResponseStream>;

    fn call(&mut self, request: Request<Streaming<v1::AgentAnswer>>) -> Self::Future {
        std::future::ready(self.0.answer(self.1.take(), request))
    }
}

struct AskAgents(Arc<Shared>);

impl ServerStreamingService<v1::AskAgentsRequest> for AskAgents {
    type Response = v1::AgentsAnswer;
    type ResponseStream = ReceiverStream<Result<v1::AgentsAnswer, Status>>;
    type Future = Answer<Self::ResponseStream>;

    fn call(&mut self, request: Request<v1::AskAgentsRequest>) -> Self::Future {
        std::future::ready(self.0.ask(&request.into_inner()))
    }
}

struct WatchAgents(Arc<Shared>);

impl ServerStreamingService<v1::WatchAgentsRequest> for WatchAgents {
    type Response = v1::AgentChanges;
    type ResponseStream = ReceiverStream<Result<v1::AgentChanges, Status>>;
    type Future = Answer<Self::ResponseStream>;

    fn call(&mut self, _: Request<v1::WatchAgentsRequest>) -> Self::Future {
        std::future::ready(self.0.watch())
    }
}

struct FetchSnapshot(Arc<Shared>);

impl UnaryService<v1::FetchSnapshotRequest> for FetchSnapshot {
    type Response = v1::FetchSnapshotResponse;
    type Future = Answer<Self::Response>;

    fn call(&mut self, request: Request<v1::FetchSnapshotRequest>) -> Self::Future {
        std::future::ready(self.0.fetch(&request.into_inner()))
    }
}

struct ListAgents(Arc<Shared>);

impl UnaryService<v1::ListAgentsRequest> for ListAgents {
    type Response = v1::ListAgentsResponse;
    type Future = Answer<Self::Response>;

    fn call(&mut self, _: Request<v1::ListAgentsRequest>) -> Self::Future {
        std::future::ready(Ok(self.0.list()))
    }
}
