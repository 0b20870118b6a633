//! Serves client connections of HTTP/1.x: one request after the other, in the task of the connection.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use novaedge_http1::encode::{self, Length};
use novaedge_http1::{HeadError, HeadLimits, Persistence, RequestHead};
use novaedge_turns::let_others_before;

use super::Connection;
use super::transport::Tunnelled;
use super::wire::{Received, Unread, Wire};
use crate::body::Body;
use crate::client::Client;
use crate::drain::{Drain, Stage};
use crate::ending::{Ending, How};
use crate::exchange::{self, Inbound, Served};
use crate::headers;
use crate::http1::{Form, MessageWriter, WriteError, head_buffer};
use crate::interim::Interims;
use crate::reason::{self, Reason};
use crate::trail;
use crate::upgrade::{PendingUpgrade, Promise, Wish};
use crate::worker::Worker;

/// Bytes of a request body that are read and dropped after an early answer, so that the connection can
/// go on, or so that its end does not take the answer away from the client.
const DISCARD: usize = 256 * 1024;

/// How long that may take.
const LINGER: Duration = Duration::from_secs(1);

/// Bytes of an answer that are written before other connections have their turn.
const ANSWER_TURN: usize = 256 * 1024;

/// One connection.
pub(super) struct Session<'a> {
    pub worker: &'a Rc<Worker>,
    pub client: Client,
    pub wire: Rc<Wire>,
    pub connection: &'a Rc<Connection>,
    pub drain: Drain,
    /// An idle connection is to end.
    pub finishing: &'a Cell<bool>,
}

/// What is known of a request when its answer is written.
struct Asked {
    method: Method,
    version: Version,
    persistence: Persistence,
    trailers: bool,
}

/// What comes after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Next,
    Close,
    /// The connection broke, or left HTTP: there is nothing more to say on it.
    Gone,
}

// === impl Session ===

