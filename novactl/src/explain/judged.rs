//! From tables and a request to what becomes of it.

use std::{collections::BTreeSet, sync::Arc};

use http::header::HOST;
use novaedge_proto::v1::Resource;
use novaedge_proxy::{
    Reason,
    explain::{Connection, Explanation, Outcome, explain},
};
use novaedge_router::{
    L4Rule, ListenerInfo, Matched, RouteId, Scheme, Socket, SocketKey, Tables, TlsTarget, host,
};

use super::{
    Ambiguous, Answer, Asked, Listener, Rule, Told, near,
    shares::{connections, filters, own, own_error, share, why},
};

/// What becomes of a request.
pub(super) fn judge(
    resources: &[Resource],
    tables: &Tables,
    asked: &Asked,
) -> Result<Told, Ambiguous> {
    let told = |answer| Told {
        request: asked.request.clone(),
        listener: None,
        rule: None,
        answer,
        candidates: None,
    };
    let sockets = sockets(tables, asked);
    let gateways: BTreeSet<String> = sockets.iter().flat_map(|(_, s)| gateways(s)).collect();
    if sockets.len() > 1 && gateways.len() > 1 {
        return Err(Ambiguous {
            port: asked.port,
            gateways: gateways.into_iter().collect(),
        });
    }
    // Several addresses of one Gateway are served alike.
    let Some((key, socket)) = sockets.first() else {
        return Ok(told(nobody(nothing_listens(tables, asked))));
    };
    let mut told = on_socket(tables, **key, socket, asked, told);
    if let (Answer::Gateway(own), Some(listener)) = (&told.answer, &told.listener)
        && own.reason == Some(Reason::NoRoute.code())
    {
        let host = asked.parts.headers.get(HOST);
        let host = host.and_then(|value| value.to_str().ok());
        let host = host::normalize(host.unwrap_or_default());
        told.candidates = Some(near::candidates(
            resources,
            &listener.resource,
            &host,
            &asked.parts,
        ));
    }
    Ok(told)
}

/// The sockets for connections to the port, of the Gateway if one was named.
fn sockets<'t>(tables: &'t Tables, asked: &Asked) -> Vec<(&'t SocketKey, &'t Arc<Socket>)> {
    let has = |socket: &Socket| {
        infos(socket).iter().any(|info| {
            let named = asked.gateway.as_ref();
            info.port == asked.port && named.is_none_or(|named| gateway(info) == *named)
        })
    };
    let over_tcp = |socket: &Socket| !matches!(socket, Socket::Udp(_) | Socket::Quic(_));
    let sockets = tables.sockets.iter();
    sockets
        .filter(|(_, socket)| over_tcp(socket) && has(socket))
        .collect()
}

fn on_socket(
    tables: &Tables,
    key: SocketKey,
    socket: &Socket,
    asked: &Asked,
    told: impl Fn(Answer) -> Told,
) -> Told {
    match (socket, asked.scheme) {
        (Socket::Tcp(socket), _) => Told {
            listener: Some(listener(&socket.info)),
            ..layer4(tables, socket.rule.as_ref(), asked, told)
        },
        (Socket::Http(_), Scheme::Http) => http(tables, key, asked, told),
        (Socket::Http(_), Scheme::Https) => told(nobody(format!(
            "port {} is for cleartext HTTP, so the TLS handshake fails: ask for http://",
            asked.port
        ))),
        (Socket::Tls(_), Scheme::Http) => told(nobody(format!(
            "port {} is for TLS, so the connection is closed: ask for https://",
            asked.port
        ))),
        (Socket::Tls(socket), Scheme::Https) => match socket.select(asked.sni.as_deref()) {
            Some(TlsTarget::Https(_)) => http(tables, key, asked, told),
            Some(TlsTarget::Terminate(tls) | TlsTarget::Passthrough(tls)) => Told {
                listener: Some(listener(&tls.info)),
                ..layer4(tables, tls.route(asked.sni.as_deref()), asked, told)
            },
            None => told(nobody(format!(
                "no listener on port {} has the server name {}, so the connection is closed; there {}",
                asked.port,
                asked.sni.as_deref().unwrap_or("(none)"),
                hostnames(infos_of(tables, key)),
            ))),
        },
        (Socket::Udp(_) | Socket::Quic(_), _) => told(nobody("this is no TCP port".to_owned())),
    }
}

