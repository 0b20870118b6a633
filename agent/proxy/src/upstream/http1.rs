//! HTTP/1.1 connections: one request at a time, back to the pool when the response has been read.

use std::rc::Rc;
use std::time::Duration;

use http::{Request, StatusCode};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;

use super::connect::{Connector, Stream};
use super::endpoint::Active;
use super::pool::{Pool, Slot};
use super::{Answer, SendFailure};
use crate::body::{Body, OnEnd};
use crate::error::ForwardError;
use crate::upgrade::PendingUpgrade;

/// How long a connection may take from the end of a response to being ready again: the rest of the
/// request body may still be under way.
const SETTLE: Duration = Duration::from_secs(1);

/// An open connection.
pub(super) struct Connection {
    sender: SendRequest<Body>,
    slot: Slot,
}

/// The exclusive use of a connection for one request.
pub(crate) struct Lease {
    connection: Connection,
    pool: Rc<Pool>,
    connector: Rc<Connector>,
    reused: bool,
    _active: Active,
}

impl Connection {
    /// Starts HTTP/1.1 on a stream and a task that drives it.
    pub(super) async fn open(
        stream: Stream,
        slot: Slot,
        connector: &Connector,
    ) -> Result<Self, ForwardError> {
        let (sender, connection) = Builder::new()
            .max_header_size(connector.max_head_bytes)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| ForwardError::Protocol(error.into()))?;
        connector.tasks.spawn_local(async move {
            // An error reaches the request in flight; without one nobody needs it.
            let _ = connection.with_upgrades().await;
        });
        Ok(Self { sender, slot })
    }

    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }
}

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
            _active: active,
        }
    }

    pub(super) fn is_reused(&self) -> bool {
        self.reused
    }

    pub(super) async fn send(mut self, request: Request<Body>) -> Result<Answer, Box<SendFailure>> {
        let response = self.connection.sender.try_send_request(request).await;
        let mut response = response.map_err(|mut failure| {
            let unsent = failure.take_message();
            Box::new(SendFailure::new(failure.into_error(), unsent))
        })?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let upgrade = PendingUpgrade::hyper(hyper::upgrade::on(&mut response));
            let (sender, slot) = (self.connection.sender, self.connection.slot);
            // The codec lets go of the connection when its sender is gone; the slot stays with the tunnel.
            drop(sender);
            let response = response.map(|_| Body::empty());
            return Ok(Answer {
                response,
                upgrade: Some(upgrade.holding(slot)),
            });
        }
        let response = response.map(|body| Body::incoming(body).on_end(Box::new(self)));
        Ok(Answer {
            response,
            upgrade: None,
        })
    }
}

impl OnEnd for Lease {
    fn ended(self: Box<Self>) {
        let Self {
            connection,
            pool,
            connector,
            ..
        } = *self;
        if connection.sender.is_ready() {
            pool.put(connection, &connector.metrics);
        } else if !connection.sender.is_closed() {
            let tasks = connector.tasks.clone();
            tasks.spawn_local(async move {
                let mut connection = connection;
                let ready = tokio::time::timeout(SETTLE, connection.sender.ready()).await;
                if matches!(ready, Ok(Ok(()))) {
                    pool.put(connection, &connector.metrics);
                }
            });
        }
    }
}
