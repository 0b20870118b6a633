//! Options of listeners that there are no fields for: annotations of a Gateway or an IngressClass.
//!
//! They tell what stands in front of its addresses, so they hold for all of its listeners, those of ListenerSets
//! included.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use novaedge_api::gateway::ProtocolType;
use novaedge_api::native::{
    AcceptProxyProtocol, AcceptProxyProtocolMode, FORWARDED_HEADERS_TRUSTED_CIDRS,
    ForwardedHeaders, HTTP3, MAX_CONNECTIONS, PROXY_PROTOCOL, PROXY_PROTOCOL_TRUSTED_CIDRS,
    ProxyListener, parse_cidr,
};

use crate::layout::Fault;

/// Networks in one annotation, as many as the native kind takes.
const MAX_NETWORKS: usize = 64;

/// What the annotations say of the listeners.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ListenerOptions {
    proxy_protocol: Option<AcceptProxyProtocol>,
    forwarded_headers: Option<ForwardedHeaders>,
    http3: bool,
    max_connections: Option<u32>,
}

impl ListenerOptions {
    /// Reads them. One that cannot be followed refuses the whole: its listeners would take proxies for
    /// clients, or the other way round.
    pub(crate) fn read(metadata: &ObjectMeta) -> Result<Self, Fault> {
        let empty = BTreeMap::new();
        let annotations = metadata.annotations.as_ref().unwrap_or(&empty);
        let proxies = networks(annotations, PROXY_PROTOCOL_TRUSTED_CIDRS)?;
        let mode = match annotations.get(PROXY_PROTOCOL).map(String::as_str) {
            None => None,
            Some("Required") => Some(AcceptProxyProtocolMode::Required),
            Some("Optional") => Some(AcceptProxyProtocolMode::Optional),
            Some(other) => {
                let message = format!("\"{other}\" is no mode; write Required or Optional");
                return Err(fault(PROXY_PROTOCOL, message));
            }
        };
        let proxy_protocol = match (mode, proxies) {
            (mode, Some(trusted_cidrs)) => Some(AcceptProxyProtocol {
                mode: mode.unwrap_or_default(),
                trusted_cidrs,
            }),
            (None, None) => None,
            (Some(_), None) => {
                let message = format!(
                    "it says nothing of the proxies that are trusted; name their networks in the \
                     annotation {PROXY_PROTOCOL_TRUSTED_CIDRS}"
                );
                return Err(fault(PROXY_PROTOCOL, message));
            }
        };
        let forwarded = networks(annotations, FORWARDED_HEADERS_TRUSTED_CIDRS)?;
        let http3 = match annotations.get(HTTP3).map(String::as_str) {
            None | Some("false") => false,
            Some("true") if proxy_protocol.is_some() => {
                let message = format!(
                    "datagrams have no header of the PROXY protocol; remove this annotation or \
                     {PROXY_PROTOCOL_TRUSTED_CIDRS}"
                );
                return Err(fault(HTTP3, message));
            }
            Some("true") => true,
            Some(other) => {
                let message = format!("\"{other}\" is neither; write \"true\" or \"false\"");
                return Err(fault(HTTP3, message));
            }
        };
        let max_connections = annotations.get(MAX_CONNECTIONS).map(|text| {
            let number = text.parse().ok().filter(|number| *number > 0);
            number.ok_or_else(|| {
                let message = format!("\"{text}\" is no number of connections; write 1 or more");
                fault(MAX_CONNECTIONS, message)
            })
        });
        Ok(Self {
            proxy_protocol,
            forwarded_headers: forwarded.map(|trusted_cidrs| ForwardedHeaders { trusted_cidrs }),
            http3,
            max_connections: max_connections.transpose()?,
        })
    }

    /// Puts into a listener what fits its protocol.
    pub(crate) fn apply(&self, protocol: &ProtocolType, listener: &mut ProxyListener) {
        if *protocol != ProtocolType::Udp {
            listener.max_connections = self.max_connections;
            listener.proxy_protocol.clone_from(&self.proxy_protocol);
        }
        if matches!(protocol, ProtocolType::Http | ProtocolType::Https) {
            listener
                .forwarded_headers
                .clone_from(&self.forwarded_headers);
        }
        // What clients must show hangs on the server name, which QUIC tells too late.
        let tls = listener.tls.as_ref();
        let checks_clients = tls.is_some_and(|tls| tls.client_validation.is_some());
        listener.http3 = self.http3 && *protocol == ProtocolType::Https && !checks_clients;
    }
}

/// The networks in an annotation; none when there is no such annotation.
fn networks(
    annotations: &BTreeMap<String, String>,
    name: &'static str,
) -> Result<Option<Vec<String>>, Fault> {
    let Some(value) = annotations.get(name) else {
        return Ok(None);
    };
    let texts: Vec<String> = value.split(',').map(|one| one.trim().to_owned()).collect();
    if texts.len() > MAX_NETWORKS {
        let message = format!(
            "{} networks are too many; write at most {MAX_NETWORKS}",
            texts.len()
        );
        return Err(fault(name, message));
    }
    for text in &texts {
        parse_cidr(text).map_err(|error| fault(name, error.to_string()))?;
    }
    Ok(Some(texts))
}

fn fault(name: &str, message: String) -> Fault {
    Fault {
        reason: "InvalidParameters",
        field: format!("metadata.annotations[{name}]"),
        message,
    }
}