fn http(tables: &Tables, key: SocketKey, asked: &Asked, told: impl Fn(Answer) -> Told) -> Told {
    let connection = Connection {
        key,
        scheme: asked.scheme,
        sni: asked.sni.as_deref(),
    };
    let Explanation {
        listener: found,
        matched,
        outcome,
    } = explain(tables, connection, &asked.parts);
    let answer = match outcome {
        Outcome::Refused(reason) => {
            let invalid = matched.and_then(|matched| matched.rule.invalid.as_deref());
            let why = why(reason, invalid, || refused(tables, key, reason));
            Answer::Gateway(own_error(reason, why))
        }
        Outcome::Answered(answer) => Answer::Gateway(own(&answer)),
        Outcome::Shared(shares) => Answer::Backends {
            shares: shares
                .iter()
                .map(|one| share(tables, one, matched.as_ref(), asked))
                .collect(),
        },
    };
    Told {
        listener: found.map(|found| listener(&found.info)),
        rule: matched.map(|matched| http_rule(&matched)),
        ..told(answer)
    }
}

/// Connections go where the rule says, byte by byte.
fn layer4(
    tables: &Tables,
    rule: Option<&Arc<L4Rule>>,
    asked: &Asked,
    told: impl Fn(Answer) -> Told,
) -> Told {
    let Some(rule) = rule else {
        let why = "no route takes the connection, so it is closed";
        return told(nobody(why.to_owned()));
    };
    let answer = match &rule.invalid {
        Some(invalid) => nobody(format!("{}: {}", invalid.reason, invalid.message)),
        None => Answer::Backends {
            shares: connections(tables, &rule.backends, asked),
        },
    };
    Told {
        rule: Some(named(&rule.id, None, Vec::new())),
        ..told(answer)
    }
}

/// What would help where nothing fits.
fn refused(tables: &Tables, key: SocketKey, reason: Reason) -> String {
    match reason {
        Reason::NoListener | Reason::Misdirected => {
            format!("there {}", hostnames(infos_of(tables, key)))
        }
        _ => String::new(),
    }
}

fn hostnames<'t>(infos: impl IntoIterator<Item = &'t ListenerInfo>) -> String {
    let name = |info: &ListenerInfo| info.hostname.as_deref().unwrap_or("*").to_owned();
    let names: BTreeSet<String> = infos.into_iter().map(name).collect();
    let names: Vec<String> = names.into_iter().collect();
    match names.as_slice() {
        [one] => format!("is {one} alone"),
        _ => format!("are {}", names.join(", ")),
    }
}

fn nothing_listens(tables: &Tables, asked: &Asked) -> String {
    let ports: BTreeSet<u16> = tables
        .sockets
        .values()
        .flat_map(|s| infos(s))
        .map(|i| i.port)
        .collect();
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    let of = match &asked.gateway {
        Some(gateway) => format!(" of Gateway {gateway}"),
        None => String::new(),
    };
    let there = if ports.is_empty() {
        "no listener is served at all".to_owned()
    } else {
        format!("listeners are on {}", ports.join(", "))
    };
    format!(
        "no listener{of} is on port {}, so nobody connects there; {there}",
        asked.port
    )
}

fn nobody(why: String) -> Answer {
    Answer::Nobody { why }
}

fn infos_of(tables: &Tables, key: SocketKey) -> Vec<&ListenerInfo> {
    tables
        .sockets
        .get(&key)
        .map_or_else(Vec::new, |socket| infos(socket))
}

fn infos(socket: &Socket) -> Vec<&ListenerInfo> {
    match socket {
        Socket::Http(socket) => socket.listeners().iter().map(|one| &one.info).collect(),
        Socket::Tls(socket) | Socket::Quic(socket) => {
            let https = socket.https_listeners().map(|one| &one.info);
            https
                .chain(socket.tls_listeners().map(|one| &one.info))
                .collect()
        }
        Socket::Tcp(socket) | Socket::Udp(socket) => vec![&socket.info],
    }
}

fn gateways(socket: &Socket) -> Vec<String> {
    infos(socket).into_iter().map(gateway).collect()
}

/// `namespace/name`.
fn gateway(info: &ListenerInfo) -> String {
    let name = info.gateway.strip_prefix("gateway/");
    name.unwrap_or(&info.gateway).to_owned()
}

fn listener(info: &ListenerInfo) -> Listener {
    Listener {
        gateway: gateway(info),
        name: info.section_name.to_string(),
        port: info.port,
        hostname: info.hostname.as_deref().map(str::to_owned),
        resource: info.name.to_string(),
    }
}

fn http_rule(matched: &Matched<'_>) -> Rule {
    let path = match (matched.prefix, matched.exact) {
        (Some(prefix), _) => Some(format!("PathPrefix {prefix}")),
        (None, Some(exact)) => Some(format!("Exact {exact}")),
        (None, None) => None,
    };
    named(&matched.rule.id, path, filters(&matched.rule.filters))
}

fn named(id: &RouteId, path: Option<String>, filters: Vec<String>) -> Rule {
    Rule {
        kind: id.object_kind().to_owned(),
        namespace: id.namespace().to_owned(),
        name: id.name().to_owned(),
        index: id.rule_index,
        rule_name: id.rule_name().map(str::to_owned),
        path,
        filters,
    }
}
