//! Connections and sessions of layer 4 by listener, route and backend.

use std::sync::Arc;
use std::time::Instant;

use novaedge_l4::{ErrorKind, FlowCounters, FlowKey};
use novaedge_meter::{Description, Exposition, Long, Sums};

use super::Sources;

const FLOW: &[&str] = &[
    "gateway_namespace",
    "gateway",
    "listener",
    "route_kind",
    "route_namespace",
    "route",
    "backend_namespace",
    "backend",
];

const CONNECTIONS: Description = Description::counter(
    "novaedge_l4_connections",
    FLOW,
    "Connections taken on; what is not known of where they go is empty",
);
const ACTIVE: Description = Description::gauge(
    "novaedge_l4_active_connections",
    FLOW,
    "Connections open now",
);
const SENT: Description = Description::counter(
    "novaedge_l4_bytes_sent",
    FLOW,
    "Payload bytes sent to clients",
);
const RECEIVED: Description = Description::counter(
    "novaedge_l4_bytes_received",
    FLOW,
    "Payload bytes received from clients",
);
const DURATION: Description = Description::histogram(
    "novaedge_l4_connection_duration_seconds",
    FLOW,
    "How long connections that are closed were open",
);
const ERRORS: Description = Description::counter(
    "novaedge_l4_connection_errors",
    &[
        "gateway_namespace",
        "gateway",
        "listener",
        "route_kind",
        "route_namespace",
        "route",
        "backend_namespace",
        "backend",
        "kind",
    ],
    "Connections and UDP sessions that failed, by kind",
);
const UDP_SESSIONS: Description =
    Description::counter("novaedge_l4_udp_sessions", FLOW, "UDP sessions begun");
const UDP_ACTIVE: Description = Description::gauge(
    "novaedge_l4_udp_active_sessions",
    FLOW,
    "UDP sessions open now",
);
const PASSTHROUGH: Description = Description::counter(
    "novaedge_l4_tls_passthrough",
    FLOW,
    "TLS connections passed through",
);
const SNI_ERRORS: Description = Description::counter(
    "novaedge_l4_sni_routing_errors",
    FLOW,
    "TLS connections whose server name no listener or no route has",
);

pub(super) const ALL: [Description; 10] = [
    CONNECTIONS,
    ACTIVE,
    SENT,
    RECEIVED,
    DURATION,
    ERRORS,
    UDP_SESSIONS,
    UDP_ACTIVE,
    PASSTHROUGH,
    SNI_ERRORS,
];

/// What is counted for one flow; `None`: those beyond the limit.
#[derive(Default)]
struct Flow {
    key: Option<Arc<FlowKey>>,
    connections: u64,
    active: u64,
    sent: u64,
    received: u64,
    durations: Sums<Long>,
    errors: [u64; ErrorKind::ALL.len()],
    udp_sessions: u64,
    udp_active: u64,
    passthrough: u64,
    sni_errors: u64,
}

impl Flow {
    fn add(&mut self, part: &FlowCounters) {
        self.connections += part.connections_total.get();
        self.active = self.active.wrapping_add(part.active_connections.get());
        self.sent += part.bytes_sent_total.get();
        self.received += part.bytes_received_total.get();
        self.durations.add(&part.connection_duration.sums());
        for (sum, kind) in self.errors.iter_mut().zip(ErrorKind::ALL) {
            *sum += part.errors(kind);
        }
        self.udp_sessions += part.udp_sessions_total.get();
        self.udp_active = self.udp_active.wrapping_add(part.udp_active_sessions.get());
        self.passthrough += part.tls_passthrough_total.get();
        self.sni_errors += part.sni_routing_errors_total.get();
    }

    fn labels(&self) -> [&str; 8] {
        let key = self.key.as_ref();
        key.map_or(["", "", "", "", "", "other", "", ""], |key| key.labels())
    }
}

/// A number of a flow.
type Read = fn(&Flow) -> u64;

impl Sources {
    pub(super) fn expose_l4(&self, all: &mut Exposition) {
        let mut flows = Vec::new();
        self.traffic.l4.flows.each(Instant::now(), |key, parts| {
            let mut flow = Flow {
                key: key.map(Arc::clone),
                ..Flow::default()
            };
            for part in parts {
                flow.add(part);
            }
            flows.push(flow);
        });
        // Each is shown where there was something of its kind.
        let connections: Read = |flow| flow.connections;
        let sessions: Read = |flow| flow.udp_sessions;
        let any: Read = |flow| flow.connections + flow.udp_sessions;
        let singles: [(&Description, Read, Read); 8] = [
            (&CONNECTIONS, connections, connections),
            (&ACTIVE, connections, |flow| flow.active),
            (&SENT, any, |flow| flow.sent),
            (&RECEIVED, any, |flow| flow.received),
            (&UDP_SESSIONS, sessions, sessions),
            (&UDP_ACTIVE, sessions, |flow| flow.udp_active),
            (
                &PASSTHROUGH,
                |flow| flow.passthrough,
                |flow| flow.passthrough,
            ),
            (&SNI_ERRORS, |flow| flow.sni_errors, |flow| flow.sni_errors),
        ];
        for (what, has, read) in singles {
            let mut family = all.family(what);
            for flow in flows.iter().filter(|flow| has(flow) > 0) {
                family.sample(&flow.labels(), read(flow));
            }
        }
        let mut family = all.family(&DURATION);
        for flow in flows.iter().filter(|flow| flow.durations.count() > 0) {
            family.durations(&flow.labels(), &flow.durations);
        }
        let mut family = all.family(&ERRORS);
        for flow in &flows {
            for (kind, sum) in ErrorKind::ALL.into_iter().zip(flow.errors) {
                if sum > 0 {
                    family.sample(&[&flow.labels()[..], &[kind.as_str()]].concat(), sum);
                }
            }
        }
    }
}
