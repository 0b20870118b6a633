//! The counters of all workers in the Prometheus text format.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use novaedge_l4::{Counters, ErrorKind};

use crate::worker::WorkerCounters;

type Read = fn(&WorkerCounters) -> u64;

const COUNTERS: [(&str, &str, Read); 13] = [
    (
        "novaedge_accepted_connections_total",
        "TCP connections accepted",
        |one| one.accepted.load(Ordering::Relaxed),
    ),
    (
        "novaedge_limited_accepts_total",
        "Accepts that waited for the connection limit",
        |one| one.limited.load(Ordering::Relaxed),
    ),
    (
        "novaedge_accept_errors_total",
        "Accepts that failed",
        |one| one.accept_errors.load(Ordering::Relaxed),
    ),
    (
        "novaedge_http_connections_total",
        "HTTP connections since the start",
        |one| one.http.connections_opened.get(),
    ),
    (
        "novaedge_http_retries_total",
        "Tries to forward a request after the first",
        |one| one.http.retries.get(),
    ),
    (
        "novaedge_http_handshake_errors_total",
        "TLS handshakes of HTTPS that failed",
        |one| one.http.handshakes_failed.get(),
    ),
    (
        "novaedge_l4_connections_total",
        "Layer 4 connections since the start",
        |one| one.l4.connections_total.get(),
    ),
    (
        "novaedge_l4_bytes_sent_total",
        "Payload bytes sent to clients",
        |one| one.l4.bytes_sent_total.get(),
    ),
    (
        "novaedge_l4_bytes_received_total",
        "Payload bytes received from clients",
        |one| one.l4.bytes_received_total.get(),
    ),
    (
        "novaedge_l4_tls_passthrough_total",
        "TLS connections passed through",
        |one| one.l4.tls_passthrough_total.get(),
    ),
    (
        "novaedge_l4_sni_routing_errors_total",
        "TLS connections without a route",
        |one| one.l4.sni_routing_errors_total.get(),
    ),
    (
        "novaedge_l4_udp_sessions_total",
        "UDP sessions since the start",
        |one| one.l4.udp_sessions_total.get(),
    ),
    (
        "novaedge_l4_udp_dropped_datagrams_total",
        "UDP datagrams that nobody got",
        |one| one.l4.udp_dropped_datagrams_total.get(),
    ),
];

const GAUGES: [(&str, &str, Read); 3] = [
    (
        "novaedge_open_connections",
        "TCP connections open now",
        |one| one.open.load(Ordering::Relaxed),
    ),
    (
        "novaedge_l4_active_connections",
        "Layer 4 connections open now",
        |one| one.l4.active_connections.get(),
    ),
    (
        "novaedge_l4_udp_active_sessions",
        "UDP sessions open now",
        |one| one.l4.udp_active_sessions.get(),
    ),
];

/// All metrics, the workers added up.
pub(crate) fn render(workers: &[Arc<WorkerCounters>], open_files: Option<u64>) -> String {
    let mut text = String::new();
    let sum = |read: Read| workers.iter().map(|one| read(one)).sum::<u64>();
    for (kind, family) in [("counter", &COUNTERS[..]), ("gauge", &GAUGES[..])] {
        for (name, help, read) in family {
            header(&mut text, name, kind, help);
            // Writing to a String can't fail.
            let _ = writeln!(text, "{name} {}", sum(*read));
        }
    }
    let name = "novaedge_l4_connection_errors_total";
    header(
        &mut text,
        name,
        "counter",
        "Layer 4 connections that failed",
    );
    for kind in ErrorKind::ALL {
        let errors = |l4: &Counters| l4.errors(kind);
        let all: u64 = workers.iter().map(|one| errors(&one.l4)).sum();
        let _ = writeln!(text, "{name}{{kind=\"{}\"}} {all}", kind.as_str());
    }
    if let Some(limit) = open_files {
        let name = "novaedge_open_files_limit";
        header(&mut text, name, "gauge", "Files that the process may open");
        let _ = writeln!(text, "{name} {limit}");
    }
    text
}

fn header(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_added_up() {
        let workers = [
            Arc::new(WorkerCounters::default()),
            Arc::new(WorkerCounters::default()),
        ];
        workers[0].accepted.store(2, Ordering::Relaxed);
        workers[1].accepted.store(3, Ordering::Relaxed);
        let text = render(&workers, Some(9));
        assert!(
            text.contains("\nnovaedge_accepted_connections_total 5\n"),
            "{text}"
        );
        assert!(text.contains("novaedge_l4_connection_errors_total{kind=\"no_route\"} 0\n"));
    }
}
