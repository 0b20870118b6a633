//! HTTP/1.1 connections: one request at a time, back to the pool when the response has been read.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use http::{Request, Response, StatusCode, Version, header};
use http_body::Body as _;
use novaedge_http1::encode::{self, Length};
use novaedge_http1::{Asked, ResponseHead};
use socket2::SockRef;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

use super::connect::{Connector, Stream};
use super::endpoint::Active;
use super::pool::{Pool, Slot};
use super::transfer::Transfer;
use super::{Answer, SendFailure};
use crate::body::Body;
use crate::downstream::Rewound;
use crate::error::ForwardError;
use crate::http1::{self, Form, MessageWriter, Sink};
use crate::interim::Interims;
use crate::upgrade::PendingUpgrade;

/// Bytes of a request that are written before others have their turn: its mirrors, for one.
const REQUEST_TURN: usize = 32 * 1024;

/// An open connection.
pub(super) struct Connection {
    pub(super) stream: Stream,
    /// Bytes that have come and belong to nothing yet.
    pub(super) buffer: BytesMut,
    slot: Slot,
}

/// The exclusive use of a connection for one request.
pub(crate) struct Lease {
    pub(super) connection: Connection,
    pool: Rc<Pool>,
    connector: Rc<Connector>,
    reused: bool,
    pub(super) active: Active,
}

impl Connection {
    pub(super) fn new(stream: Stream, slot: Slot) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
            slot,
        }
    }

    /// Whether an idle connection can be used: its peer has neither closed it nor sent anything, which
    /// would be taken for the answer to the next request. This asks the system only when something has
    /// come.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let mut read = ReadBuf::new(&mut byte);
        let mut cx = Context::from_waker(Waker::noop());
        self.buffer.is_empty()
            && Pin::new(&mut self.stream)
                .poll_read(&mut cx, &mut read)
                .is_pending()
    }

    /// Whether the peer has closed the connection: this asks the system, which may know more than the last look at all
    /// sockets has told.
    pub(super) fn has_ended(&self) -> bool {
        let tcp = match &self.stream {
            Stream::Tcp(tcp) => tcp,
            Stream::Tls(tls) => tls.get_ref().0,
        };
        let mut byte = [MaybeUninit::uninit()];
        match SockRef::from(tcp).peek(&mut byte) {
            Ok(read) => read == 0,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }
}

impl Sink for Stream {
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        http1::poll_write_slices(self, cx, bytes)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self).poll_flush(cx)
    }
}

// === impl Lease ===

impl Lease {
    pub(super) fn new(
        connection: Connection,
        pool: &Rc<Pool>,
        connector: &Rc<Connector>,
        reused: bool,
        active: Active,
    ) -> Self {
        Self {
            connection,
            pool: Rc::clone(pool),
            connector: Rc::clone(connector),
            reused,
            active,
        }
    }

    pub(super) fn is_reused(&self) -> bool {
        self.reused
    }

    pub(super) async fn send(
        self,
        mut request: Box<Request<Body>>,
        interims: Option<&Interims>,
    ) -> Result<Answer, Box<SendFailure>> {
        let body = std::mem::take(request.body_mut());
        let bodiless = body.is_end_stream();
        let limits = self.connector.head_limits;
        let mut transfer = Transfer::new(self, writer(&request, body), limits);
        let asked = Asked::from(request.method());
        match poll_fn(|cx| transfer.poll_head(cx, asked, interims)).await {
            Ok(head) => Ok(answer(transfer, head)),
            Err(error) => Err(Box::new(failure(error, transfer, request, bodiless))),
        }
    }

    /// Gives the connection back: the response has been read, and the request was sent.
    pub(super) fn release(self) {
        if self.connection.buffer.is_empty() {
            let mut connection = self.connection;
            // An idle connection holds no memory for bytes.
            connection.buffer = BytesMut::new();
            self.pool.put(connection, &self.connector.metrics);
        }
    }
}

/// The request as it is written. Its length is that of the body, whatever its fields say.
fn writer(request: &Request<Body>, body: Body) -> MessageWriter {
    let (length, form) = match body.size_hint().exact() {
        Some(0) if request.headers().contains_key(header::CONTENT_LENGTH) => {
            (Length::Fixed(0), Form::Nothing)
        }
        Some(0) => (Length::Unsaid, Form::Nothing),
        Some(length) => (Length::Fixed(length), Form::Fixed(length)),
        None => (Length::Chunked, Form::Chunked),
    };
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let mut head = http1::head_buffer();
    encode::request_head(
        &mut head,
        request.method(),
        target,
        request.headers(),
        length,
    );
    MessageWriter::request(head, body, form, REQUEST_TURN)
}

fn answer(transfer: Transfer, head: ResponseHead) -> Answer {
    let mut response = Box::new(Response::new(Body::empty()));
    *response.status_mut() = head.status;
    *response.version_mut() = Version::HTTP_11;
    *response.headers_mut() = head.headers;
    let upgrade = if head.status == StatusCode::SWITCHING_PROTOCOLS {
        let (connection, active) = transfer.into_connection();
        let io = Rewound::new(connection.buffer, connection.stream);
        // The tunnel counts as the request did.
        Some(PendingUpgrade::ready(io).holding((connection.slot, active)))
    } else {
        *response.body_mut() = transfer.into_body(head.body, head.persistence);
        None
    };
    Answer { response, upgrade }
}

/// What is left of a request that got no answer. `request` is the one that was sent, without its body.
fn failure(
    error: ForwardError,
    transfer: Transfer,
    mut request: Box<Request<Body>>,
    bodiless: bool,
) -> SendFailure {
    match (error, transfer.into_unsent()) {
        (ForwardError::Reset(source), Some(body)) => {
            *request.body_mut() = body;
            SendFailure {
                error: ForwardError::Unprocessed(source),
                unsent: Some(request),
                copy: None,
                lost_body: false,
            }
        }
        (error, _) => SendFailure {
            error,
            unsent: None,
            copy: Some(request),
            lost_body: !bodiless,
        },
    }
}
