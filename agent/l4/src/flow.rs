//! What is counted by names: from which listener, by which rule, to which backend.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use novaedge_meter::{ByName, ResourceName, Sets};
use novaedge_router::{Backend, L4Rule, ListenerInfo};

use crate::counters::{Counters, FlowCounters, Tally};
use crate::trail::Trail;

/// Flows that are counted by name. Those beyond count as one.
const MAX_FLOWS: usize = 4_096;

/// What all workers count by name.
#[derive(Debug)]
pub struct Traffic {
    /// Connections and sessions.
    pub flows: Sets<FlowKey, FlowCounters>,
}

/// From where to where. What is not known, or not there, has an empty name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlowKey {
    listener: ResourceName,
    kind: &'static str,
    namespace: Box<str>,
    route: Box<str>,
    backend: ResourceName,
    rule: Box<str>,
}

/// What is known of where a connection or session goes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Names<'a> {
    pub(crate) listener: Option<&'a ListenerInfo>,
    pub(crate) rule: Option<&'a L4Rule>,
    pub(crate) backend: Option<&'a Backend>,
}

/// A worker's counters for one of these.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    pub(crate) counters: Arc<FlowCounters>,
}

/// What one connection or session is told to.
#[derive(Clone, Copy)]
pub(crate) struct Account<'a> {
    pub(crate) flow: &'a Rc<Flow>,
    /// The access log, if somebody wants to know.
    pub(crate) trail: Option<&'a Trail>,
}

/// The flows of one worker.
#[derive(Debug)]
pub(crate) struct Flows {
    worker: usize,
    traffic: Arc<Traffic>,
    known: ByName<Flow, 3>,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            flows: Sets::new(MAX_FLOWS),
        }
    }
}

impl Traffic {
    /// Forgets after a while what was counted for resources that are gone, by name.
    pub fn forget(&self, is_gone: impl Fn(&str) -> bool, now: Instant) {
        let is_gone = |key: &FlowKey| {
            is_gone(key.listener.resource())
                || is_gone(key.backend.resource())
                || is_gone(&key.rule)
        };
        self.flows.forget(is_gone, now);
    }
}

impl<'a> Account<'a> {
    /// Where bytes from the client are counted.
    pub(crate) fn received(self, all: &'a Counters) -> Tally<'a> {
        Tally {
            all: &all.bytes_received_total,
            here: &self.flow.counters.bytes_received_total,
            told: self.trail.map(|trail| &trail.received),
        }
    }

    /// Where bytes to the client are counted.
    pub(crate) fn sent(self, all: &'a Counters) -> Tally<'a> {
        Tally {
            all: &all.bytes_sent_total,
            here: &self.flow.counters.bytes_sent_total,
            told: self.trail.map(|trail| &trail.sent),
        }
    }
}

impl FlowKey {
    fn new(names: Names<'_>) -> Self {
        let rule = names.rule.map(|rule| &rule.id);
        Self {
            listener: ResourceName::new(names.listener.map_or("", |info| &info.name)),
            kind: rule.map_or("", |rule| rule.kind.as_str()),
            namespace: rule.map_or("", |rule| rule.namespace()).into(),
            route: rule.map_or("", |rule| rule.name()).into(),
            backend: ResourceName::new(names.backend.map_or("", |backend| &backend.name)),
            rule: rule.map_or("", |rule| &rule.resource).into(),
        }
    }

    /// The Gateway's namespace, the Gateway, the listener, the route's kind, namespace and name, and the backend's namespace
    /// and name.
    #[must_use]
    pub fn labels(&self) -> [&str; 8] {
        let [gateway_namespace, gateway, listener] = self.listener.listener_labels();
        let [backend_namespace, backend] = self.backend.labels();
        [
            gateway_namespace,
            gateway,
            listener,
            self.kind,
            &self.namespace,
            &self.route,
            backend_namespace,
            backend,
        ]
    }
}

impl Flows {
    pub(crate) fn new(worker: usize, traffic: Arc<Traffic>) -> Self {
        Self {
            worker,
            traffic,
            known: ByName::default(),
        }
    }

    /// The counters for these names.
    pub(crate) fn get(&self, names: Names<'_>) -> Rc<Flow> {
        let held = [
            names.listener.map(|info| &info.name),
            names.rule.map(|rule| &rule.id.resource),
            names.backend.map(|backend| &backend.name),
        ];
        let flows = &self.traffic.flows;
        self.known.get(held, || Flow {
            counters: flows.part(FlowKey::new(names), self.worker, Instant::now()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_has_empty_names() {
        let flows = Flows::new(0, Arc::default());
        let flow = flows.get(Names::default());
        flow.counters.sni_routing_errors_total.increment();
        assert!(Rc::ptr_eq(&flow, &flows.get(Names::default())));
        let mut seen = Vec::new();
        flows.traffic.flows.each(Instant::now(), |key, parts| {
            let labels = key.map(|key| key.labels().concat());
            let errors = parts.map(|part| part.sni_routing_errors_total.get());
            seen.push((labels, errors.sum::<u64>()));
        });
        assert_eq!(seen, [(Some(String::new()), 1)]);
    }
}