impl Session<'_> {
    /// Serves requests to the end of the connection.
    pub(super) async fn run(&self) {
        let limits = HeadLimits {
            bytes: self.worker.config.downstream.max_head_bytes,
            fields: self.worker.config.downstream.max_headers,
        };
        loop {
            let received = poll_fn(|cx| self.wire.poll_head(cx, limits, self.finishing.get()));
            let after = match received.await {
                Received::Request(head) => self.exchange(head).await,
                Received::Refused(error) => self.refuse(error).await,
                Received::End => break,
            };
            match after {
                // Whoever sends requests without waiting for answers shares the worker with those who wait.
                After::Next if self.wire.has_unread() => let_others_before().await,
                After::Next => {}
                After::Close => break,
                After::Gone => return,
            }
        }
        self.close().await;
    }

    /// One request and its answer.
    async fn exchange(&self, head: Box<RequestHead>) -> After {
        // The turn ends after the request is counted no more.
        let (_turn, body) = self.wire.begin(&head);
        let _in_flight = self.connection.begin();
        let (upgrade, promise) = match headers::upgrade_protocol(head.version, &head.headers) {
            Some(protocol) => {
                let (promise, io) = PendingUpgrade::promised();
                (Some(Wish { protocol, io }), Some(promise))
            }
            None => (None, None),
        };
        let asked = Asked {
            method: head.method.clone(),
            version: head.version,
            persistence: head.persistence,
            trailers: headers::wants_trailers(&head.headers),
        };
        let request = request(*head, Body::client(body));
        let interims = Interims::default();
        // RFC 9110 section 15.2: clients of HTTP/1.0 know none.
        let telling = (asked.version == Version::HTTP_11).then_some(&interims);
        let inbound = Inbound { request, upgrade };
        let serving = exchange::serve(self.worker, &self.client, inbound, telling);
        let Some(served) = self.unless_gone(pin!(serving), &interims).await else {
            return After::Gone;
        };
        let Served { response, ending } = served;
        self.answer(&asked, response, promise, Some(ending)).await
    }

    /// The answer, unless the client goes before it is there. Informational ones are written meanwhile.
    async fn unless_gone<F: Future>(
        &self,
        mut serving: Pin<&mut F>,
        interims: &Interims,
    ) -> Option<F::Output> {
        poll_fn(|cx| {
            let polled = serving.as_mut().poll(cx);
            while let Some(interim) = interims.take() {
                self.wire.tell(cx, &interim);
            }
            match polled {
                Poll::Ready(output) => Poll::Ready(Some(output)),
                Poll::Pending => self.wire.poll_gone(cx).map(|()| None),
            }
        })
        .await
    }

    async fn answer(
        &self,
        asked: &Asked,
        response: Box<Response<Body>>,
        promise: Option<Promise>,
        ending: Option<Ending>,
    ) -> After {
        let (mut parts, body) = response.into_parts();
        let switched = parts.status == StatusCode::SWITCHING_PROTOCOLS;
        let (length, form) = framing(asked, parts.status, &parts.headers, &body);
        let mut out = head_buffer();
        let unread = self.wire.end_interim(&mut out);
        let persists = asked.persistence == Persistence::KeepAlive
            && form != Form::UntilClose
            && unread != Unread::Lost
            && !self.finishing.get()
            && self.drain.stage() == Stage::Serving
            && !says_close(&parts.headers);
        if !switched {
            set_connection(&mut parts.headers, asked.version, persists);
        }
        if !parts.headers.contains_key(header::DATE) && !switched {
            parts.headers.insert(header::DATE, self.worker.date());
        }
        encode::response_head(
            &mut out,
            asked.version,
            parts.status,
            &parts.headers,
            length,
        );
        drop(parts);
        let how = self
            .write(MessageWriter::answer(out, body, form, ANSWER_TURN))
            .await;
        if let Some(ending) = ending {
            ending.end(how);
        }
        if how != How::Complete {
            return After::Gone;
        }
        if switched {
            if let Some(promise) = promise {
                promise.keep(Tunnelled(Rc::clone(&self.wire)));
            }
            return After::Gone;
        }
        if persists && (unread == Unread::Nothing || self.discard_body().await) {
            After::Next
        } else {
            After::Close
        }
    }

    /// Writes a message, unless the client goes meanwhile.
    async fn write(&self, mut writer: MessageWriter) -> How {
        let mut sink = Rc::clone(&self.wire);
        poll_fn(|cx| match writer.poll(cx, &mut sink) {
            Poll::Ready(Ok(())) => Poll::Ready(How::Complete),
            Poll::Ready(Err(error)) => {
                tracing::trace!(?error, "answer broken off");
                Poll::Ready(match error {
                    WriteError::Io(_) => How::ClientGone,
                    WriteError::Body(_) | WriteError::Length => How::BackendGone,
                })
            }
            Poll::Pending => self.wire.poll_gone(cx).map(|()| How::ClientGone),
        })
        .await
    }

    /// Reads the rest of a request body that the answer did not wait for.
    async fn discard_body(&self) -> bool {
        // A backend that still reads the body must not get the rest of it with holes.
        self.wire.end_turn();
        let mut limit = DISCARD;
        within_linger(|cx| self.wire.poll_discard(cx, &mut limit))
            .await
            .unwrap_or(false)
    }

    /// Answers what is no request, if its client may understand that.
    async fn refuse(&self, error: HeadError) -> After {
        self.worker.metrics.heads_refused.increment();
        tracing::trace!(%error, "request head refused");
        if error == HeadError::NotHttp {
            return After::Close;
        }
        let why = reason::of_head(error);
        let version = Version::HTTP_11;
        trail::refused(self.worker, &self.client, version, error.status(), why);
        let mut response = if error == HeadError::Coding {
            let none = self.worker.metrics.listener(None);
            none.own_answer(Reason::TransferCoding);
            Reason::TransferCoding.response()
        } else {
            let mut response = Response::new(Body::full(format!("{error}\n")));
            *response.status_mut() = error.status();
            let text = HeaderValue::from_static("text/plain; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, text);
            response
        };
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        let asked = Asked {
            method: Method::GET,
            version: Version::HTTP_11,
            persistence: Persistence::Close,
            trailers: false,
        };
        match self.answer(&asked, Box::new(response), None, None).await {
            After::Next | After::Close => {
                self.linger().await;
                After::Gone
            }
            After::Gone => After::Gone,
        }
    }

    /// Ends the connection. What the client still sends is read for a moment: the kernel would
    /// otherwise take back an answer that has not been read yet (RFC 9112 section 9.6).
    async fn close(&self) {
        if self.wire.has_unread() {
            self.linger().await;
        } else if !self.wire.ends_by_itself() {
            // A connection that is gone already needs no end.
            let _ = within_linger(|cx| self.wire.poll_shutdown(cx)).await;
        }
    }

    async fn linger(&self) {
        let mut limit = DISCARD;
        let mut shut = false;
        let ended = within_linger(|cx| {
            if !shut {
                match self.wire.poll_shutdown(cx) {
                    Poll::Ready(Ok(())) => shut = true,
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
            self.wire.poll_drop_all(cx, &mut limit)
        });
        // Whoever goes on sending is cut.
        let _ = ended.await;
    }
}

/// Waits for `poll`, but not for long. The timer is set only when there is something to wait for.
async fn within_linger<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Option<T> {
    let at_once = poll_fn(|cx| Poll::Ready(poll(cx))).await;
    if let Poll::Ready(value) = at_once {
        return Some(value);
    }
    tokio::time::timeout(LINGER, poll_fn(poll)).await.ok()
}

fn request(head: RequestHead, body: Body) -> Box<Request<Body>> {
    let mut request = Box::new(Request::new(body));
    *request.method_mut() = head.method;
    *request.uri_mut() = head.target;
    *request.version_mut() = head.version;
    *request.headers_mut() = head.headers;
    request
}

/// How the answer's body is written, and what its head says of it (RFC 9112 section 6).
fn framing(asked: &Asked, status: StatusCode, headers: &HeaderMap, body: &Body) -> (Length, Form) {
    let exact = body.size_hint().exact();
    if asked.method == Method::HEAD || status == StatusCode::NOT_MODIFIED {
        // The length of the answer to another request.
        let declared = headers
            .get(header::CONTENT_LENGTH)
            .and_then(declared_length);
        let own = exact.filter(|length| *length > 0);
        return (
            declared.or(own).map_or(Length::Unsaid, Length::Fixed),
            Form::Nothing,
        );
    }
    if status.is_informational() || status == StatusCode::NO_CONTENT {
        return (Length::Unsaid, Form::Nothing);
    }
    match exact {
        Some(length) => (Length::Fixed(length), Form::Fixed(length)),
        None if asked.version == Version::HTTP_10 => (Length::Unsaid, Form::UntilClose),
        None if asked.trailers => (Length::Chunked, Form::Chunked),
        None => (Length::Chunked, Form::ChunkedAlone),
    }
}

fn declared_length(value: &HeaderValue) -> Option<u64> {
    let digits = value.as_bytes();
    let valid = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    value.to_str().ok().filter(|_| valid)?.parse().ok()
}

fn says_close(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|option| option.trim().eq_ignore_ascii_case("close"))
}

/// Says what happens to the connection where that is not what the version says anyway.
fn set_connection(headers: &mut HeaderMap, version: Version, persists: bool) {
    let option = match (persists, version) {
        (false, _) => HeaderValue::from_static("close"),
        (true, Version::HTTP_10) => HeaderValue::from_static("keep-alive"),
        (true, _) => return,
    };
    headers.insert(header::CONNECTION, option);
}
