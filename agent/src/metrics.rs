//! All metrics, in the OpenMetrics text format: the counters of the workers are added up when somebody
//! asks for them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use novaedge_proto::v1;
use novaedge_subscribe::{Answers, Phase, Status};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use crate::config::MoreCounters;
use crate::pressure::Memory;
use crate::worker::WorkerCounters;

mod traffic;

/// What one worker, or the subscription, has counted.
type Read<S> = fn(&S) -> u64;

/// Name, help, and where it stands. The format adds `_total` to names of counters.
type Metric<S> = (&'static str, &'static str, Read<S>);

/// Where the metrics come from.
#[derive(Debug)]
pub(crate) struct Sources {
    pub(crate) workers: Vec<Arc<WorkerCounters>>,
    /// Of health checks.
    pub(crate) checked: Arc<novaedge_check::Counters>,
    pub(crate) memory: Arc<Memory>,
    /// The snapshot in force.
    pub(crate) served: watch::Receiver<Option<v1::Version>>,
    /// `None`: the agent is fed by hand.
    pub(crate) subscription: Option<Subscription>,
    /// The limit of the process.
    pub(crate) open_files: Option<u64>,
    /// What shares the process.
    pub(crate) more: Option<Arc<dyn MoreCounters>>,
}

/// The agent's end of the stream from the control plane.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) metrics: Arc<novaedge_subscribe::Metrics>,
    pub(crate) status: watch::Receiver<Status>,
}

/// What people may ask of the agent.
#[derive(Debug)]
pub(crate) struct Asked(pub(crate) Arc<Sources>);

impl Answers for Asked {
    fn metrics(&self) -> String {
        render(&self.0)
    }
}

/// All metrics as text.
pub(crate) fn render(sources: &Arc<Sources>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Arc::clone(sources)));
    let mut text = String::new();
    // Writing to a String can't fail.
    let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
    text
}

