//! From a rule to an open connection: the weighted choice, then the endpoints in turn.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use novaedge_balance::{Outcome, OwnPorts};
use novaedge_router::{Backend, Endpoint, Host, Invalid, L4Rule, ListenerInfo, Target};
use rustls::pki_types::ServerName;
use socket2::SockRef;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::balance::Slot;
use crate::error::Error;
use crate::flow::{Flow, Names};
use crate::source::{Source, View};
use crate::trail::Trail;
use crate::worker::Worker;

/// Where one connection goes, with all that the snapshot says about it.
pub(crate) struct Upstream {
    pub(crate) backend: Arc<Backend>,
    tls: Option<UpstreamTls>,
}

struct UpstreamTls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

/// What is sent to the backend.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payload {
    /// The client's bytes, over TLS if the backend wants it.
    Plain,
    /// The client's own TLS, which must not be wrapped in another one.
    ClientTls,
}

/// An open connection to an endpoint.
pub(crate) enum BackendStream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Picks the backend of the next connection by the rule's weights.
pub(crate) fn choose_backend(view: View<'_>, rule: Option<&L4Rule>) -> Result<Arc<Backend>, Error> {
    let rule = rule.ok_or(Error::NoRoute)?;
    usable(rule.invalid.as_ref())?;
    let name = match &rule.backends.pick().ok_or(Error::NoBackend)?.target {
        Target::Backend(name) => name,
        Target::Invalid(invalid) => return Err(refusal(invalid)),
    };
    let backend = view.tables.backends.get(name);
    let backend = backend.ok_or_else(|| Error::UnknownBackend(Arc::clone(name)))?;
    usable(backend.invalid.as_ref())?;
    Ok(Arc::clone(backend))
}

/// Picks the backend of the next connection, and its TLS settings.
fn choose(
    view: View<'_>,
    rule: Option<&L4Rule>,
    listener: &ListenerInfo,
    payload: Payload,
) -> Result<Upstream, Error> {
    let backend = choose_backend(view, rule)?;
    let tls = match &backend.tls {
        Some(tls) if payload == Payload::Plain => {
            let certificate = listener.backend_client_certificate.as_deref();
            let config = view.tls.client(&backend.name, certificate);
            let name = ServerName::try_from(tls.server_name.to_string()).ok();
            let (Some(config), Some(name)) = (config, name) else {
                return Err(Error::BackendTls(Arc::clone(&backend.name)));
            };
            Some(UpstreamTls {
                connector: TlsConnector::from(config),
                name,
            })
        }
        _ => None,
    };
    Ok(Upstream { backend, tls })
}

fn usable(invalid: Option<&Invalid>) -> Result<(), Error> {
    invalid.map_or(Ok(()), |invalid| Err(refusal(invalid)))
}

fn refusal(invalid: &Invalid) -> Error {
    Error::Invalid {
        reason: Arc::clone(&invalid.reason),
        message: Arc::clone(&invalid.message),
    }
}

impl<S: Source> Worker<S> {
    /// Picks the backend of the next connection, and what to count it by.
    pub(crate) fn choose(
        &self,
        view: View<'_>,
        rule: Option<&Arc<L4Rule>>,
        listener: &ListenerInfo,
        payload: Payload,
        trail: Option<&Trail>,
    ) -> (Rc<Flow>, Result<Upstream, Error>) {
        if let Some(trail) = trail {
            trail.found(listener, rule);
        }
        let rule = rule.map(|rule| &**rule);
        let upstream = choose(view, rule, listener, payload);
        let backend = upstream.as_ref().ok();
        let flow = self.flows.get(Names {
            listener: Some(listener),
            rule,
            backend: backend.map(|upstream| &*upstream.backend),
        });
        (flow, upstream)
    }

    /// Connects to the next endpoint, or to one behind it, and begins with `header`. Each endpoint is tried
    /// once.
    pub(crate) async fn connect(
        &self,
        upstream: &Upstream,
        client: IpAddr,
        header: &[u8],
        slot: &mut Slot,
        trail: Option<&Trail>,
    ) -> Result<BackendStream, Error> {
        let backend = &upstream.backend;
        let deadline = Instant::now() + self.limits.connect_deadline;
        let each = backend
            .connect_timeout
            .unwrap_or(self.limits.connect_timeout);
        let mut cause = None;
        let order = slot.order(backend, client);
        let ejected = slot.judge();
        if ejected > 0 {
            self.counters.backend_ejections_total.add(ejected.into());
            tracing::info!(
                backend = %backend.name,
                endpoints = ejected,
                "endpoints fail far more often than the others and are left out for a while"
            );
        }
        for endpoint in order {
            let end = deadline.min(Instant::now() + each);
            slot.settle(&endpoint);
            if let Some(trail) = trail {
                trail.tries(&backend.name, endpoint.endpoint());
            }
            let tls = upstream.tls.as_ref();
            let attempt = open(endpoint.endpoint(), header, tls, self);
            match timeout_at(end, attempt).await {
                Ok(Ok(stream)) => {
                    slot.report(Outcome::Success);
                    if let Some(trail) = trail {
                        trail.connected();
                    }
                    return Ok(stream);
                }
                Ok(Err(error)) => cause = Some(error),
                Err(_) => cause = Some(io::ErrorKind::TimedOut.into()),
            }
            if let Some(time) = slot.report(Outcome::ConnectFailure) {
                self.counters.backend_ejections_total.add(1);
                tracing::info!(
                    backend = %backend.name,
                    address = ?endpoint.endpoint().address,
                    port = endpoint.endpoint().port,
                    seconds = time.as_secs(),
                    "endpoint fails and is left out for a while"
                );
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        Err(Error::no_connection(backend, cause))
    }
}

async fn connect(address: SocketAddr, own: &OwnPorts) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    if own.has(address.port()) && own.are_reached(stream.local_addr()?, stream.peer_addr()?) {
        let why = "the gateway's own endpoint is no backend";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    Ok(stream)
}

async fn open<S>(
    endpoint: &Endpoint,
    header: &[u8],
    tls: Option<&UpstreamTls>,
    worker: &Worker<S>,
) -> io::Result<BackendStream> {
    let own = &worker.limits.site.own;
    let mut stream = match &endpoint.address {
        Host::Ip(address) => connect(SocketAddr::new(*address, endpoint.port), own).await?,
        Host::Dns(name) => {
            let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
            let mut connected = None;
            for address in worker.resolver.resolve(name).await? {
                match connect(SocketAddr::new(address, endpoint.port), own).await {
                    Ok(stream) => {
                        connected = Some(stream);
                        break;
                    }
                    Err(error) => last = error,
                }
            }
            connected.ok_or(last)?
        }
    };
    stream.set_nodelay(true)?;
    // A peer that vanished without a word is found by the kernel long before the idle timeout.
    SockRef::from(&stream).set_keepalive(true)?;
    // Before TLS, which the backend takes for its client's.
    stream.write_all(header).await?;
    match tls {
        None => Ok(BackendStream::Plain(stream)),
        Some(tls) => {
            let stream = tls.connector.connect(tls.name.clone(), stream).await?;
            Ok(BackendStream::Tls(Box::new(stream)))
        }
    }
}
