//! Metrics with labels. Their sets are bounded: listeners and routes by what the workers keep, the
//! others by enums.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use novaedge_l4::ErrorKind;
use novaedge_proxy::metrics::{Counter, Durations, RouteKey};
use novaedge_proxy::reason::Reason;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::Sources;

const CLASSES: [&str; 6] = ["other", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// Microseconds in a second.
const MICROS: f64 = 1_000_000.0;

type Buckets = [u64; Durations::BOUNDS.len() + 1];

impl Sources {
    pub(super) fn encode_traffic(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        self.encode_requests(encoder)?;
        self.encode_durations(encoder)?;
        let mut own = encoder.encode_descriptor(
            "novaedge_http_own_answers",
            "Answers of the gateway itself, by reason: what a limit refuses is among them",
            None,
            MetricType::Counter,
        )?;
        for reason in Reason::ALL {
            let counters = self.workers.iter();
            let counters = counters.filter_map(|one| one.http.own_answers.get(reason.index()));
            let all = counters.map(Counter::get).sum();
            count(&mut own, [("reason", reason.code())], all)?;
        }
        self.encode_refused_headers(encoder)?;
        let mut errors = encoder.encode_descriptor(
            "novaedge_l4_connection_errors",
            "Layer 4 connections and UDP sessions that failed, by kind",
            None,
            MetricType::Counter,
        )?;
        for kind in ErrorKind::ALL {
            let all = self.workers.iter().map(|one| one.l4.errors(kind)).sum();
            count(&mut errors, [("kind", kind.as_str())], all)?;
        }
        Ok(())
    }

    fn encode_refused_headers(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut sums = BTreeMap::new();
        let samples = self.workers.iter();
        for (reason, number) in samples.flat_map(|one| one.proxy_headers_refused.samples()) {
            *sums.entry(reason).or_insert(0) += number;
        }
        let mut family = encoder.encode_descriptor(
            "novaedge_proxy_protocol_refused_connections",
            "Connections ended for want of a header of the PROXY protocol, by reason",
            None,
            MetricType::Counter,
        )?;
        for (reason, sum) in sums {
            count(&mut family, [("reason", reason)], sum)?;
        }
        Ok(())
    }

    fn encode_requests(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut requests: BTreeMap<RouteKey, [u64; CLASSES.len()]> = BTreeMap::new();
        for worker in &self.workers {
            for (key, counters) in worker.http.routes() {
                let sums = requests.entry(key).or_default();
                for (sum, counter) in sums.iter_mut().zip(&counters.responses) {
                    *sum += counter.get();
                }
            }
        }
        let mut family = encoder.encode_descriptor(
            "novaedge_http_requests",
            "Requests answered, by listener, rule and class of the status",
            None,
            MetricType::Counter,
        )?;
        for (key, sums) in &requests {
            let labels = [
                ("listener", without_kind(&key.listener)),
                ("route", without_kind(key.route.as_deref().unwrap_or(""))),
            ];
            for (class, sum) in CLASSES.iter().zip(sums).filter(|(_, sum)| **sum > 0) {
                let [listener, route] = labels;
                count(&mut family, [listener, route, ("code", class)], *sum)?;
            }
        }
        Ok(())
    }

    fn encode_durations(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut listeners: BTreeMap<Arc<str>, (Buckets, u64)> = BTreeMap::new();
        for worker in &self.workers {
            for (name, counters) in worker.http.listeners() {
                let (buckets, sum) = listeners.entry(name).or_default();
                for (bucket, counter) in buckets.iter_mut().zip(&counters.durations.buckets) {
                    *bucket += counter.get();
                }
                *sum += counters.durations.sum.get();
            }
        }
        let mut family = encoder.encode_descriptor(
            "novaedge_http_request_duration_seconds",
            "From the head of a request to the head of its answer",
            None,
            MetricType::Histogram,
        )?;
        for (name, (buckets, sum)) in &listeners {
            let bounds = Durations::BOUNDS.iter().map(|bound| seconds(*bound));
            let bounds = bounds.chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = bounds.zip(buckets.iter().copied()).collect();
            let all = buckets.iter().map(|(_, count)| count).sum();
            family
                .encode_family(&[("listener", without_kind(name))])?
                .encode_histogram::<NoLabelSet>(seconds(*sum), all, &buckets, None)?;
        }
        Ok(())
    }
}

fn count<const N: usize>(
    family: &mut MetricEncoder<'_>,
    labels: [(&str, &str); N],
    value: u64,
) -> fmt::Result {
    family
        .encode_family(&labels)?
        .encode_counter::<NoLabelSet, _, u64>(&value, None)
}

#[allow(clippy::cast_precision_loss)] // 2^53 microseconds are 285 years
fn seconds(micros: u64) -> f64 {
    micros as f64 / MICROS
}

/// A resource name without its kind, which the label says already.
fn without_kind(name: &str) -> &str {
    name.split_once('/').map_or(name, |(_, rest)| rest)
}