const COUNTERS: [Metric<WorkerCounters>; 31] = [
    (
        "novaedge_accepted_connections",
        "TCP connections accepted",
        |one| one.accepted.load(Ordering::Relaxed),
    ),
    (
        "novaedge_limited_accepts",
        "Accepts that waited for the connection limit",
        |one| one.limited.load(Ordering::Relaxed),
    ),
    ("novaedge_accept_errors", "Accepts that failed", |one| {
        one.accept_errors.load(Ordering::Relaxed)
    }),
    (
        "novaedge_http_connections",
        "HTTP connections of clients",
        |one| one.http.connections_opened.get(),
    ),
    (
        "novaedge_http_connection_timeouts",
        "HTTP connections ended because a head, the next request or any byte did not come in time",
        |one| one.http.connections_timed_out.get(),
    ),
    (
        "novaedge_http_refused_heads",
        "HTTP connections ended for a malformed or too large head",
        |one| one.http.heads_refused.get(),
    ),
    (
        "novaedge_http_handshake_errors",
        "TLS handshakes of HTTPS that failed",
        |one| one.http.handshakes_failed.get(),
    ),
    (
        "novaedge_http_upstream_connections",
        "Connections to HTTP backends opened",
        |one| one.http.upstream_opened.get(),
    ),
    (
        "novaedge_http_upstream_connect_errors",
        "Connections to HTTP backends that could not be opened",
        |one| one.http.upstream_failed.get(),
    ),
    (
        "novaedge_http_upstream_surplus",
        "Connections to HTTP backends closed because enough were idle",
        |one| one.http.upstream_surplus.get(),
    ),
    (
        "novaedge_http_upstream_ejections",
        "Endpoints of HTTP backends left out for a while because they failed",
        |one| one.http.upstream_ejections.get(),
    ),
    (
        "novaedge_http_names_not_kept",
        "Endpoint names resolved and not kept because enough were",
        |one| one.http.names_not_kept.get(),
    ),
    (
        "novaedge_http_retries",
        "Tries to forward a request after the first",
        |one| one.http.retries.get(),
    ),
    (
        "novaedge_http_retries_without_body",
        "Tries not made because the request body was too large to keep",
        |one| one.http.retries_without_body.get(),
    ),
    (
        "novaedge_http_retries_over_budget",
        "Tries not made because enough of the backend's requests were retries",
        |one| one.http.retries_over_budget.get(),
    ),
    ("novaedge_http_mirrored", "Mirrored requests sent", |one| {
        one.http.mirrored.get()
    }),
    (
        "novaedge_http_dropped_mirrors",
        "Mirrored requests not sent because too many were in flight",
        |one| one.http.mirrors_dropped.get(),
    ),
    (
        "novaedge_http_failed_mirrors",
        "Mirrored requests that got no answer, or none in time",
        |one| one.http.mirrors_failed.get(),
    ),
    (
        "novaedge_http_lagging_mirrors",
        "Mirrored requests broken off because their backend took them too slowly",
        |one| one.http.mirrors_lagging.get(),
    ),
    (
        "novaedge_http_upgrades",
        "Connections that left HTTP",
        |one| one.http.upgrades.get(),
    ),
    (
        "novaedge_http_upgrade_timeouts",
        "Connections that left HTTP, ended because nothing moved",
        |one| one.http.upgrades_timed_out.get(),
    ),
    (
        "novaedge_l4_connections",
        "Layer 4 connections taken on",
        |one| one.l4.connections_total.get(),
    ),
    (
        "novaedge_l4_bytes_sent",
        "Payload bytes sent to clients",
        |one| one.l4.bytes_sent_total.get(),
    ),
    (
        "novaedge_l4_bytes_received",
        "Payload bytes received from clients",
        |one| one.l4.bytes_received_total.get(),
    ),
    (
        "novaedge_l4_connection_duration_milliseconds",
        "Milliseconds that closed connections were open",
        |one| one.l4.connection_duration_milliseconds_total.get(),
    ),
    (
        "novaedge_l4_tls_passthrough",
        "TLS connections passed through",
        |one| one.l4.tls_passthrough_total.get(),
    ),
    (
        "novaedge_l4_sni_routing_errors",
        "TLS connections without a route",
        |one| one.l4.sni_routing_errors_total.get(),
    ),
    (
        "novaedge_l4_backend_ejections",
        "Endpoints of TCP and TLS backends left out for a while because they failed",
        |one| one.l4.backend_ejections_total.get(),
    ),
    ("novaedge_l4_udp_sessions", "UDP sessions begun", |one| {
        one.l4.udp_sessions_total.get()
    }),
    (
        "novaedge_l4_udp_evicted_sessions",
        "UDP sessions ended to stay within their limit",
        |one| one.l4.udp_evicted_sessions_total.get(),
    ),
    (
        "novaedge_l4_udp_dropped_datagrams",
        "UDP datagrams that nobody got",
        |one| one.l4.udp_dropped_datagrams_total.get(),
    ),
];

