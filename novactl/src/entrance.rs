//! Where requests for a listener come in, for those who try requests on tables.

use std::collections::BTreeMap;

use http::HeaderValue;
use novaedge_proto::v1::{GrpcMatch, NameValueMatch, StringMatchType};
use novaedge_router::{Scheme, Socket, SocketKey, Tables};

/// Where an HTTP or HTTPS listener is reached.
#[derive(Clone, Copy, Debug)]
pub struct Entrance {
    /// Its socket.
    pub key: SocketKey,
    /// Whether connections are encrypted.
    pub scheme: Scheme,
}

/// All HTTP and HTTPS listeners, by resource name.
pub fn entrances(tables: &Tables) -> BTreeMap<&str, Entrance> {
    let mut entrances = BTreeMap::new();
    for (key, socket) in &tables.sockets {
        let (listeners, scheme): (Vec<&str>, _) = match &**socket {
            Socket::Http(socket) => {
                let names = socket.listeners().iter().map(|one| &*one.info.name);
                (names.collect(), Scheme::Http)
            }
            Socket::Tls(socket) => {
                let names = socket.https_listeners().map(|one| &*one.info.name);
                (names.collect(), Scheme::Https)
            }
            Socket::Quic(_) | Socket::Tcp(_) | Socket::Udp(_) => continue,
        };
        let entrance = Entrance { key: *key, scheme };
        entrances.extend(listeners.into_iter().map(|name| (name, entrance)));
    }
    entrances
}

/// A host that a hostname stands for: a wildcard becomes this label.
pub fn host_of(hostname: &str, label: &str) -> String {
    match hostname.strip_prefix('*') {
        Some(suffix) => format!("{label}{suffix}"),
        None => hostname.to_owned(),
    }
}

/// What requests of gRPC have as `content-type`, by which rules of GRPCRoutes know them.
pub const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// The path of a call that a match takes, with `filler` for a service or method that may be any. `None`: it has
/// expressions.
pub fn grpc_path(one: &GrpcMatch, filler: &str) -> Option<String> {
    if one.r#type() == StringMatchType::RegularExpression {
        return None;
    }
    let word = |text: &str| {
        let word = if text.is_empty() { filler } else { text };
        word.to_owned()
    };
    Some(format!("/{}/{}", word(&one.service), word(&one.method)))
}

/// Whether there are expressions among the values, for which nobody can make a request.
pub fn has_expressions(values: &[NameValueMatch]) -> bool {
    let mut kinds = values.iter().map(NameValueMatch::r#type);
    kinds.any(|kind| kind == StringMatchType::RegularExpression)
}
