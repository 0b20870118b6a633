//! One listener by itself.

use novaedge_api::gateway::{Listener, ProtocolType, TlsModeType};

use super::Fault;

/// Why a listener cannot be accepted, whatever stands beside it. The CRD schema keeps most of this out of a cluster;
/// a folder of files has no schema.
pub(super) fn check(listener: &Listener) -> Option<Fault> {
    let fault = |reason, field: &str, message: String| {
        Some(Fault {
            reason,
            field: field.to_owned(),
            message,
        })
    };
    if let ProtocolType::Other(word) = &listener.protocol {
        let message =
            format!("protocol \"{word}\" is not supported; use HTTP, HTTPS, TLS, TCP or UDP");
        return fault("UnsupportedProtocol", "protocol", message);
    }
    if listener.port == 0 {
        let message = "port 0 cannot be served; use 1 to 65535".to_owned();
        return fault("UnsupportedValue", "port", message);
    }
    if listener
        .filters
        .as_ref()
        .is_some_and(|filters| !filters.requests.is_empty())
    {
        // Serving without them could open what an authorisation filter was to close.
        let message = "listener filters are not supported, and the listener is not served without them; use filters \
                       of routes"
            .to_owned();
        return fault("UnsupportedValue", "filters", message);
    }
    if let Some(message) = listener.hostname.as_deref().and_then(hostname_fault) {
        return fault("UnsupportedValue", "hostname", message);
    }
    tls_fault(listener)
}

fn tls_fault(listener: &Listener) -> Option<Fault> {
    let fault = |field: &str, message: String| {
        Some(Fault {
            reason: "UnsupportedValue",
            field: field.to_owned(),
            message,
        })
    };
    let protocol = listener.protocol.as_str();
    match (&listener.protocol, &listener.tls) {
        (ProtocolType::Https | ProtocolType::Tls, None) => fault(
            "tls",
            format!("a listener of protocol {protocol} needs tls with certificateRefs"),
        ),
        (ProtocolType::Https, Some(tls)) if tls.mode == TlsModeType::Passthrough => fault(
            "tls.mode",
            "HTTPS ends TLS at the gateway; use mode Terminate, or protocol TLS to pass it through"
                .to_owned(),
        ),
        (ProtocolType::Http | ProtocolType::Tcp | ProtocolType::Udp, Some(_)) => fault(
            "tls",
            format!("a listener of protocol {protocol} has no TLS; remove tls or use HTTPS or TLS"),
        ),
        _ => None,
    }
}

/// What keeps a host name from being one: RFC 1123, with `*.` allowed in front.
fn hostname_fault(hostname: &str) -> Option<String> {
    if hostname.is_empty() {
        return None;
    }
    if hostname.parse::<std::net::IpAddr>().is_ok() {
        return Some(format!(
            "\"{hostname}\" is an IP address; give a host name, or none for every host"
        ));
    }
    let name = hostname.strip_prefix("*.").unwrap_or(hostname);
    let label = |label: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        (1..=63).contains(&label.len())
            && label.chars().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let fits = hostname.len() <= 253 && name.split('.').all(label);
    (!fits).then(|| {
        format!(
            "\"{hostname}\" is not a host name; use lower-case letters, digits, \"-\" and \".\", with \"*.\" in front \
             for every name below"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::hostname_fault;

    #[test]
    fn host_names() {
        let check = |name: &str, fits: bool| {
            assert_eq!(hostname_fault(name).is_none(), fits, "{name}");
        };
        check("", true);
        check("example.com", true);
        check("*.example.com", true);
        check("a-1.example.com", true);
        check("Example.com", false);
        check("*", false);
        check("a.*.com", false);
        check("10.0.0.1", false);
        check("-a.com", false);
        check("a..com", false);
    }
}
