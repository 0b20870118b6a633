//! Copies of requests for other backends. Their answers are dropped, and nothing that they do holds
//! up the request itself.

use std::cell::Cell;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;
use novaedge_router::Backend;
use smallvec::SmallVec;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use crate::body::Body;
use crate::error::BodyError;
use crate::forward::{Outgoing, Route, protocol};
use crate::metrics::Metrics;
use crate::worker::{Current, Worker};

/// What a queued frame costs beside its bytes.
const FRAME_OVERHEAD: usize = 64;

/// The request that is copied.
pub(crate) struct Mirroring<'a> {
    pub worker: &'a Rc<Worker>,
    pub current: &'a Rc<Current>,
    pub client: IpAddr,
    /// The certificate that the Gateway shows to TLS backends.
    pub certificate: Option<&'a Arc<str>>,
    pub grpc: bool,
}

impl Mirroring<'_> {
    /// Starts the copies, and returns the body for the request itself: what passes through it is copied.
    pub(crate) fn send(&self, backends: &[&Arc<Backend>], outgoing: &Outgoing, body: Body) -> Body {
        let empty = body.is_end_stream();
        let lag = self.worker.config.mirror.lag;
        let mut copies = SmallVec::new();
        for backend in backends {
            let metrics = &self.worker.metrics;
            let in_flight = &self.worker.mirrors_in_flight;
            if in_flight.get() >= self.worker.config.mirror.concurrency {
                metrics.mirrors_dropped.increment();
                continue;
            }
            metrics.mirrored.increment();
            in_flight.set(in_flight.get() + 1);
            if empty {
                self.start(backend, Box::new(outgoing.clone()), Body::empty());
            } else {
                let (copy, body) = copy(lag, body.size_hint(), metrics);
                copies.push(copy);
                self.start(backend, Box::new(outgoing.clone()), body);
            }
        }
        if copies.is_empty() {
            body
        } else {
            Body::boxed(Tee {
                source: body,
                copies,
            })
        }
    }

    fn start(&self, backend: &Arc<Backend>, outgoing: Box<Outgoing>, body: Body) {
        let worker = Rc::clone(self.worker);
        let backend = Arc::clone(backend);
        let tls = self.current.backend_client(&backend, self.certificate);
        let (client, grpc) = (self.client, self.grpc);
        let in_flight = InFlight(Rc::clone(&worker));
        self.worker.tasks.spawn_local(async move {
            let _in_flight = in_flight;
            let Ok(tls) = tls else { return };
            let limit = worker.config.mirror.timeout;
            let route = Route {
                worker: &worker,
                backend: &backend,
                state: worker.backend(&backend),
                started: Instant::now(),
                protocol: protocol(grpc, &backend),
                tls,
                client,
                pinned: None,
                retry: None,
                deadline: Some(Instant::now() + limit),
                try_limit: None,
                interims: None,
                trail: None,
            };
            match route.forward(outgoing, body).await {
                // The answer is read to its end, so that the connection can be used again.
                Ok(forwarded) => {
                    let mut body = forwarded.answer.response.into_body();
                    while let Some(Ok(_)) = body.frame().await {}
                }
                Err(error) => {
                    worker.metrics.mirrors_failed.increment();
                    tracing::debug!(error = &error as &dyn std::error::Error, backend = %backend.name, "mirror failed");
                }
            }
        });
    }
}

struct InFlight(Rc<Worker>);

impl Drop for InFlight {
    fn drop(&mut self) {
        let in_flight = &self.0.mirrors_in_flight;
        in_flight.set(in_flight.get().saturating_sub(1));
    }
}

/// Copies what a body yields. A copy whose reader lags too far behind fails.
struct Tee {
    source: Body,
    copies: SmallVec<[Copy; 2]>,
}

/// The writing end of a copy.
struct Copy {
    sender: UnboundedSender<Piece>,
    queued: Rc<Cell<usize>>,
    lag: usize,
    metrics: Arc<Metrics>,
}

enum Piece {
    Data(Bytes),
    Trailers(http::HeaderMap),
    End,
}

/// The reading end of a copy. Without an [`Piece::End`] the body is incomplete, and fails.
struct CopyBody {
    receiver: UnboundedReceiver<Piece>,
    queued: Rc<Cell<usize>>,
    size: SizeHint,
    ended: bool,
}

fn copy(lag: usize, size: SizeHint, metrics: &Arc<Metrics>) -> (Copy, Body) {
    // Bounded by `lag`, in bytes.
    let (sender, receiver) = unbounded_channel();
    let queued = Rc::new(Cell::new(0));
    let body = CopyBody {
        receiver,
        queued: Rc::clone(&queued),
        size,
        ended: false,
    };
    (
        Copy {
            sender,
            queued,
            lag,
            metrics: Arc::clone(metrics),
        },
        Body::boxed(body),
    )
}

impl Copy {
    /// Whether the copy can go on.
    fn push(&self, frame: &Frame<Bytes>) -> bool {
        if let Some(data) = frame.data_ref() {
            let queued = self.queued.get() + data.len() + FRAME_OVERHEAD;
            self.queued.set(queued);
            if queued > self.lag {
                self.metrics.mirrors_lagging.increment();
                return false;
            }
            return self.sender.send(Piece::Data(data.clone())).is_ok();
        }
        frame
            .trailers_ref()
            .is_none_or(|trailers| self.sender.send(Piece::Trailers(trailers.clone())).is_ok())
    }
}

impl HttpBody for Tee {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.source).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => self.copies.retain(|copy| copy.push(frame)),
            Some(Err(_)) => self.copies.clear(),
            None => {}
        }
        // A codec need not ask again when the body says that it is complete.
        if frame.is_none() || self.source.is_end_stream() {
            for copy in self.copies.drain(..) {
                let _ = copy.sender.send(Piece::End);
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.source.size_hint()
    }
}

impl HttpBody for CopyBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(self.receiver.poll_recv(cx)) {
            Some(Piece::Data(data)) => {
                let queued = self
                    .queued
                    .get()
                    .saturating_sub(data.len() + FRAME_OVERHEAD);
                self.queued.set(queued);
                Some(Ok(Frame::data(data)))
            }
            Some(Piece::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Some(Piece::End) => {
                self.ended = true;
                None
            }
            None => {
                self.ended = true;
                Some(Err(BodyError::MirrorLag))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.size
    }
}
