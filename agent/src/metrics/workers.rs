//! What the workers and the checker count as a whole.

use std::sync::atomic::Ordering;

use novaedge_meter::Description;

use super::{Metric, NONE};
use crate::worker::WorkerCounters;

pub(super) static COUNTERS: [Metric<WorkerCounters>; 24] = [
    (
        Description::counter("novaedge_access_log_lines", NONE, "Lines of the access log"),
        |one| one.access_log.lines(),
    ),
    (
        Description::counter(
            "novaedge_access_log_dropped_lines",
            NONE,
            "Lines of the access log dropped because its writer was behind",
        ),
        |one| one.access_log.dropped(),
    ),
    (
        Description::counter(
            "novaedge_accepted_connections",
            NONE,
            "TCP connections accepted",
        ),
        |one| one.accepted.load(Ordering::Relaxed),
    ),
    (
        Description::counter(
            "novaedge_limited_accepts",
            NONE,
            "Accepts that waited for the connection limit",
        ),
        |one| one.limited.load(Ordering::Relaxed),
    ),
    (
        Description::counter("novaedge_accept_errors", NONE, "Accepts that failed"),
        |one| one.accept_errors.load(Ordering::Relaxed),
    ),
    (
        Description::counter(
            "novaedge_http_connections",
            NONE,
            "HTTP connections of clients",
        ),
        |one| one.http.connections_opened.get(),
    ),
    (
        Description::counter(
            "novaedge_http_connection_timeouts",
            NONE,
            "HTTP connections ended because a head, the next request or any byte did not come in time",
        ),
        |one| one.http.connections_timed_out.get(),
    ),
    (
        Description::counter(
            "novaedge_http_refused_heads",
            NONE,
            "HTTP connections ended for a malformed or too large head",
        ),
        |one| one.http.heads_refused.get(),
    ),
    (
        Description::counter(
            "novaedge_http_upstream_connections",
            NONE,
            "Connections to HTTP backends opened",
        ),
        |one| one.http.upstream_opened.get(),
    ),
    (
        Description::counter(
            "novaedge_http_upstream_connect_errors",
            NONE,
            "Connections to HTTP backends that could not be opened",
        ),
        |one| one.http.upstream_failed.get(),
    ),
    (
        Description::counter(
            "novaedge_http_upstream_surplus",
            NONE,
            "Connections to HTTP backends closed because enough were idle",
        ),
        |one| one.http.upstream_surplus.get(),
    ),
    (
        Description::counter(
            "novaedge_http_upstream_ejections",
            NONE,
            "Endpoints of HTTP backends left out for a while because they failed",
        ),
        |one| one.http.upstream_ejections.get(),
    ),
    (
        Description::counter(
            "novaedge_http_names_not_kept",
            NONE,
            "Endpoint names resolved and not kept because enough were",
        ),
        |one| one.http.names_not_kept.get(),
    ),
    (
        Description::counter(
            "novaedge_http_retries_without_body",
            NONE,
            "Tries not made because the request body was too large to keep",
        ),
        |one| one.http.retries_without_body.get(),
    ),
    (
        Description::counter(
            "novaedge_http_retries_over_budget",
            NONE,
            "Tries not made because enough of the backend's requests were retries",
        ),
        |one| one.http.retries_over_budget.get(),
    ),
    (
        Description::counter("novaedge_http_mirrored", NONE, "Mirrored requests sent"),
        |one| one.http.mirrored.get(),
    ),
    (
        Description::counter(
            "novaedge_http_dropped_mirrors",
            NONE,
            "Mirrored requests not sent because too many were in flight",
        ),
        |one| one.http.mirrors_dropped.get(),
    ),
    (
        Description::counter(
            "novaedge_http_failed_mirrors",
            NONE,
            "Mirrored requests that got no answer, or none in time",
        ),
        |one| one.http.mirrors_failed.get(),
    ),
    (
        Description::counter(
            "novaedge_http_lagging_mirrors",
            NONE,
            "Mirrored requests broken off because their backend took them too slowly",
        ),
        |one| one.http.mirrors_lagging.get(),
    ),
    (
        Description::counter("novaedge_http_upgrades", NONE, "Connections that left HTTP"),
        |one| one.http.upgrades.get(),
    ),
    (
        Description::counter(
            "novaedge_http_upgrade_timeouts",
            NONE,
            "Connections that left HTTP, ended because nothing moved",
        ),
        |one| one.http.upgrades_timed_out.get(),
    ),
    (
        Description::counter(
            "novaedge_l4_backend_ejections",
            NONE,
            "Endpoints of TCP and TLS backends left out for a while because they failed",
        ),
        |one| one.l4.backend_ejections_total.get(),
    ),
    (
        Description::counter(
            "novaedge_l4_udp_evicted_sessions",
            NONE,
            "UDP sessions ended to stay within their limit",
        ),
        |one| one.l4.udp_evicted_sessions_total.get(),
    ),
    (
        Description::counter(
            "novaedge_l4_udp_dropped_datagrams",
            NONE,
            "UDP datagrams that nobody got",
        ),
        |one| one.l4.udp_dropped_datagrams_total.get(),
    ),
];

pub(super) static GAUGES: [Metric<WorkerCounters>; 5] = [
    (
        Description::gauge(
            "novaedge_open_connections",
            NONE,
            "TCP connections open now",
        ),
        |one| one.open.load(Ordering::Relaxed),
    ),
    (
        Description::gauge(
            "novaedge_http_open_connections",
            NONE,
            "HTTP connections of clients open now",
        ),
        |one| {
            let opened = one.http.connections_opened.get();
            opened.saturating_sub(one.http.connections_closed.get())
        },
    ),
    (
        Description::gauge(
            "novaedge_http_turns_waiting",
            NONE,
            "Tasks of HTTP connections with much to do that waited for their turn at the last look",
        ),
        |one| one.http.turns_waiting.get(),
    ),
    (
        Description::gauge(
            "novaedge_tls_quic_handshakes_under_way",
            NONE,
            "Handshakes of QUIC under way at the last look",
        ),
        |one| one.http.quic_handshakes_waiting.get(),
    ),
    (
        Description::gauge(
            "novaedge_open_pipes",
            NONE,
            "Pipes of the kernel that bytes pass through without being copied, at the last look",
        ),
        |one| one.http.pipes.get() + one.l4.pipes.get(),
    ),
];

pub(super) static CHECK_COUNTERS: [Metric<novaedge_check::Counters>; 2] = [
    (
        Description::counter(
            "novaedge_health_checks_passed",
            NONE,
            "Health checks that endpoints passed",
        ),
        novaedge_check::Counters::passed,
    ),
    (
        Description::counter(
            "novaedge_health_checks_failed",
            NONE,
            "Health checks that endpoints failed",
        ),
        novaedge_check::Counters::failed,
    ),
];

pub(super) static CHECK_GAUGES: [Metric<novaedge_check::Counters>; 2] = [
    (
        Description::gauge(
            "novaedge_health_checked_endpoints",
            NONE,
            "Endpoints that are asked whether they are well",
        ),
        novaedge_check::Counters::checked,
    ),
    (
        Description::gauge(
            "novaedge_health_unhealthy_endpoints",
            NONE,
            "Endpoints left out because their health checks fail",
        ),
        novaedge_check::Counters::unhealthy,
    ),
];