const GAUGES: [Metric<WorkerCounters>; 4] = [
    (
        "novaedge_open_connections",
        "TCP connections open now",
        |one| one.open.load(Ordering::Relaxed),
    ),
    (
        "novaedge_http_open_connections",
        "HTTP connections of clients open now",
        |one| {
            let opened = one.http.connections_opened.get();
            opened.saturating_sub(one.http.connections_closed.get())
        },
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

const CHECK_COUNTERS: [Metric<novaedge_check::Counters>; 2] = [
    (
        "novaedge_health_checks_passed",
        "Health checks that endpoints passed",
        novaedge_check::Counters::passed,
    ),
    (
        "novaedge_health_checks_failed",
        "Health checks that endpoints failed",
        novaedge_check::Counters::failed,
    ),
];

const CHECK_GAUGES: [Metric<novaedge_check::Counters>; 2] = [
    (
        "novaedge_health_checked_endpoints",
        "Endpoints that are asked whether they are well",
        novaedge_check::Counters::checked,
    ),
    (
        "novaedge_health_unhealthy_endpoints",
        "Endpoints left out because their health checks fail",
        novaedge_check::Counters::unhealthy,
    ),
];

const SUBSCRIPTION_COUNTERS: [Metric<Subscription>; 7] = [
    (
        "novaedge_snapshot_streams",
        "Tries to open a stream to the control plane",
        |one| one.metrics.connections(),
    ),
    (
        "novaedge_snapshot_steps",
        "Steps put in force and acknowledged",
        |one| one.metrics.steps(),
    ),
    (
        "novaedge_snapshot_rejections",
        "Resources refused (NACK)",
        |one| one.metrics.rejections(),
    ),
    (
        "novaedge_snapshot_received_bytes",
        "Bytes of the messages from the control plane",
        |one| one.metrics.bytes(),
    ),
    (
        "novaedge_snapshot_protocol_errors",
        "Streams given up for a step that is too large or not as the protocol says",
        |one| one.metrics.protocol_errors(),
    ),
    (
        "novaedge_snapshot_writes",
        "Snapshots written to disk",
        |one| one.metrics.writes(),
    ),
    (
        "novaedge_snapshot_write_errors",
        "Snapshots that could not be written to disk",
        |one| one.metrics.write_failures(),
    ),
];

const SUBSCRIPTION_GAUGES: [Metric<Subscription>; 2] = [
    (
        "novaedge_snapshot_synced",
        "1: what the control plane has published is in force",
        |one| u64::from(one.status.borrow().phase == Phase::Synced),
    ),
    (
        "novaedge_snapshot_rejected_resources",
        "Resources refused now",
        |one| one.status.borrow().rejected.len() as u64,
    ),
];

impl Collector for Sources {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.scalars(&mut encoder, MetricType::Counter, &COUNTERS)?;
        self.scalars(&mut encoder, MetricType::Gauge, &GAUGES)?;
        self.encode_traffic(&mut encoder)?;
        counters(&mut encoder, &CHECK_COUNTERS, &self.checked)?;
        gauges(&mut encoder, &CHECK_GAUGES, &self.checked)?;
        if let Some(subscription) = &self.subscription {
            counters(&mut encoder, &SUBSCRIPTION_COUNTERS, subscription)?;
            gauges(&mut encoder, &SUBSCRIPTION_GAUGES, subscription)?;
        }
        let sequence = self
            .served
            .borrow()
            .as_ref()
            .map(|version| version.sequence);
        let (name, help) = (
            "novaedge_snapshot_sequence",
            "The snapshot in force, as its control plane counts",
        );
        gauge(&mut encoder, name, help, sequence.unwrap_or(0))?;
        if let Some(limit) = self.memory.limit() {
            let (name, help) = ("novaedge_memory_limit_bytes", "Memory that may be used");
            gauge(&mut encoder, name, help, limit)?;
            let (name, help) = ("novaedge_memory_used_bytes", "Memory in use of that");
            gauge(&mut encoder, name, help, self.memory.used())?;
            let (name, help) = (
                "novaedge_memory_pressure",
                "0: none; 1: no more connections are taken; 2: requests are refused, too",
            );
            gauge(
                &mut encoder,
                name,
                help,
                self.memory.pressure.level() as u64,
            )?;
        }
        if let Some(limit) = self.open_files {
            let (name, help) = ("novaedge_open_files_limit", "Files that may be open");
            gauge(&mut encoder, name, help, limit)?;
        }
        for (name, help, value) in self.more.iter().flat_map(|more| more.samples()) {
            counter(&mut encoder, name, help, value)?;
        }
        Ok(())
    }
}

impl Sources {
    /// The workers added up.
    fn scalars(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        kind: MetricType,
        metrics: &[Metric<WorkerCounters>],
    ) -> fmt::Result {
        for (name, help, read) in metrics {
            let all = self.workers.iter().map(|one| read(one)).sum();
            match kind {
                MetricType::Counter => counter(encoder, name, help, all)?,
                _ => gauge(encoder, name, help, all)?,
            }
        }
        Ok(())
    }
}

fn counters<S>(
    encoder: &mut DescriptorEncoder<'_>,
    metrics: &[Metric<S>],
    source: &S,
) -> fmt::Result {
    for (name, help, read) in metrics {
        counter(encoder, name, help, read(source))?;
    }
    Ok(())
}

fn gauges<S>(
    encoder: &mut DescriptorEncoder<'_>,
    metrics: &[Metric<S>],
    source: &S,
) -> fmt::Result {
    for (name, help, read) in metrics {
        gauge(encoder, name, help, read(source))?;
    }
    Ok(())
}

fn counter(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    encoder
        .encode_descriptor(name, help, None, MetricType::Counter)?
        .encode_counter::<NoLabelSet, _, u64>(&value, None)
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    encoder
        .encode_descriptor(name, help, None, MetricType::Gauge)?
        .encode_gauge(&value)
}

#[cfg(test)]
mod tests;
