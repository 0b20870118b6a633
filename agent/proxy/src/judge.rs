//! What the tables say of a request: its listener, its rule, what filters answer, and where a choice leads. Nothing here
//! knows a worker, so [`crate::explain`] comes to the same judgement as an agent.

use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Response, StatusCode};
use novaedge_router::{
    Authority as Owner, Backend, BackendChoice, CorsDecision, Filters, HttpListener, HttpRule,
    Matched, Redirect, RedirectContext, Scheme, Socket, SocketKey, Tables, Target, TlsSocket,
    TlsTarget, merge_cors_headers,
};

use crate::headers;
use crate::reason::Reason;
use crate::request_head::Head;

/// Judges the requests of a connection by tables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judge<'t> {
    pub tables: &'t Tables,
    /// The socket of the connection.
    pub key: SocketKey,
    pub scheme: Scheme,
    /// The server name of the TLS handshake.
    pub sni: Option<&'t str>,
}

/// What has been found of a request so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Found<'t> {
    pub listener: Option<&'t Arc<HttpListener>>,
    pub rule: Option<&'t Arc<HttpRule>>,
}

/// A request with the rule that has won it.
#[derive(Clone, Copy)]
pub(crate) struct Won<'t, 'p> {
    pub head: Head<'p>,
    pub listener: &'t Arc<HttpListener>,
    pub matched: Matched<'t>,
}

/// Where a choice leads.
#[derive(Debug)]
pub(crate) enum Way<'t> {
    /// A filter of the choice answers.
    Answer(Response<()>),
    Backend(&'t Arc<Backend>),
}

impl<'t> Judge<'t> {
    /// The listener that owns this host on this connection, and the rule that wins the request.
    pub(crate) fn find<'p>(
        &self,
        parts: &'p Parts,
        host: &'p str,
        found: &mut Found<'t>,
    ) -> Result<Won<'t, 'p>, Reason> {
        let listener = self.listener(host)?;
        found.listener = Some(listener);
        if parts.method == Method::CONNECT {
            return Err(Reason::Connect);
        }
        if !headers::is_plainly_coded(&parts.headers) {
            return Err(Reason::TransferCoding);
        }
        let head = Head { parts, host };
        let matched = listener.route(&head).ok_or(Reason::NoRoute)?;
        found.rule = Some(matched.rule);
        Ok(Won {
            head,
            listener,
            matched,
        })
    }

    fn listener(&self, host: &str) -> Result<&'t Arc<HttpListener>, Reason> {
        let socket = self.tables.sockets.get(&self.key);
        match &**socket.ok_or(Reason::NoListener)? {
            Socket::Http(socket) => socket.listener(host).ok_or(Reason::NoListener),
            Socket::Tls(socket) => self.secure_listener(socket, host),
            Socket::Quic(socket) => {
                // The listener may be served over TCP.
                let listener = self.secure_listener(socket, host);
                listener.map_err(|_| Reason::Misdirected)
            }
            Socket::Tcp(_) | Socket::Udp(_) => Err(Reason::NoListener),
        }
    }

    fn secure_listener(
        &self,
        socket: &'t TlsSocket,
        host: &str,
    ) -> Result<&'t Arc<HttpListener>, Reason> {
        let Some(TlsTarget::Https(own)) = socket.select(self.sni) else {
            return Err(Reason::NoListener);
        };
        match socket.authority(own, host) {
            Owner::Same => Ok(own),
            Owner::Misdirected => Err(Reason::Misdirected),
            Owner::NotFound => Err(Reason::NoListener),
        }
    }

    /// What the filters of the rule answer, if they do. `cors` are fields for the answer, whoever gives it.
    pub(crate) fn rule(
        &self,
        won: &Won<'_, '_>,
        cors: &mut HeaderMap,
    ) -> Result<Option<Response<()>>, Reason> {
        let rule = won.matched.rule;
        if rule.invalid.is_some() {
            return Err(Reason::InvalidRule);
        }
        self.filters(won, &rule.filters, cors)
    }

    /// Where one of the rule's choices leads.
    pub(crate) fn choice(
        &self,
        won: &Won<'_, '_>,
        choice: &BackendChoice,
        cors: &mut HeaderMap,
    ) -> Result<Way<'t>, Reason> {
        match self.filters(won, &choice.filters, cors)? {
            Some(answer) => Ok(Way::Answer(answer)),
            None => self.backend(choice).map(Way::Backend),
        }
    }

    /// The backend of a choice, if requests may go there.
    pub(crate) fn backend(&self, choice: &BackendChoice) -> Result<&'t Arc<Backend>, Reason> {
        let Target::Backend(name) = &choice.target else {
            return Err(Reason::InvalidBackend);
        };
        let backend = self.tables.backends.get(name);
        let backend = backend.ok_or(Reason::InvalidBackend)?;
        // A connection that begins with the address of one client cannot carry requests of others.
        if backend.invalid.is_some() || backend.send_proxy_protocol.is_some() {
            return Err(Reason::InvalidBackend);
        }
        Ok(backend)
    }

    /// CORS preflights and redirects.
    fn filters(
        &self,
        won: &Won<'_, '_>,
        filters: &Filters,
        cors: &mut HeaderMap,
    ) -> Result<Option<Response<()>>, Reason> {
        if let Some(policy) = &filters.cors {
            let parts = won.head.parts;
            match policy.decide(&parts.method, &parts.headers) {
                CorsDecision::Preflight(fields) => {
                    let mut response = Response::new(());
                    *response.status_mut() = StatusCode::NO_CONTENT;
                    *response.headers_mut() = fields;
                    return Ok(Some(response));
                }
                CorsDecision::Actual(fields) => *cors = fields,
                CorsDecision::None => {}
            }
        }
        let Some(redirect) = &filters.redirect else {
            return Ok(None);
        };
        let mut response = self.redirect(redirect, won)?;
        merge_cors(std::mem::take(cors), response.headers_mut());
        Ok(Some(response))
    }

    fn redirect(&self, redirect: &Redirect, won: &Won<'_, '_>) -> Result<Response<()>, Reason> {
        let path_and_query = won.head.parts.uri.path_and_query();
        let location = redirect.location(&RedirectContext {
            scheme: self.scheme,
            host: won.head.host,
            path_and_query: path_and_query.map_or("/", PathAndQuery::as_str),
            listener_port: won.listener.info.port,
            matched_prefix: won.matched.prefix,
        });
        let location = HeaderValue::try_from(location).map_err(|_| Reason::InvalidRule)?;
        let mut response = Response::new(());
        *response.status_mut() = redirect.status;
        response.headers_mut().insert(header::LOCATION, location);
        Ok(response)
    }
}

pub(crate) fn merge_cors(decided: HeaderMap, headers: &mut HeaderMap) {
    if !decided.is_empty() {
        merge_cors_headers(decided, headers);
    }
}
