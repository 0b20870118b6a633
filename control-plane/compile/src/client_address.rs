//! Whose word listeners take for the addresses of clients.

use std::collections::BTreeMap;

use novaedge_api::native::{
    AcceptProxyProtocol, AcceptProxyProtocolMode, ProxyListener, Transport, parse_cidr,
};
use novaedge_proto::v1;

/// A field below the listener, a reason, and a message with the fix.
pub(crate) type Refusal = (String, &'static str, String);

/// The PROXY protocol of the ports seen so far: it comes before a connection shows which listener it is
/// for, so that all listeners of a port have the same.
#[derive(Default)]
pub(crate) struct Ports<'a>(BTreeMap<u16, &'a ProxyListener>);

impl<'a> Ports<'a> {
    /// Judges a listener by the first one of its port.
    pub(crate) fn check(&mut self, listener: &'a ProxyListener) -> Result<(), Refusal> {
        if listener.protocol.transport() == Transport::Udp {
            return Ok(());
        }
        let first = self.0.entry(listener.port).or_insert(listener);
        if first.proxy_protocol == listener.proxy_protocol {
            return Ok(());
        }
        let message = format!(
            "listener {} of port {} has another proxyProtocol, so this one is not served; write the same",
            first.name, listener.port
        );
        Err(("proxyProtocol".to_owned(), "Conflict", message))
    }
}

/// Puts both options on the wire, or says which network is none: a listener without one of its networks
/// would take the word of fewer proxies than its user means.
pub(crate) fn compile(
    listener: &ProxyListener,
    compiled: &mut v1::Listener,
) -> Result<(), Refusal> {
    if let Some(accept) = &listener.proxy_protocol {
        if listener.protocol.transport() == Transport::Udp {
            let message = "datagrams have no header; remove it".to_owned();
            return Err(("proxyProtocol".to_owned(), "UnsupportedValue", message));
        }
        let trusted_cidrs = networks("proxyProtocol", &accept.trusted_cidrs)?;
        compiled.accept_proxy_protocol = Some(v1::AcceptProxyProtocol {
            mode: mode(accept).into(),
            trusted_cidrs,
        });
    }
    if let Some(forwarded) = &listener.forwarded_headers {
        compiled.forwarded_headers_trusted_cidrs =
            networks("forwardedHeaders", &forwarded.trusted_cidrs)?;
    }
    Ok(())
}

fn mode(accept: &AcceptProxyProtocol) -> v1::accept_proxy_protocol::Mode {
    use v1::accept_proxy_protocol::Mode;
    match accept.mode {
        AcceptProxyProtocolMode::Required => Mode::Required,
        AcceptProxyProtocolMode::Optional => Mode::Optional,
    }
}

fn networks(field: &str, texts: &[String]) -> Result<Vec<String>, Refusal> {
    if texts.is_empty() {
        let message = "no proxy is trusted; name the networks of the proxies".to_owned();
        return Err((format!("{field}.trustedCIDRs"), "Required", message));
    }
    for (index, text) in texts.iter().enumerate() {
        if let Err(error) = parse_cidr(text) {
            let field = format!("{field}.trustedCIDRs[{index}]");
            return Err((field, "Invalid", error.to_string()));
        }
    }
    Ok(texts.to_vec())
}
